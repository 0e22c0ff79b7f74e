"""Options in trtexec's spelling, and the shapes that they give an input."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetl.backends.tensorrt import options
from edgetl.errors import InputError
from edgetl.types import TensorSpec

FREE = TensorSpec(name="input", dtype="uint8", shape=(None, 32, 32, 3))
FIXED = TensorSpec(name="mask", dtype="float32", shape=(1, 4))


def test_values_may_be_text_as_the_command_line_gives_them() -> None:
    asked = options.read(
        {
            "builderOptimizationLevel": "5",
            "allowGPUFallback": "true",
            "memPoolSize": "workspace:2G,dlaSRAM:0.5",
        }
    )
    assert (asked.level, asked.gpu_fallback) == (5, True)
    assert options.pools(asked) == {"workspace": 2 << 30, "dlaSRAM": 1 << 19}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"minShape": "input:1x32x32x3"}, "Did you mean 'minShapes'"),
        ({"builderOptimizationLevel": 6}, "not from 0 to 5"),
        ({"builderOptimizationLevel": "high"}, "builderOptimizationLevel"),
        ({"memPoolSize": "workspce:1024"}, "Did you mean 'workspace'"),
        ({"memPoolSize": "workspace:lots"}, "not pool:size"),
        ({"hardwareCompatibilityLevel": "ampere"}, "ampere"),
        ({"optShapes": "input=1x32x32x3"}, "not name:1x3x224x224"),
    ],
)
def test_an_option_that_cannot_be_is_refused(asked: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        options.read(asked)


def test_a_missing_bound_is_the_nearest_that_was_given() -> None:
    small, middle, large = (1, 32, 32, 3), (4, 32, 32, 3), (8, 32, 32, 3)

    def found(**asked: str) -> object:
        return options.shapes(options.read(asked), [FREE, FIXED])["input"]

    assert found(optShapes="input:4x32x32x3") == (middle, middle, middle)
    assert found(minShapes="input:1x32x32x3") == (small, small, small)
    assert found(minShapes="input:1x32x32x3", maxShapes="input:8x32x32x3") == (small, large, large)
    assert found(minShapes="input:1x32x32x3", optShapes="input:4x32x32x3") == (small, middle, middle)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "no shape is given"),
        ({"optShapes": "image:4x32x32x3"}, "no input with a free axis"),
        ({"optShapes": "mask:1x4"}, "no input with a free axis"),
        ({"optShapes": "input:4x64x32x3"}, "does not fit"),
        ({"optShapes": "input:4x32x32"}, "does not fit"),
        ({"minShapes": "input:8x32x32x3", "maxShapes": "input:1x32x32x3"}, "not in order"),
    ],
)
def test_shapes_that_do_not_fit_the_model_are_refused(asked: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        options.shapes(options.read(asked), [FREE, FIXED])


def test_a_model_of_fixed_shapes_needs_none() -> None:
    assert options.shapes(options.read({}), [FIXED]) == {}


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_./:0-9]{1,8}", fullmatch=True), st.lists(st.integers(0, 9)), max_size=3
    )
)
def test_names_and_shapes_are_read_as_trtexec_writes_them(shapes: dict[str, list[int]]) -> None:
    text = ",".join(
        f"'{name}':{'x'.join(map(str, dims)) if dims else 'scalar'}" for name, dims in shapes.items()
    )
    assert options._named_shapes(text, "optShapes") == {name: tuple(dims) for name, dims in shapes.items()}
