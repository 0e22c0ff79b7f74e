"""``edgetl advise`` through its function, on data and networks that come along."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from edgetl import advising, devices, recipe
from edgetl.advise import latency_model
from edgetl.advise.cost import Cost
from edgetl.advise.latency_model import LatencyModel
from edgetl.advising import Question
from edgetl.bundles import Answer
from edgetl.data import demo
from edgetl.errors import EnvironmentLacks, GateFailed, InputError
from edgetl.pipeline import Silent
from edgetl.types import BuildSpec, LatencyBudget
from tests.advise import networks

SMALL, PIXELS = "tests.advise.networks:small", "tests.advise.networks:pixels"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store: a backbone is scored once for all questions."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def digits(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three of the ten, forty pictures each."""
    whole, few = demo.write(cache / "demo"), tmp_path_factory.mktemp("few")
    for label in "018":
        (few / label).mkdir()
        for picture in sorted((whole / label).iterdir())[:40]:
            shutil.copy(picture, few / label)
    return few


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file for each small network, with what it wants of a picture beside it."""
    folder, files = tmp_path_factory.mktemp("weights"), {}
    wants = {"mean": [0.5] * 3, "std": [0.5] * 3, "center_crop": 64, "resize_short_side": 64}
    for name, make in ((SMALL, networks.small), (PIXELS, networks.pixels)):
        torch.manual_seed(0)
        files[name] = folder / f"{make.__name__}.safetensors"
        save_file({**make().state_dict(), "by": torch.zeros(1)}, files[name])
        files[name].with_suffix(".json").write_text(json.dumps({"preprocessing": wants}))
    return files


@pytest.fixture(scope="module")
def usual(digits: Path, weights: dict[str, Path]) -> dict[str, Any]:
    """A question with an answer: two networks with files, and one whose weights are not here."""
    return {
        "data": str(digits),
        "backbones": (*(f"{name}={file}" for name, file in weights.items()), "resnet18"),
    }


def asked(cache: Path, picture: Path | None = None, **options: Any) -> Answer:
    return advising.advise(Question(**options), picture=picture, cache=cache, progress=Silent())


def test_backbones_are_scored_and_timed_and_the_next_command_is_told(
    cache: Path, usual: dict[str, Any], weights: dict[str, Path], tmp_path: Path
) -> None:
    found = asked(cache, tmp_path / "front.svg", **usual)
    assert found.failure is None
    rows = {row["name"]: row for row in found.data["backbones"]}
    assert set(rows) == {SMALL, PIXELS}
    assert rows[PIXELS]["probe"] > 0.9 and rows[PIXELS]["size"] == 64
    assert any(row["front"] for row in rows.values())
    assert all(row["latency"]["kind"] == "measured" and row["latency"]["p50_ms"] > 0 for row in rows.values())
    chosen = found.data["recommended"]
    options = f"--data {usual['data']} --model {chosen} --weights {weights[chosen]}"
    assert found.data["command"] == f"edgetl build --device local {options}"
    (skipped,) = found.data["skipped"]
    assert skipped["name"] == "resnet18" and "resnet18-" in skipped["reason"]
    assert "--models resnet18=PATH/resnet18-" in skipped["mend"] and "--download" in skipped["mend"]
    drawn = (tmp_path / "front.svg").read_text()
    assert chosen in drawn and "linear probe, %" in drawn and found.data["reason"].split("; ")[0] in drawn


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


def test_a_build_finds_what_was_computed(
    cache: Path, usual: dict[str, Any], weights: dict[str, Path]
) -> None:
    asked(cache, device="jetson", **usual)
    spec = BuildSpec(
        data=usual["data"], device="jetson", model=SMALL, weights=str(weights[SMALL]), method="feature"
    )
    state = {row["stage"]: row["cached"] for row in recipe.show_plan(spec, cache=cache)}
    assert all(state[stage] for stage in ("check", "backbone", "prepare", "features"))


def test_the_command_draws_the_roles_that_the_scores_were_made_with(
    cache: Path, usual: dict[str, Any]
) -> None:
    told = asked(cache, device="jetson", seed=3, **usual).data["command"]
    assert told.endswith(" --seed 3")


def test_the_command_can_be_pasted_whatever_the_folder_is_called(
    cache: Path, usual: dict[str, Any], tmp_path: Path
) -> None:
    place = tmp_path / "my pictures"
    place.symlink_to(usual["data"])
    told = asked(cache, device="jetson", **{**usual, "data": str(place)}).data["command"]
    assert shlex.split(told)[5] == str(place)


def test_a_limit_that_none_keeps_is_a_no_that_names_the_nearest(
    cache: Path, usual: dict[str, Any], tmp_path: Path
) -> None:
    file, name = tmp_path / "jetson.json", devices.load().find("jetson").name
    latency_model.write(model_of(name, 0.5), file)
    limit = LatencyBudget(ms=0.25)
    found = asked(
        cache, tmp_path / "front.svg", device="jetson", latency_model=file, max_latency=limit, **usual
    )
    assert isinstance(found.failure, GateFailed)
    latencies = {row["name"]: row["latency"]["p50_ms"] for row in found.data["backbones"]}
    assert f"the fastest is {min(latencies, key=lambda name: latencies[name])} with" in found.failure.problem
    assert found.data["command"] is None
    assert "None keeps 0.25 ms" in (tmp_path / "front.svg").read_text()


def test_latency_of_another_device_is_predicted_and_marked(
    cache: Path, usual: dict[str, Any], tmp_path: Path
) -> None:
    file, name = tmp_path / "jetson.json", devices.load().find("jetson").name
    latency_model.write(model_of(name, 0.5), file)
    found = asked(cache, device="jetson", latency_model=file, **usual)
    for row in found.data["backbones"]:
        assert row["latency"]["kind"] == "predicted" and row["latency"]["error"] == 0.12
        assert row["latency"]["p50_ms"] % 0.5 == pytest.approx(0)
        assert any("~" in line and row["name"] in line for line in found.lines)
    assert "12 % off" in found.data["note"]
    with pytest.raises(InputError, match=f"is of {name}, not of"):
        asked(cache, device="intel-n100", latency_model=file, **usual)


def test_a_prediction_that_may_break_the_limit_is_doubted(
    cache: Path, usual: dict[str, Any], tmp_path: Path
) -> None:
    file, name = tmp_path / "jetson.json", devices.load().find("jetson").name
    latency_model.write(model_of(name, 0.5), file)
    plain = asked(cache, device="jetson", latency_model=file, **usual)
    row = next(row for row in plain.data["backbones"] if row["name"] == plain.data["recommended"])
    near, far = (LatencyBudget(ms=row["latency"]["p50_ms"] * share) for share in (1.05, 2.0))
    doubted = asked(cache, device="jetson", latency_model=file, max_latency=near, **usual)
    assert "off by the usual 12 %" in doubted.data["reason"]
    sure = asked(cache, device="jetson", latency_model=file, max_latency=far, **usual)
    assert "usual" not in sure.data["reason"]


def test_without_a_latency_model_of_the_device_there_is_none_and_the_way_to_one_is_told(
    cache: Path, usual: dict[str, Any], tmp_path: Path
) -> None:
    found = asked(cache, device="jetson", **usual)
    assert all(row["latency"] is None for row in found.data["backbones"])
    assert "edgetl profile-device" in found.data["note"]
    limited = asked(cache, tmp_path / "front.svg", device="jetson", max_latency=LatencyBudget(ms=5), **usual)
    assert isinstance(limited.failure, GateFailed)
    assert "front.svg is not drawn" in limited.data["note"]


def test_the_clock_of_this_host_does_not_hold_the_limit_of_another_device(
    cache: Path, usual: dict[str, Any]
) -> None:
    found = asked(cache, device="intel-n100", max_latency=LatencyBudget(ms=1000), **usual)
    assert {row["latency"]["kind"] for row in found.data["backbones"]} == {"host"}
    assert found.data["command"] is None
    assert isinstance(found.failure, GateFailed) and "no latency of intel-n100 is known" in str(found.failure)
    free = asked(cache, device="intel-n100", **usual)
    assert free.failure is None and "within" not in free.data["reason"]


def test_no_weights_at_all_and_random_ones_are_refused_with_the_file_to_bring(
    cache: Path, usual: dict[str, Any]
) -> None:
    with pytest.raises(EnvironmentLacks, match="no backbone can be scored") as told:
        asked(cache, data=usual["data"], backbones=("resnet18",))
    assert "resnet18-" in told.value.problem
    with pytest.raises(InputError, match="has random weights"):
        asked(cache, data=usual["data"], backbones=(f"{SMALL}=none",))
    with pytest.raises(InputError, match="has random weights"):
        asked(cache, data=usual["data"], backbones=(SMALL,))


def test_a_backbone_that_answers_nan_is_skipped_and_said(
    cache: Path, usual: dict[str, Any], weights: dict[str, Path], tmp_path: Path
) -> None:
    wild = networks.small().state_dict() | {"2.weight": torch.full((16, 8, 3, 3), 3e38)}
    file = tmp_path / "wild.safetensors"
    save_file(wild, file)
    named = (f"{SMALL}={file}", f"{PIXELS}={weights[PIXELS]}")
    found = asked(cache, data=usual["data"], device="jetson", backbones=named)
    assert [row["name"] for row in found.data["backbones"]] == [PIXELS]
    assert "NaN or infinity" in found.data["skipped"][0]["reason"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"backbones": ("resnet19",)}, "Did you mean 'resnet1"),
        ({"backbones": (SMALL, SMALL)}, "named twice"),
        ({"max_latency": LatencyBudget(ms=5, at="p99")}, "the median only"),
        ({"data": "nowhere"}, "no such data"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    cache: Path, usual: dict[str, Any], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        asked(cache, **{**usual, **options})


def test_pictures_without_classes_or_of_one_are_refused(cache: Path, digits: Path, tmp_path: Path) -> None:
    flat, single = tmp_path / "flat", tmp_path / "single"
    shutil.copytree(digits / "0", flat)
    shutil.copytree(digits / "0", single / "0")
    for place, words in ((flat, "class folders"), (single, "one class")):
        with pytest.raises(InputError, match=words):
            asked(cache, data=str(place), backbones=(SMALL,))
