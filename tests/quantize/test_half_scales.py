"""Scales that FP16 holds, and integers that mean the same with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from edgetl.quantize.graph import Graph
from edgetl.quantize.half_scales import half_above, settle_scales


@given(st.floats(2.0**-40, 6e4, width=32))
def test_the_next_half_is_not_below_and_no_smaller_one_is_above(scale: float) -> None:
    found = half_above(np.array([scale], np.float32))
    assert found.astype(np.float16).astype(np.float32) == found >= scale
    below = np.nextafter(found.astype(np.float16), np.float16(0.0)).astype(np.float32)
    assert below < np.float32(scale)


def weights(values: npt.NDArray[np.int8], scale: list[float]) -> Graph:
    """A graph of one DequantizeLinear with a scale for each row."""
    parts: dict[str, npt.NDArray[Any]] = {
        "w": values,
        "s": np.array(scale, np.float32),
        "z": np.zeros(len(scale), np.int8),
    }
    node = helper.make_node("DequantizeLinear", ["w", "s", "z"], ["y"], name="DQ", axis=0)
    constants = [numpy_helper.from_array(value, name) for name, value in parts.items()]
    ends = [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, values.shape)]
    proto = helper.make_graph([node], "g", [], ends, constants)
    return Graph(helper.make_model(proto, opset_imports=[helper.make_opsetid("", 19)]))


ALL = np.arange(-127, 128, dtype=np.int8)[None]


@given(st.floats(2.0**-14, 1e3, width=32))
def test_integers_of_an_ordinary_scale_stay_what_they_are(scale: float) -> None:
    graph = weights(ALL, [scale])
    assert settle_scales(graph) == (frozenset(), {})
    assert np.array_equal(graph.array("w"), ALL)
    assert graph.array("s") == half_above(np.array([scale], np.float32))


def test_integers_of_a_tiny_scale_are_divided_again() -> None:
    scale = 3.4 * 2.0**-24
    graph = weights(ALL, [scale])
    assert settle_scales(graph) == (frozenset(), {})
    moved = graph.array("w").astype(np.float64) * graph.array("s").astype(np.float64)
    assert np.abs(moved - ALL * scale).max() <= graph.array("s").item() / 2 * (1 + 1e-6)


def test_a_scale_below_half_is_told_where_it_is_all_there_is() -> None:
    graph = weights(ALL, [2.0**-30])
    assert settle_scales(graph) == (frozenset({"y"}), {})
    assert graph.array("s") == np.float32(2.0**-30), "left as it was"


def test_a_faint_channel_beside_ordinary_ones_is_rounded_and_counted() -> None:
    graph = weights(np.concatenate([ALL, ALL]), [2.0**-30, 0.01])
    assert settle_scales(graph) == (frozenset(), {"w": 64})  # those up to 32 steps of 1/64
    assert np.array_equal(graph.array("w")[1], ALL[0])


@pytest.mark.parametrize("faint", [2.0**-18, 2.0**-14])
def test_a_channel_that_is_small_but_not_faint_loses_nothing(faint: float) -> None:
    graph = weights(np.concatenate([ALL, ALL]), [faint, 0.01])
    assert settle_scales(graph) == (frozenset(), {})
    assert np.array_equal(graph.array("w")[0], ALL[0])
