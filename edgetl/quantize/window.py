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

    def means(self, average: Array) -> Array:
        """The mean window, (G, K), from the average input: (N, C, H, W), or (..., K) for a linear layer."""
        if self.linear:
            row: Array = average.reshape(1, -1, average.shape[-1]).mean(axis=1, dtype=np.float64)
            return row
        padded, (height, width) = self._padded(average.mean(axis=0))
        taps = [
            padded[
                :,
                down * self.dilations[0] :: self.strides[0],
                right * self.dilations[1] :: self.strides[1],
            ][:, :height, :width].mean(axis=(1, 2), dtype=np.float64)
            for down in range(self.kernel[0])
            for right in range(self.kernel[1])
        ]
        return np.stack(taps, axis=1).reshape(self.groups, -1)

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

    def _padded(self, values: Array) -> tuple[Array, tuple[int, int]]:
        """(C, H, W) with its padding, and the height and width of what the layer gives."""
        top, left, bottom, right = self.pads
        padded = np.pad(values, ((0, 0), (top, bottom), (left, right))) if any(self.pads) else values
        sizes = [
            (padded.shape[axis + 1] - self.dilations[axis] * (self.kernel[axis] - 1) - 1)
            // self.strides[axis]
            + 1
            for axis in (0, 1)
        ]
        return padded, (sizes[0], sizes[1])


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
