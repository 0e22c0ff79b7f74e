"""Where pairs go: a scheme's rules on small graphs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgetl.errors import InputError
from edgetl.quantize import graph as reading
from edgetl.quantize import schemes
from edgetl.quantize.graph import Graph
from edgetl.quantize.plan import plan
from edgetl.quantize.schemes import SCHEMES
from tests.quantize import graphs

Load = Callable[[str], Graph]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    return lambda case: reading.load(graphs.write(case, tmp_path))


def node_of(graph: Graph, op: str, place: int = 0) -> str:
    """The name of a node, which is also its output's."""
    return str([node.name for node in graph.model.graph.node if node.op_type == op][place])


def test_tensorrt_gets_the_skip_connection_alone(load: Load) -> None:
    graph = load("residual")
    add = node_of(graph, "Add", 1)  # the first one is preprocessing
    skip, branch = node_of(graph, "Relu", 0), node_of(graph, "Conv", 2)
    pairs = plan(graph, SCHEMES["tensorrt"]).pairs
    assert add in pairs[skip]
    assert branch not in pairs


def test_openvino_gets_both_inputs_of_a_residual(load: Load) -> None:
    graph = load("residual")
    add = node_of(graph, "Add", 1)
    pairs = plan(graph, SCHEMES["openvino-cpu"]).pairs
    assert add in pairs[node_of(graph, "Relu", 0)]
    assert add in pairs[node_of(graph, "Conv", 2)]


def test_one_pair_serves_a_pooling_and_the_layer_behind_it(load: Load) -> None:
    graph = load("maxpool")
    pairs = plan(graph, SCHEMES["openvino-cpu"]).pairs
    assert pairs[node_of(graph, "Relu")] == {node_of(graph, "MaxPool")}
    assert node_of(graph, "MaxPool") not in pairs


@pytest.mark.parametrize(
    ("mode", "value", "moved"), [("constant", 0.0, True), ("constant", 1.0, False), ("edge", 0.0, False)]
)
def test_a_pair_goes_before_a_pad_of_zeros_and_of_nothing_else(
    mode: str, value: float, moved: bool, tmp_path: Path
) -> None:
    b = graphs.Builder()
    source = b.relu_conv()
    around = b.const(np.array([0, 0, 1, 1, 0, 0, 1, 1]))
    padded = b.node("Pad", source, around, b.const(value), mode=mode)
    graph = reading.load(b.save(tmp_path / "model.onnx", b.conv(padded, 8, 8)))
    pairs = plan(graph, SCHEMES["openvino-cpu"]).pairs
    assert (source in pairs, padded in pairs) == (moved, not moved)


def test_preprocessing_gets_no_pair(load: Load) -> None:
    for case in graphs.CASES:
        graph = load(case)
        for scheme in SCHEMES.values():
            first = node_of(graph, "Add")  # its output is what the first layer reads
            before = {"input", *(node_of(graph, op) for op in ("Transpose", "Cast", "Mul"))}
            pairs = plan(graph, scheme).pairs
            assert first in pairs
            assert not before & set(pairs)


def test_an_operator_that_the_scheme_does_not_take_stays_float_with_the_reason(load: Load) -> None:
    scheme = msgspec.structs.replace(SCHEMES["tensorrt"], weighted=("Conv",))
    graph = load("gemm")
    made = plan(graph, scheme)
    assert made.left == {node_of(graph, "Gemm"): "Gemm is not quantized for tensorrt"}
    assert made.layers == [node_of(graph, "Conv")]


def test_a_grouped_transposed_convolution_stays_float(tmp_path: Path) -> None:
    b = graphs.Builder()
    weights = b.const(b.rng.normal(size=(8, 2, 2, 2)))
    out = b.node("ConvTranspose", b.relu_conv(), weights, group=2)
    graph = reading.load(b.save(tmp_path / "model.onnx", out))
    assert plan(graph, SCHEMES["openvino-cpu"]).left == {out: "a grouped transposed convolution"}


def test_symmetric_targets_ask_for_int8_and_the_others_for_uint8() -> None:
    for scheme in SCHEMES.values():
        assert (scheme.activation == "int8") == scheme.symmetric


def test_an_unknown_scheme_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="openvino-cpu"):
        schemes.find("openvino-cqu")


def test_concatenations_that_share_a_tensor_share_one_scale_and_so_do_their_outputs(load: Load) -> None:
    graph = load("dense")
    (group,) = plan(graph, SCHEMES["openvino-cpu"]).equal
    assert group == {node_of(graph, "Relu", n) for n in (1, 2, 3)} | {
        node_of(graph, "Concat", n) for n in (0, 1)
    }


@pytest.mark.parametrize("scheme", ["tensorrt", "tensorrt-dla"])
def test_a_small_matmul_stays_float_for_tensorrt_and_so_does_the_pool_that_only_it_reads(
    scheme: str, load: Load
) -> None:
    graph = load("matmul")
    made = plan(graph, SCHEMES[scheme])
    assert made.left == {node_of(graph, "MatMul"): f"a small MatMul, which is faster in float for {scheme}"}
    assert made.joins == []
