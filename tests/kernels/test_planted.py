"""The tests of the head have teeth: a fault planted in the kernel's sources makes them fail."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernels.head_on_host import Library
from tests.kernels.on_host import KERNELS

pytestmark = pytest.mark.slow

ROOT = KERNELS.parent
BUILD_FAILED = "head_on_host.cpp"
"""What the compiler names when a fault is one that it finds itself, which proves nothing of the tests."""

FAULTS = {
    "off by one": ("pool", "column < plan.width; column += k", "column < plan.width - 1; column += k"),
    "misaligned weights": (
        "plan",
        "args.weight_stride % pack == 0 && is",
        "args.weight_stride % pack >= 0 && is",
    ),
    "misaligned rows": ("plan", "args.row_stride % kFeaturePack == 0 &&", ""),
    "misaligned images": ("plan", "args.batch_stride % kFeaturePack == 0 &&", ""),
    "offset of 32 bits": ("pool", "image * args.batch_stride", "std::int32_t(image * args.batch_stride)"),
    "later of equals": ("math", "left.index < right.index", "left.index > right.index"),
    "NaN forgotten": ("math", "left > right || left != left ? left", "left > right ? left"),
    "unshifted softmax": ("block", "expf(logits[i] - maximum)", "expf(logits[i])"),
    "never the last": ("block", "plan.tickets + block.tile(), last) == last", "plan.tickets, last) == last"),
}


def head_tests(copy: Path) -> subprocess.CompletedProcess[str]:
    """The tests of the head, run on a copy of its sources in a process that a sanitizer may end."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/kernels/test_head.py",
    ]
    return subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def copy(library: Library, tmp_path: Path) -> Path:
    """The kernels and their tests; ``library`` skips where nothing can be compiled."""
    for part in ("kernels", "tests/kernels", "tests/ops"):
        shutil.copytree(ROOT / part, tmp_path / part)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_copy_as_it_is_passes(copy: Path) -> None:
    done = head_tests(copy)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(copy: Path, fault: str) -> None:
    file, right, wrong = FAULTS[fault]
    source = copy / "kernels" / "include" / f"edgetl_head_{file}.h"
    text = source.read_text()
    assert text.count(right) == 1
    source.write_text(text.replace(right, wrong))
    done = head_tests(copy)
    assert done.returncode != 0
    assert BUILD_FAILED not in done.stdout
