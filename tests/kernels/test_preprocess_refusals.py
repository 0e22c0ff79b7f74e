"""What the preprocessor refuses before a launch, and that the C header is one that C and ctypes agree on."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgetl.ops.frames import MATRICES, RANGES
from edgetl.ops.preprocess import FORMATS, MAX_SIDE, PreprocessArgs
from tests.kernels.head_on_host import Library
from tests.kernels.on_host import KERNELS

HEADER = KERNELS / "include" / "edgetl_preprocess.h"
TEXT = HEADER.read_text()
OK, NULL_POINTER, BAD_SIZE, BAD_STRIDE, BAD_TYPE, BAD_CROP = 0, 1, 2, 3, 4, 11


def answer(library: Library, **changes: Any) -> int:
    """The status of an NV12 frame of 8 x 8 pixels, but for the changes; a refused launch writes nothing."""
    luma, chroma = np.zeros((8, 8), np.uint8), np.zeros((4, 4, 2), np.uint8)
    out = np.full((2, 2, 3), 77, np.uint8)
    sizes = {"height": 8, "width": 8, "input_height": 2, "input_width": 2}
    given = {
        **{"pixels": luma.ctypes.data, "chroma": chroma.ctypes.data, "input": out.ctypes.data},
        **{"pixel_pitch": 8, "chroma_pitch": 8, "crop_numerator": 1, "crop_denominator": 1},
        **{**sizes, "format": FORMATS["nv12"], "input_format": FORMATS["rgb"], "matrix": 0, "range": 0},
    }
    code = int(library.test_preprocess_launch(ctypes.byref(PreprocessArgs(**{**given, **changes})), 0, -1))
    assert np.all(out == 77) == (code != OK)
    return code


def test_the_frame_that_the_refusals_start_from_is_taken(preprocess_library: Library) -> None:
    assert answer(preprocess_library) == OK


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        *((name, None, NULL_POINTER) for name in ("pixels", "chroma", "input")),
        *((name, 0, BAD_SIZE) for name in ("height", "width", "input_height", "input_width")),
        *((name, -2, BAD_SIZE) for name in ("height", "input_width")),
        *((name, MAX_SIDE + 2, BAD_SIZE) for name in ("height", "width", "input_height", "input_width")),
        *((name, 7, BAD_SIZE) for name in ("height", "width")),
        *((name, 7, BAD_STRIDE) for name in ("pixel_pitch", "chroma_pitch")),
        *((name, -8, BAD_STRIDE) for name in ("pixel_pitch", "chroma_pitch")),
        *((name, 2**61, BAD_STRIDE) for name in ("pixel_pitch", "chroma_pitch")),
        *((name, 3, BAD_TYPE) for name in ("format", "input_format", "matrix", "range")),
        *((name, -1, BAD_TYPE) for name in ("format", "input_format", "matrix", "range")),
        ("input_format", FORMATS["nv12"], BAD_TYPE),
        *((name, value, BAD_CROP) for name in ("crop_numerator", "crop_denominator") for value in (0, -1)),
        ("crop_numerator", 2, BAD_CROP),
    ],
)
def test_bad_arguments_are_refused_and_nothing_is_written(
    preprocess_library: Library, field: str, value: int | None, status: int
) -> None:
    assert answer(preprocess_library, **{field: value}) == status


def test_what_a_frame_of_pixels_does_not_need_is_not_looked_at(preprocess_library: Library) -> None:
    unused = {"chroma": None, "chroma_pitch": -1, "matrix": 9, "range": 9}
    odd = {"height": 5, "width": 1, "pixel_pitch": 3}
    assert answer(preprocess_library, format=FORMATS["bgr"], **unused, **odd) == OK
    assert answer(preprocess_library, format=FORMATS["bgr"], **unused, **odd | {"width": 2}) == BAD_STRIDE


def test_null_arguments(preprocess_library: Library) -> None:
    assert preprocess_library.test_preprocess_launch(None, 0, -1) == NULL_POINTER


def test_c_and_ctypes_agree_on_the_struct(preprocess_library: Library) -> None:
    assert preprocess_library.test_preprocess_args_bytes() == ctypes.sizeof(PreprocessArgs)
    declared = re.search(r"typedef struct edgetl_preprocess_args \{(.*?)^\}", TEXT, re.DOTALL | re.MULTILINE)
    assert declared is not None
    bare = re.sub(r"/\*.*?\*/", "", declared[1], flags=re.DOTALL)
    names = [name for line in re.findall(r"[^;]+;", bare) for name in re.findall(r"(\w+)\s*[,;]", line)]
    assert names == [field[0] for field in PreprocessArgs._fields_]


@pytest.mark.parametrize("known", [FORMATS, MATRICES, RANGES], ids=["formats", "matrices", "ranges"])
def test_c_and_python_count_alike(known: dict[str, int]) -> None:
    for name, number in known.items():
        assert f"EDGETL_{name.upper()} = {number}" in TEXT
    assert f"EDGETL_PREPROCESS_MAX_SIDE = 1 << {MAX_SIDE.bit_length() - 1}" in TEXT


def test_the_header_is_plain_c(tmp_path: Path) -> None:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no gcc on PATH: the header cannot be compiled as C")
    source = tmp_path / "header.c"
    source.write_text('#include "edgetl_preprocess.h"\nint main(void) { return EDGETL_OK; }\n')
    command = [compiler, "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    done = subprocess.run(
        [*command, f"-I{HEADER.parent}", str(source)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
