"""R38 and R39: what NVIDIA's deep learning accelerator asks beside TensorRT's own rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from edgetl.quantize.lint.pairs import Pairs
from edgetl.quantize.lint.rules import Fault

__all__ = ["CHECKS"]

MAX_BATCH, MAX_SIZE = 4096, 8192
NATIVE = frozenset(
    {
        "Add",
        "AveragePool",
        "BatchNormalization",
        "Clip",
        "Concat",
        "Conv",
        "ConvTranspose",
        "DequantizeLinear",
        "Flatten",
        "Gemm",
        "Identity",
        "LeakyRelu",
        "Max",
        "MaxPool",
        "Mul",
        "PRelu",
        "QuantizeLinear",
        "Relu",
        "Reshape",
        "Resize",
        "Sigmoid",
        "Slice",
        "Softmax",
        "Squeeze",
        "Sub",
        "Tanh",
        "Transpose",
        "Unsqueeze",
    }
)


def _fixed_shapes(pairs: Pairs) -> Iterator[Fault]:
    for value in pairs.graph.model.graph.input:
        shape = pairs.shape(value.name)
        if shape is None or any(not size for size in shape):
            yield Fault(value.name, "its shape is not fixed")
        elif shape and (shape[0] or 0) > MAX_BATCH:
            yield Fault(value.name, f"batch of {shape[0]}, at most {MAX_BATCH}")
        elif any((size or 0) > MAX_SIZE for size in shape[1:]):
            yield Fault(value.name, f"a dimension of {max(s or 0 for s in shape[1:])}, at most {MAX_SIZE}")


def _native(pairs: Pairs) -> Iterator[Fault]:
    for node in pairs.nodes:
        if all(pairs.constant(name) for name in node.output):
            continue  # folded before anything runs
        if node.op_type == "MatMul":
            if not pairs.constant(node.input[1]):
                yield Fault(node.name, "MatMul of two activations")
        elif node.op_type not in NATIVE:
            yield Fault(node.name, f"{node.op_type} does not run on DLA")


CHECKS: Mapping[str, Callable[[Pairs], Iterator[Fault]]] = {"R38": _fixed_shapes, "R39": _native}
