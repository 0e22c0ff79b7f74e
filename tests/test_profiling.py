"""``edgetl profile-device``: networks timed here, or bundles that were timed on the device."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from edgetl import advising, digest, profiling
from edgetl.advise import latency_model
from edgetl.bundles import Answer
from edgetl.errors import EnvironmentLacks, InputError
from edgetl.pipeline import Silent
from tests import handmade

PROFILE = """
devices:
  by-hand: {backend: onnxruntime, scheme: openvino-cpu, hosts: {cpu_model: [Fast]}}
"""


def test_a_device_is_profiled_on_itself_only(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentLacks, match="its latency is measured on it") as told:
        profiling.profile_device("jetson", cache=tmp_path, progress=Silent())
    assert "--results" in told.value.hint
    with pytest.raises(InputError, match="takes 6"):
        profiling.profile_device("local", networks=("resnet18",), cache=tmp_path, progress=Silent())
    with pytest.raises(InputError, match="Did you mean 'resnet1"):
        profiling.profile_device("local", networks=("resnet19",), cache=tmp_path, progress=Silent())
    with pytest.raises(InputError, match="tiny is named more than once"):
        profiling.profile_device(
            "local", networks=(*profiling.FEW, "tiny", "tiny"), cache=tmp_path, progress=Silent()
        )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that was never timed."""
    pictures = handmade.write_pictures(tmp_path_factory.mktemp("colours"))
    return handmade.write_bundle(tmp_path_factory.mktemp("whole") / "bundle", pictures, backend="onnxruntime")


def timed(bundle: Path, place: Path, *, model: str, p50: float | None, cpu: str = "Fast 9000") -> Path:
    """A copy of a bundle of another backbone, with the latency that a build on the device would have stored."""
    shutil.copytree(bundle, place)
    results = json.loads((place / "results.json").read_bytes())
    results |= {"latency_ms": {"int8": {"p50": p50}}, "context": {"cpu": cpu}}
    (place / "results.json").write_bytes(digest.canonical_json(results))
    manifest: dict[str, Any] = json.loads((place / "manifest.json").read_bytes())
    (place / "manifest.json").write_bytes(digest.canonical_json({**manifest, "model": model}))
    return handmade.reseal(place)


def fitted(places: list[Path], folder: Path, device: str = "by-hand") -> Answer:
    (folder / "box.yaml").write_text(PROFILE)
    return profiling.from_bundles(
        places, device, devices_file=folder / "box.yaml", out=folder / "box.json", cache=folder / "cache"
    )


def test_bundles_of_six_backbones_make_the_model_of_their_device(bundle: Path, tmp_path: Path) -> None:
    places = [timed(bundle, tmp_path / str(n), model=f"net{n}", p50=0.5 + n / 100) for n in range(6)]
    told = fitted(places, tmp_path)
    asked = (
        f"advise --devices {tmp_path / 'box.yaml'} --device by-hand --latency-model {tmp_path / 'box.json'}"
    )
    assert asked in told.lines[-1]
    assert not any("too far off" in line for line in told.lines)
    kept = latency_model.read(tmp_path / "box.json")
    assert kept == latency_model.read(advising.model_file("by-hand", tmp_path / "cache"))
    assert [one.p50_ms for one in kept.measured] == [0.5 + n / 100 for n in range(6)]
    assert kept.host == {"cpu": "Fast 9000"} and kept.device == "by-hand"
    assert 0.5 < kept.predict(kept.measured[0].cost) < 0.56  # all have one cost, and times that are near
    with pytest.raises(InputError, match="5 networks were measured"):
        fitted(places[:5], tmp_path)


def test_bundles_that_tell_nothing_of_the_device_are_refused_by_name(bundle: Path, tmp_path: Path) -> None:
    right = timed(bundle, tmp_path / "right", model="net", p50=1.0)
    wrong = {
        "was timed on Slow 1, which is no by-hand": timed(
            bundle, tmp_path / "slow", model="net", p50=1.0, cpu="Slow 1"
        ),
        "has no latency of an INT8 engine": timed(bundle, tmp_path / "float", model="net", p50=None),
        "timed on 2 processors": timed(bundle, tmp_path / "other", model="net", p50=1.0, cpu="Fast 1"),
    }
    for words, place in wrong.items():
        with pytest.raises(InputError, match=words):
            fitted([right, place], tmp_path)
    with pytest.raises(InputError, match="is of by-hand, not of local"):
        fitted([right], tmp_path, device="local")


def test_a_model_that_is_far_off_says_so(bundle: Path, tmp_path: Path) -> None:
    places = [timed(bundle, tmp_path / str(n), model=f"net{n}", p50=0.1 * 3**n) for n in range(6)]
    assert any("too far off to choose by" in line for line in fitted(places, tmp_path).lines)


@pytest.mark.slow
def test_small_networks_are_timed_and_fitted(tmp_path: Path) -> None:
    named = ("mnasnet0_5", "mobilenet_v3_small", "resnet18", "shufflenet_v2_x0_5", "timm/resnet10t", "tiny")
    out = tmp_path / "local.json"
    found = profiling.profile_device(
        "local", networks=named, sizes=(64, 96), out=out, cache=tmp_path, progress=Silent()
    )
    kept = latency_model.read(out)
    assert kept == latency_model.read(advising.model_file("local", tmp_path))
    assert len(kept.measured) == 12 and kept.error_worst < 3
    assert "advise --device local" in found.lines[-1]
