"""The timing cache: used again, never mixed up, never in the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from edgetl.backends.tensorrt import timing
from edgetl.errors import BackendError

Vendor = Any


def build(folder: Path, timings: Path | None) -> None:
    """Build in this process."""
    from edgetl.backends.tensorrt.build import build_plan

    build_plan(str(folder / "m.onnx"), str(folder), "f32", timings=None if timings is None else str(timings))


def test_a_second_build_starts_from_what_the_first_timed(vendor: Vendor, tmp_path: Path) -> None:
    trt, file = vendor(), tmp_path / "kept" / "timings.bin"
    build(tmp_path, file)
    build(tmp_path, file)
    assert [call[1] for call in trt.calls if call[0] == "create_timing_cache"] == ["", "timed;"]
    assert file.read_bytes() == b"timed;timed;"
    assert not list(file.parent.glob("*.partial"))


def test_a_damaged_cache_begins_anew(vendor: Vendor, tmp_path: Path) -> None:
    vendor()
    file = tmp_path / "timings.bin"
    file.write_bytes(b"damaged")
    build(tmp_path, file)
    assert file.read_bytes() == b"timed;"


def test_a_build_that_fails_leaves_the_cache_as_it_was(vendor: Vendor, tmp_path: Path) -> None:
    vendor(null="build")
    file = tmp_path / "timings.bin"
    file.write_bytes(b"old;")
    with pytest.raises(BackendError):
        build(tmp_path, file)
    assert file.read_bytes() == b"old;"


def test_two_builds_on_one_gpu_do_not_time_each_other(
    vendor: Vendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trt, file = vendor(), tmp_path / "timings.bin"
    found: list[str] = []

    def look(self: Any, network: Any, config: Any) -> bytes:
        try:
            with FileLock(f"{file}.lock", timeout=0, is_singleton=False):
                found.append("free")
        except TimeoutError:
            found.append("locked")
        return b"plan"

    monkeypatch.setattr(trt.Builder, "build_serialized_network", look)
    build(tmp_path, file)
    assert found == ["locked"]


def test_without_a_file_nothing_is_kept(vendor: Vendor, tmp_path: Path) -> None:
    trt = vendor()
    build(tmp_path, None)
    assert not [call for call in trt.calls if call[0] == "create_timing_cache"]


def test_what_a_timing_holds_for_is_its_name() -> None:
    facts = {"tensorrt": "10.3.0", "gpu": "Orin", "compute_capability": "8.7", "power_mode": "pmode:0000"}
    names = {timing.name_of(facts), *(timing.name_of({**facts, key: "other"}) for key in facts)}
    assert len(names) == 1 + len(facts)
    assert timing.name_of(dict(reversed(facts.items()))) == timing.name_of(facts)
