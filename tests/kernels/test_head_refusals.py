"""What the head refuses before a launch, and that the C header is one that C and ctypes agree on."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgetl.ops.cubin import Plan
from tests.kernels.head_on_host import Case, HeadArgs, Library, arguments, random_case, run
from tests.kernels.on_host import KERNELS

HEADER = KERNELS / "include" / "edgetl_head.h"
STATUS_HEADER = KERNELS / "include" / "edgetl_status.h"
STATUSES = {
    name: int(number)
    for name, number in re.findall(
        r"^  EDGETL_(\w+) = (\d+),?(?: /\*.*)?$", STATUS_HEADER.read_text(), re.MULTILINE
    )
}


def small(**options: Any) -> Case:
    """A head that would be launched."""
    return random_case(np.random.default_rng(0), (2, 8, 3, 3), 40, **options)


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        *((name, None, "NULL_POINTER") for name in ("features", "weights", "indices", "scores", "status")),
        ("workspace", None, "NULL_POINTER"),
        *((name, 0, "BAD_SIZE") for name in ("batch", "channels", "height", "width", "classes")),
        *((name, -1, "BAD_SIZE") for name in ("batch", "classes", "multiprocessors")),
        ("batch", 65536, "BAD_SIZE"),
        ("height", 2**24, "BAD_SIZE"),
        ("batch_stride", -1, "BAD_STRIDE"),
        ("batch_stride", 2**62, "BAD_STRIDE"),
        ("row_stride", 2**60, "BAD_STRIDE"),
        ("weight_stride", 2**58, "BAD_STRIDE"),
        ("feature_dtype", 3, "BAD_TYPE"),
        ("feature_dtype", -1, "BAD_TYPE"),
        ("weight_dtype", 2, "BAD_TYPE"),
        ("layout", 2, "BAD_TYPE"),
        ("top_k", 0, "BAD_TOP_K"),
        ("top_k", 33, "BAD_TOP_K"),
        ("top_k", 41, "BAD_TOP_K"),
        ("workspace_bytes", 8, "SMALL_WORKSPACE"),
    ],
)
def test_bad_arguments_are_refused_and_nothing_is_written(
    library: Library, field: str, value: int | None, status: str
) -> None:
    def spoil(args: HeadArgs) -> None:
        setattr(args, field, value)

    code, answer = run(library, small(), spoil=spoil)
    assert code == STATUSES[status]
    assert np.all(answer.indices == -77)
    assert np.all(answer.status == -77)


@pytest.mark.parametrize("field", ["features", "weights", "bias", "indices", "scores", "status", "workspace"])
def test_a_pointer_between_elements_is_refused(library: Library, field: str) -> None:
    def spoil(args: HeadArgs) -> None:
        setattr(args, field, getattr(args, field) + 1)

    assert run(library, small(), spoil=spoil)[0] == STATUSES["MISALIGNED"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("weight_stride", 2**60), ("batch_stride", 2**62), ("row_stride", 2**62), ("column_stride", 2**62)],
)
def test_a_stride_of_an_axis_of_one_may_be_any(library: Library, field: str, value: int) -> None:
    """Nothing is multiplied by it: the sanitizer would stop at what 64 bits do not hold."""
    case = random_case(np.random.default_rng(0), (1, 8, 1, 1), 1)

    def spoil(args: HeadArgs) -> None:
        setattr(args, field, value)

    code, answer = run(library, case, spoil=spoil)
    assert code == STATUSES["OK"]
    assert answer.scores.tolist() == [[1.0]]


def test_a_plan_multiplies_no_stride_beyond_what_is_addressed(library: Library) -> None:
    args = arguments(random_case(np.random.default_rng(0), (1, 1, 2, 2), 1, dtype="int8"))
    args.column_stride, args.row_stride = 2**62, 1
    args.indices = args.scores = args.status = args.workspace = 0x1000
    args.workspace_bytes = 1 << 40
    plan = Plan()
    assert library.test_plan(ctypes.byref(args), ctypes.byref(plan)) == STATUSES["OK"]
    assert (plan.height, plan.width) == (2, 2)


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_a_scale_is_finite_and_positive(library: Library, scale: float) -> None:
    def spoil(args: HeadArgs) -> None:
        args.feature_scale = scale

    assert run(library, small(dtype="int8"), spoil=spoil)[0] == STATUSES["BAD_SCALE"]
    assert run(library, small(), spoil=spoil)[0] == STATUSES["OK"]


def test_null_arguments(library: Library) -> None:
    assert library.test_head_launch(None, 0, -1) == STATUSES["NULL_POINTER"]
    assert library.edgetl_head_workspace(None, None) == STATUSES["NULL_POINTER"]


def test_every_status_is_a_sentence_of_its_own(library: Library) -> None:
    texts = {name: library.edgetl_status_text(number).decode() for name, number in STATUSES.items()}
    assert len(STATUSES) == 12
    assert len(set(texts.values())) == len(STATUSES)
    assert library.edgetl_status_text(99).decode() == "not a status of edgetl"


def test_c_and_ctypes_agree_on_the_struct(library: Library) -> None:
    assert library.test_head_args_bytes() == ctypes.sizeof(HeadArgs)
    declared = re.search(
        r"typedef struct edgetl_head_args \{(.*?)^\}", HEADER.read_text(), re.DOTALL | re.MULTILINE
    )
    assert declared is not None
    bare = re.sub(r"/\*.*?\*/", "", declared[1], flags=re.DOTALL)
    names = [name for line in re.findall(r"[^;]+;", bare) for name in re.findall(r"(\w+)\s*[,;]", line)]
    assert names == [field[0] for field in HeadArgs._fields_]


def test_the_header_is_plain_c(tmp_path: Path) -> None:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no gcc on PATH: the header cannot be compiled as C")
    source = tmp_path / "header.c"
    source.write_text('#include "edgetl_head.h"\nint main(void) { return EDGETL_OK; }\n')
    command = [compiler, "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    done = subprocess.run(
        [*command, f"-I{HEADER.parent}", str(source)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("classes", "batch", "multiprocessors", "slices"),
    [
        (1000, 1, 8, 8),  # Orin Nano: a block for each multiprocessor
        (1000, 1, 132, 63),  # one class a warp is the least
        (21841, 1, 132, 132),
        (21841, 1, 1, 86),  # what fits a block's shared memory is the most
        (1000, 64, 16, 4),  # sixteen tiles of images do the rest
        (1000, 8, 132, 63),
        (3, 1, 8, 1),
    ],
)
def test_classes_are_split_until_every_multiprocessor_works(
    library: Library, classes: int, batch: int, multiprocessors: int, slices: int
) -> None:
    args = arguments(small())
    args.classes, args.batch, args.multiprocessors = classes, batch, multiprocessors
    slice_, found, tiles = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    library.test_split(*map(ctypes.byref, (args, slice_, found, tiles)))
    assert found.value == slices
    assert tiles.value == -(-batch // (1 if batch == 1 else 4))
    assert 0 <= found.value * slice_.value - classes < slice_.value
