"""The judge's own test on a real engine: a net against itself is no difference, or it cannot tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgetl import bench
from edgetl.backends.folder import compile_into
from edgetl.bench.comparison import NEGLIGIBLE, of_engine
from edgetl.bench.instance import Pace
from edgetl.devices import DeviceProfile
from edgetl.testing import tiny_model


@pytest.mark.slow
def test_an_engine_against_itself_is_not_told_apart_by_more_than_noise(tmp_path: Path) -> None:
    """A busy host makes the interval wide, which is "cannot tell"; it must not make a difference.

    One in some hundred such comparisons ends beyond the noise by chance alone, so a claim counts as wrong only
    where the whole interval is further off than what "no difference" leaves room for.
    """
    model = tiny_model(tmp_path / "tiny.onnx")
    profile = DeviceProfile(name="here", backend="openvino", precision="f32")
    folder = tmp_path / "engine"
    compile_into(model, profile, folder)
    pace = Pace(rounds=2, block_ms=20, warm_seconds=0.1)
    both = {"one": of_engine(folder), "other": of_engine(folder)}
    found = bench.compare(both, baseline="one", instances=8, most_instances=8, pace=pace).ratio("other")
    assert found.verdict in ("no difference", "cannot tell") or (
        found.ci95[0] < 1 + NEGLIGIBLE and found.ci95[1] > 1 - NEGLIGIBLE
    )
