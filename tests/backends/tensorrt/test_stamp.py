"""Release, GPU and digest are compared before a byte is deserialised."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetl import digest
from edgetl.backends.driver import Gpu
from edgetl.backends.tensorrt import stamp
from edgetl.errors import BackendError, NotComparable
from edgetl.types import Engine

ORIN = Gpu(name="Orin", capability="8.7", memory_mib=7620, integrated=True)
PLAN = b"ftrt, a plan"


def engine(config: Mapping[str, str] | None = None, *, version: str = "10.3.0", gpu: Gpu = ORIN) -> Engine:
    """A record of an engine that was built so."""
    return Engine(
        backend="tensorrt",
        device="GPU",
        precision="int8",
        files=(stamp.PLAN,),
        source="0" * 64,
        config={stamp.DIGEST: digest.of_bytes(PLAN), **(config or {})},
        built_with=stamp.built_with(version, gpu, "12.6"),
        inputs=(),
        outputs=(),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the plan in it."""
    (tmp_path / stamp.PLAN).write_bytes(PLAN)
    return tmp_path


def test_an_engine_of_this_host_is_read(folder: Path) -> None:
    assert stamp.trusted_plan(engine(), folder, "10.3.0", ORIN) == PLAN


@pytest.mark.parametrize("version", ["10.3.1", "10.7.0", "10.30.0", "8.6.1", "11.4.0"])
def test_another_release_is_refused_before_the_file_is_read(tmp_path: Path, version: str) -> None:
    with pytest.raises(NotComparable, match=r"was built with TensorRT 10\.3\.0 for Orin") as caught:
        stamp.trusted_plan(engine(), tmp_path, version, ORIN)  # the folder is empty: reading would fail
    assert f"this host has TensorRT {version}" in caught.value.problem
    assert "edgetl compile" in caught.value.hint


@pytest.mark.parametrize(
    "gpu",
    [
        Gpu(name="NVIDIA T4", capability="7.5", memory_mib=1, integrated=False),
        Gpu(name="Orin Nano", capability="8.7", memory_mib=1, integrated=True),
        Gpu(name="Orin", capability="8.9", memory_mib=1, integrated=True),
    ],
)
def test_another_gpu_is_refused_before_the_file_is_read(tmp_path: Path, gpu: Gpu) -> None:
    with pytest.raises(NotComparable, match=rf"for Orin \(8\.7\), this host has .*{gpu.name}"):
        stamp.trusted_plan(engine(), tmp_path, "10.3.0", gpu)


def test_a_record_without_a_stamp_is_refused(folder: Path) -> None:
    bare = msgspec.structs.replace(engine(), built_with={})
    with pytest.raises(NotComparable, match="unknown"):
        stamp.trusted_plan(bare, folder, "10.3.0", ORIN)


@given(st.integers(0, len(PLAN) * 8 - 1))
def test_one_flipped_bit_is_refused(tmp_path_factory: pytest.TempPathFactory, bit: int) -> None:
    folder = tmp_path_factory.mktemp("flipped")
    damaged = bytearray(PLAN)
    damaged[bit // 8] ^= 1 << bit % 8
    (folder / stamp.PLAN).write_bytes(damaged)
    with pytest.raises(BackendError, match="is not what was built"):
        stamp.trusted_plan(engine(), folder, "10.3.0", ORIN)


@pytest.mark.parametrize(
    ("built", "here", "opens"),
    [
        ("10.3.0", "10.16.1", True),
        ("10.3.0", "11.4.0", True),
        ("8.6.1", "10.3.0", True),
        ("8.6.1", "11.4.0", False),
        ("10.16.1", "10.3.0", False),
    ],
)
def test_later_releases_open_what_was_built_for_them(
    folder: Path, built: str, here: str, opens: bool
) -> None:
    for_all = engine({stamp.ANY_RELEASE: "true"}, version=built)
    if opens:
        assert stamp.trusted_plan(for_all, folder, here, ORIN) == PLAN
        return
    with pytest.raises(NotComparable):
        stamp.trusted_plan(for_all, folder, here, ORIN)


@pytest.mark.parametrize(
    ("level", "capability", "runs"),
    [
        ("ampere+", "8.9", True),
        ("ampere+", "10.0", True),
        ("ampere+", "7.5", False),
        ("sameComputeCapability", "8.7", True),
        ("sameComputeCapability", "8.9", False),
    ],
)
def test_other_gpus_run_what_was_built_for_them(
    folder: Path, level: str, capability: str, runs: bool
) -> None:
    other = Gpu(name="another", capability=capability, memory_mib=1, integrated=False)
    built = engine({stamp.HARDWARE: level})
    if runs:
        assert stamp.trusted_plan(built, folder, "10.3.0", other) == PLAN
        return
    with pytest.raises(NotComparable):
        stamp.trusted_plan(built, folder, "10.3.0", other)
