"""``edgetl advise`` and ``edgetl profile-device`` through their functions, on data and networks that come along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgetl import advising, devices, profiling
from edgetl.advise import latency_model
from edgetl.advise.cost import Cost
from edgetl.advise.latency_model import LatencyModel
from edgetl.advising import Question
from edgetl.bundles import Answer
from edgetl.errors import EnvironmentLacks, GateFailed, InputError
from edgetl.pipeline import Silent
from edgetl.types import LatencyBudget


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store: a backbone is scored once for all questions."""
    return tmp_path_factory.mktemp("cache")


def asked(cache: Path, picture: Path | None = None, **options: Any) -> Answer:
    question = Question(**{"data": "demo", "backbones": ("tiny", "resnet18"), **options})
    return advising.advise(question, picture=picture, cache=cache, progress=Silent())


def test_backbones_are_scored_and_timed_and_the_next_command_is_told(cache: Path, tmp_path: Path) -> None:
    found = asked(cache, tmp_path / "front.svg")
    assert found.failure is None
    (tiny,) = found.data["backbones"]
    assert tiny["name"] == "tiny" and tiny["probe"] > 0.9 and tiny["front"]
    assert tiny["latency"]["kind"] == "measured" and tiny["latency"]["p50_ms"] > 0
    assert found.data["command"] == "edgetl build --device local --data demo --model tiny"
    (skipped,) = found.data["skipped"]
    assert (
        skipped["name"] == "resnet18" and "resnet18-" in skipped["reason"] and "--download" in skipped["mend"]
    )
    assert "tiny" in (tmp_path / "front.svg").read_text()


def test_a_limit_that_none_keeps_is_a_no_that_names_the_nearest(cache: Path) -> None:
    found = asked(cache, max_latency=LatencyBudget(ms=1e-6))
    assert isinstance(found.failure, GateFailed)
    assert "the fastest is tiny" in found.failure.problem


def model_of(device: str, ms_a_launch: float) -> LatencyModel:
    return LatencyModel(
        device=device,
        backend="tensorrt",
        host={},
        milliseconds=Cost(launches=ms_a_launch),
        measured=(),
        left_out_ms=(),
        error_median=0.12,
        error_worst=0.3,
    )


def test_latency_of_another_device_is_predicted_and_marked(cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "jetson.json"
    latency_model.write(model_of("jetson", 0.5), file)
    name = devices.load().find("jetson").name
    latency_model.write(model_of(name, 0.5), file)
    found = asked(cache, device="jetson", latency_model=file)
    latency = found.data["backbones"][0]["latency"]
    assert latency["kind"] == "predicted" and latency["error"] == 0.12
    assert latency["p50_ms"] % 0.5 == pytest.approx(0)
    assert any("~" in line and "tiny" in line for line in found.lines)
    with pytest.raises(InputError, match=f"is of {name}, not of"):
        asked(cache, device="intel-n100", latency_model=file)


def test_without_a_latency_model_of_the_device_there_is_none_and_the_way_to_one_is_told(cache: Path) -> None:
    found = asked(cache, device="jetson")
    assert found.data["backbones"][0]["latency"] is None
    assert "edgetl profile-device" in found.data["note"]
    assert isinstance(asked(cache, device="jetson", max_latency=LatencyBudget(ms=5)).failure, GateFailed)


def test_no_weights_at_all_and_random_ones_are_refused_with_the_file_to_bring(cache: Path) -> None:
    with pytest.raises(EnvironmentLacks, match="no backbone can be scored") as told:
        asked(cache, backbones=("resnet18",))
    assert "resnet18-" in str(told.value.hint)
    with pytest.raises(EnvironmentLacks, match="random weights"):
        asked(cache, backbones=("torchvision.models:resnet18",))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"backbones": ("resnet19",)}, "Did you mean"),
        ({"backbones": ("tiny", "tiny")}, "named twice"),
        ({"max_latency": LatencyBudget(ms=5, at="p99")}, "the median only"),
        ({"data": "nowhere"}, "no such data"),
    ],
)
def test_what_cannot_be_asked_is_refused(cache: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        asked(cache, **options)


def test_a_device_is_profiled_on_itself_only(cache: Path) -> None:
    with pytest.raises(EnvironmentLacks, match="its latency is measured on it"):
        profiling.profile_device("jetson", cache=cache, progress=Silent())
    with pytest.raises(InputError, match="takes 6"):
        profiling.profile_device("local", networks=("resnet18",), cache=cache, progress=Silent())


@pytest.mark.slow
def test_small_networks_are_timed_and_fitted(cache: Path, tmp_path: Path) -> None:
    networks = ("mnasnet0_5", "mobilenet_v3_small", "resnet18", "shufflenet_v2_x0_5", "squeezenet1_1", "tiny")
    out = tmp_path / "local.json"
    found = profiling.profile_device(
        "local", networks=networks, sizes=(64, 96), out=out, cache=cache, progress=Silent()
    )
    kept = latency_model.read(out)
    assert kept == latency_model.read(advising.model_file("local", cache))
    assert len(kept.measured) == 12 and kept.error_worst < 3
    assert "advise --device local" in found.lines[-1]
