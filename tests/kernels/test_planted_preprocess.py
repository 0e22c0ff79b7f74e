"""The tests of the preprocessor have teeth: a fault planted in the kernel's sources makes them fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernels.head_on_host import Library
from tests.kernels.planting import copied, outcome, plant

pytestmark = pytest.mark.slow

BUILD_FAILED = "preprocess_on_host.cpp"
"""What the compiler names when a fault is one that it finds itself, which proves nothing of the tests."""

FAULTS = {
    "off by one": ("block", "start + 2 * number", "start + 2 * number + 1"),
    "last pixel forgotten": ("block", "i < count; i += kThreads", "i < count - 1; i += kThreads"),
    "mean rounded down": ("pixels", "(sum + pack(2, 2, 2)) >> 2", "(sum + pack(1, 1, 1)) >> 2"),
    "means rounded once": (
        "pixels",
        "value = quarter(sums[level]);",
        "value = sums[level] >> 2 & ~pack(768, 768, 768);",
    ),
    "mix rounded down": ("block", " + kOne * kOne / 2)", ")"),
    "weight rounded down": (
        "block",
        "lrint((2 * output + 1) * axis.step)",
        "floor((2 * output + 1) * axis.step)",
    ),
    "Cb for Cr, one by one": ("pixels", "pair[0], pair[1]", "pair[1], pair[0]"),
    "Cb for Cr, wide": (
        "pixels",
        "pairs[y][2 * x], pairs[y][2 * x + 1]",
        "pairs[y][2 * x + 1], pairs[y][2 * x]",
    ),
    "black at 0": ("plan", "is_full ? 0 : 16", "0"),
    "colour rounded down": ("pixels", "(1 << (kColourBits - 1)) - colours", "0 - colours"),
    "a pair cut in two": ("plan", "plan.top % 2 == 0 && plan.left % 2 == 0 && ", ""),
    "misaligned rows of pixels": ("plan", "args.pixel_pitch % width == 0;", "width > 0;"),
    "misaligned rows of chroma": ("plan", "args.chroma_pitch % width == 0;", "width > 0;"),
    "misaligned chroma": ("plan", "is_multiple(args.chroma + plan.left, width)", "width > 0"),
    "offset of 32 bits": (
        "pixels",
        "args.chroma + row / 2 * args.chroma_pitch + column;",
        "args.chroma + int(row / 2 * args.chroma_pitch) + column;",
    ),
    "channels the other way": ("block", "plan.is_swapped ? 2 - i : i", "plan.is_swapped ? i : 2 - i"),
}


@pytest.fixture
def copy(preprocess_library: Library, tmp_path: Path) -> Path:
    """The kernels and their tests; ``preprocess_library`` skips where nothing can be compiled."""
    return copied(tmp_path)


def test_the_copy_as_it_is_passes(copy: Path) -> None:
    done = outcome(copy, "preprocess")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(copy: Path, fault: str) -> None:
    plant(copy / "kernels" / "include", "preprocess", FAULTS[fault])
    done = outcome(copy, "preprocess")
    assert done.returncode != 0
    assert BUILD_FAILED not in done.stdout
