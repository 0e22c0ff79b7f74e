"""What makes two measurements comparable."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edgetl.bench import fingerprint
from edgetl.bench.context import Context
from edgetl.types import Engine, TensorSpec

ENGINE = Engine(
    backend="openvino",
    device="CPU",
    precision="int8",
    files=("model.blob",),
    source="0" * 64,
    config={"INFERENCE_NUM_THREADS": "2", "LOG": "x"},
    built_with={"openvino": "2026.4"},
    inputs=(TensorSpec(name="input", dtype="uint8", shape=(1, 64, 64, 3)),),
    outputs=(),
)


def changed(**fields: Any) -> Engine:
    """Another engine."""
    return msgspec.structs.replace(ENGINE, **fields)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (changed(device="GPU"), "processor CPU against GPU"),
        (
            changed(inputs=(TensorSpec(name="input", dtype="uint8", shape=(4, 64, 64, 3)),)),
            "inputs input uint8 1x64x64x3 against input uint8 4x64x64x3",
        ),
        (changed(config={"INFERENCE_NUM_THREADS": "4"}), "threads 2 against 4"),
        (changed(config={}), "threads 2 against unknown"),
    ],
)
def test_subjects_differ_in_words(other: Engine, words: str) -> None:
    mine, theirs = (fingerprint.subject_of("local", engine) for engine in (ENGINE, other))
    assert fingerprint.differences(mine, theirs) == [words]


def test_what_only_the_toolchain_changed_is_the_same_subject() -> None:
    mine, theirs = (
        fingerprint.subject_of("local", engine)
        for engine in (ENGINE, changed(built_with={"openvino": "2027.0"}, precision="default"))
    )
    assert fingerprint.differences(mine, theirs) == []


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        (Context(cpu="A"), Context(cpu="B"), "cpu A against B"),
        (
            Context(governor="powersave"),
            Context(governor="performance"),
            "governor powersave against performance",
        ),
        (Context(power_mode="15W"), Context(power_mode="MAXN"), "power mode 15W against MAXN"),
        (
            Context(clocks_fixed=True, clock_mhz=1000.0),
            Context(clocks_fixed=True, clock_mhz=2000.0),
            "clock mhz 1000 against 2000",
        ),
    ],
)
def test_hosts_differ_in_words(before: Context, now: Context, words: str) -> None:
    mine, theirs = (fingerprint.host_of(context, ENGINE) for context in (before, now))
    assert fingerprint.differences(mine, theirs) == [words]


def test_clocks_that_follow_the_load_make_no_other_host() -> None:
    mine, theirs = (
        fingerprint.host_of(Context(clock_mhz=mhz, load=load), ENGINE)
        for mhz, load in ((1000.0, 0.1), (3000.0, 1.0))
    )
    assert fingerprint.differences(mine, theirs) == []
