"""What a layer with weights multiplies: the windows of its input, in the order of its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

__all__ = ["Window", "window_of"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Window:
    """How a layer reads its input.

    Attributes
    ----------
    groups : of the input's channels. kernel : (height, width); (1, 1) for a linear layer.
    strides, dilations : along height and width. pads : top, left, bottom, right.
    linear : the input is (..., K), not a picture (N, C, H, W).
    outputs_last : weights are (K, O), not (O, ...).
    """

    groups: int = 1
    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    linear: bool = False
    outputs_last: bool = False

    @property
    def taps(self) -> int:
        """Values of each channel in a window."""
        return self.kernel[0] * self.kernel[1]

    def matrices(self, weights: Array) -> Array:
        """Weights as (G, O / G, K): one matrix for each group, K in the order of ``windows``."""
        rows = weights.T if self.outputs_last else weights
        return rows.reshape(self.groups, rows.shape[0] // self.groups, -1)

    def weights(self, matrices: Array, shape: tuple[int, ...]) -> Array:
        """The other way: (G, O / G, K) in the shape of the layer's weights."""
        rows = matrices.reshape(-1, matrices.shape[-1])
        return np.ascontiguousarray(rows.T if self.outputs_last else rows.reshape(shape))

    def means(self, channels: Array, size: tuple[int, ...]) -> Array:
        """The mean window, (G, K), of an input whose channels have these means, (C,), and this height and width.

        As if a channel were alike everywhere, so that a tap differs from another only in how often it meets padding:
        within 0.1 dB of the true mean windows on networks with pictures, and known from one figure a channel.
        """
        if self.linear:
            return channels.reshape(1, -1)
        inside = np.outer(self._inside(0, size[0]), self._inside(1, size[1])).ravel()
        return np.outer(channels, inside).reshape(self.groups, -1)

    def windows(self, values: Array, count: int, rng: np.random.Generator) -> Array:
        """Up to ``count`` windows of an input, at places drawn without repetition: (G, count, K)."""
        if self.linear:
            return values.reshape(1, -1, values.shape[-1])
        padded, (height, width) = self._padded(values[rng.integers(len(values))])
        drawn = rng.choice(height * width, min(count, height * width), replace=False)
        rows, columns = drawn // width * self.strides[0], drawn % width * self.strides[1]
        found = np.stack(
            [
                padded[:, rows + down * self.dilations[0], columns + right * self.dilations[1]]
                for down in range(self.kernel[0])
                for right in range(self.kernel[1])
            ],
            axis=1,
        )  # (C, taps, count)
        windows: Array = found.reshape(self.groups, -1, len(drawn)).swapaxes(1, 2)
        return windows

    def _inside(self, axis: int, size: int) -> Array:
        """Share of the windows in which each tap along an axis lies in the input, not in its padding."""
        taps = np.arange(self.kernel[axis])[:, None] * self.dilations[axis] - self.pads[axis]
        places = taps + np.arange(self._positions(axis, size)) * self.strides[axis]
        share: Array = ((places >= 0) & (places < size)).mean(axis=1)
        return share

    def _positions(self, axis: int, size: int) -> int:
        """How many windows there are along an axis."""
        padded = size + self.pads[axis] + self.pads[axis + 2]
        return (padded - self.dilations[axis] * (self.kernel[axis] - 1) - 1) // self.strides[axis] + 1

    def _padded(self, values: Array) -> tuple[Array, tuple[int, int]]:
        """(C, H, W) with its padding, and the height and width of what the layer gives."""
        top, left, bottom, right = self.pads
        padded = np.pad(values, ((0, 0), (top, bottom), (left, right))) if any(self.pads) else values
        return padded, (self._positions(0, values.shape[1]), self._positions(1, values.shape[2]))


def window_of(node: onnx.NodeProto, weights: Array) -> Window | None:
    """The window of a Conv, Gemm or MatMul; ``None`` where its sums are not of windows of its input."""
    told = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type == "MatMul":
        return Window(linear=True, outputs_last=True) if weights.ndim == 2 else None
    if node.op_type == "Gemm":
        plain = not told.get("transA") and told.get("alpha", 1.0) == told.get("beta", 1.0) == 1.0
        return Window(linear=True, outputs_last=not told.get("transB")) if plain else None
    if node.op_type != "Conv" or weights.ndim != 4 or told.get("auto_pad", b"NOTSET") != b"NOTSET":
        return None
    top, left, bottom, right = told.get("pads", [0, 0, 0, 0])
    return Window(
        groups=told.get("group", 1),
        kernel=(weights.shape[2], weights.shape[3]),
        strides=tuple(told.get("strides", [1, 1])),
        dilations=tuple(told.get("dilations", [1, 1])),
        pads=(top, left, bottom, right),
    )
