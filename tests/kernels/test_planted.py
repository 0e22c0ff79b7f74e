"""The tests of the head have teeth: a fault planted in the kernel's sources makes them fail.

A barrier is left out in test_head.py and test_sanitized.py.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kernels.head_on_host import Library
from tests.kernels.on_host import KERNELS, compiled
from tests.kernels.planting import copied, outcome, plant

BUILD_FAILED = "head_on_host.cpp"
"""What the compiler names when a fault is one that it finds itself, which proves nothing of the tests."""

FAULTS = {
    "off by one": ("pool", "column < plan.width; column += k", "column < plan.width - 1; column += k"),
    "misaligned weights": (
        "plan",
        "args.weight_stride % pack == 0 && is",
        "args.weight_stride % pack >= 0 && is",
    ),
    "off by one, wide": ("pool", "begin < plan.width + kFeaturePack - 1;", "begin < plan.width;"),
    "a neighbour's pixels": (
        "pool",
        "static_cast<unsigned>(at[plane] + i) < static_cast<unsigned>(plan.width);",
        "at[plane] + i < plan.width;",
    ),
    "misaligned rows": ("plan", "args.row_stride % kFeaturePack == 0 &&", ""),
    "misaligned images": ("plan", "args.batch_stride % kFeaturePack == 0 &&", ""),
    "offset of 32 bits": ("pool", "image * args.batch_stride", "std::int32_t(image * args.batch_stride)"),
    "later of equals": ("math", "left.index < right.index", "left.index > right.index"),
    "NaN forgotten": ("math", "left > right || left != left ? left", "left > right ? left"),
    "unshifted softmax": ("block", "expf(logits[i] - maximum)", "expf(logits[i])"),
    "unpublished": ("block", "  block.publish();  // before the ticket says so\n", ""),
    "never the last": ("block", "plan.tickets + block.tile(), last) == last", "plan.tickets, last) == last"),
}

SWEPT = {
    "off by one": FAULTS["off by one"],
    "misaligned weights": FAULTS["misaligned weights"],
    "behind the last plane": (
        "plan",
        "args.channel_stride * args.channels % kFeaturePack == 0;",
        "args.channels > 0;",
    ),
    "another image's candidates": ("block", "all - first < size ? all - first : size", "size"),
}
"""Of these the last are seen only in memory of exactly its size."""


@pytest.fixture
def copy(library: Library, tmp_path: Path) -> Path:
    """The kernels and their tests; ``library`` skips where nothing can be compiled."""
    return copied(tmp_path)


@pytest.mark.slow
def test_the_copy_as_it_is_passes(copy: Path) -> None:
    done = outcome(copy, "head")
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(copy: Path, fault: str) -> None:
    plant(copy / "kernels" / "include", "head", FAULTS[fault])
    done = outcome(copy, "head")
    assert done.returncode != 0
    assert BUILD_FAILED not in done.stdout


@pytest.mark.parametrize(
    ("fault", "sanitizers"),
    [
        ("off by one", ("undefined",)),
        ("misaligned weights", ("undefined",)),
        pytest.param("behind the last plane", ("address",), marks=pytest.mark.slow),
        pytest.param("another image's candidates", ("address",), marks=pytest.mark.slow),
    ],
)
def test_a_planted_fault_is_found_by_the_sweep(
    library: Library, fault: str, sanitizers: tuple[str, ...], tmp_path: Path
) -> None:
    include = shutil.copytree(KERNELS / "include", tmp_path / "include")
    plant(include, "head", SWEPT[fault])
    program = compiled(tmp_path, "sweep.cpp", *sanitizers, include=include)
    done = subprocess.run([program, "random", "0", "50"], capture_output=True, text=True, check=False)
    assert done.returncode != 0, done.stdout
