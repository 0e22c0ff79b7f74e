"""What each target wants of Q/DQ: data, with the source of every rule."""

from __future__ import annotations

from typing import Literal

from edgetl.calibration.affine import Dtype
from edgetl.errors import InputError, did_you_mean
from edgetl.types import Record

__all__ = ["SCHEMES", "Scheme", "find"]


_MOVING = ("MaxPool", "Pad", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice")


class Scheme(Record, frozen=True, kw_only=True):
    """A target's rules for quantizing a graph.

    Attributes
    ----------
    activation : integer type of activations. symmetric : their zero point is 0 (int8) whatever the range.
    weighted : operators whose weights are int8, one scale for each output channel, zero point 0.
    joins : operators that run in integers when all their inputs do.
    passing : operators that move values without computing: a pair before them serves what comes after.
    between : joins that need a reader in integers too: with integers before them alone they would run in float.
    min_matmul : a MatMul of one row or column, or with an inner size or columns below this, stays in float.
    residual : which inputs of an Add get a pair: both, or the skip connection alone.
    absorb : drop a Relu or Clip that the integers behind it imply.
    centre : move what is never negative to the middle of int8, in the biases round it (``centre``).
    depthwise_float : leave depthwise convolutions in float.
    first_float, last_float : leave the first and the last weighted layer in float.
    reduce_range : weights whose sums of products fit 16 bits, for processors without VNNI.
    cast_first : a uint8 input is cast before its values are moved (``pixels``).
    """

    name: str
    activation: Dtype
    symmetric: bool
    weighted: tuple[str, ...] = ("Conv", "ConvTranspose", "Gemm", "MatMul")
    joins: tuple[str, ...] = ()
    passing: tuple[str, ...] = (*_MOVING, "Gather")
    between: tuple[str, ...] = ()
    min_matmul: int = 0
    residual: Literal["both", "skip"] = "both"
    absorb: bool = False
    centre: bool = False
    depthwise_float: bool = False
    first_float: bool = False
    last_float: bool = False
    reduce_range: bool = False
    cast_first: bool = False


_POOLS = ("AveragePool", "GlobalAveragePool", "ReduceMean")

_OPENVINO = ("openvino-cpu", "openvino-gpu", "openvino-npu")
"""One set of rules: OpenVINO's own quantizer makes no difference either.

NNCF 3.4 (min_max/algorithm.py) quantizes to 8 bits for GPU and NPU as it does for CPU. The GPU plugin runs u8 and i8
(gpu-device.rst), the NPU's quantized type is U8, with the rest in FP16 (npu-device.rst): so uint8 activations serve all
three. Neither was tried on such a device here.
"""

SCHEMES = {
    scheme.name: scheme
    for scheme in (
        *(
            Scheme(
                name=name,
                activation="uint8",
                symmetric=False,
                joins=("Add", "Mul", "Concat", *_POOLS),
                absorb=True,
            )
            for name in _OPENVINO
        ),
        Scheme(
            name="tensorrt",
            activation="int8",
            symmetric=True,
            joins=("Add", "Concat", "AveragePool", "GlobalAveragePool"),
            passing=_MOVING,  # Gather is not among the operators that TensorRT moves pairs through
            between=("AveragePool", "GlobalAveragePool"),
            min_matmul=16,
            residual="skip",
            centre=True,
            cast_first=True,
            depthwise_float=True,  # often slower than FP16 (NVIDIA/TensorRT#1409, #3205, #4529), and half of the noise
        ),
        Scheme(  # an Add is an operator of its own there; means run elsewhere (DLA-SW, operators/README.md)
            name="tensorrt-dla",
            activation="int8",
            symmetric=True,
            joins=("Add", "Concat", "AveragePool"),
            passing=_MOVING,
            min_matmul=16,
            cast_first=True,
        ),
    )
}


def find(name: str) -> Scheme:
    """The scheme called ``name``.

    Raises
    ------
    InputError : there is none.
    """
    if name not in SCHEMES:
        raise InputError(
            f"no quantization scheme {name!r}." + did_you_mean(name, SCHEMES),
            hint=f"one of {', '.join(SCHEMES)}",
        )
    return SCHEMES[name]
