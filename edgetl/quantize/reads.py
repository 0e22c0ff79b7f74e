"""What layers with weights read: on average, and together (the gram that rounding by the answer needs)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from edgetl.errors import InputError
from edgetl.quantize.graph import Graph
from edgetl.quantize.window import Window, window_of

__all__ = ["Averages", "Grams", "Layer", "layers_of"]

Array = npt.NDArray[Any]
Layer = tuple[onnx.NodeProto, Window]


class Averages:
    """The mean window of every layer, from the average of the tensor that it reads.

    A convolution is linear: the mean of its windows over samples and places is that of the average sample's windows,
    so that memory holds one sample of each tensor, whatever the number of samples.

    Attributes
    ----------
    tensors : what the layers read.
    """

    def __init__(self, graph: Graph) -> None:
        self._layers = layers_of(graph)
        self.tensors = list(dict.fromkeys(node.input[0] for node, _ in self._layers))
        self._sums: dict[str, Array] = {}
        self._samples = 0

    def update(self, arrays: Mapping[str, Array]) -> None:
        """Add one sample of every tensor, (1, ...)."""
        for name in self.tensors:
            held = self._sums.get(name)
            if held is None:
                self._sums[name] = arrays[name].astype(np.float32)
            elif held.shape == arrays[name].shape:
                held += arrays[name]
            else:
                raise InputError(
                    f"samples differ in size: tensor {name!r} is {list(arrays[name].shape)} for sample "
                    f"{self._samples}, and was {list(held.shape)}",
                    hint="bring all samples to one size, the one in use",
                )
        self._samples += 1

    def means(self) -> dict[str, Array]:
        """Layer -> (G, K)."""
        return {
            node.name: window.means(self._sums[node.input[0]] / np.float32(self._samples))
            for node, window in self._layers
        }


class Grams:
    """``X X'`` of the windows of layers, at places drawn from each sample.

    Parameters
    ----------
    layers : of ``layers_of``.
    places : windows taken of each sample and layer. seed : of the drawing.

    Attributes
    ----------
    tensors : what the layers read.
    """

    def __init__(self, layers: list[Layer], *, places: int = 64, seed: int = 0) -> None:
        self._layers = layers
        self.tensors = list(dict.fromkeys(node.input[0] for node, _ in self._layers))
        self._places = places
        self._rng = np.random.default_rng(seed)
        self.found: dict[str, Array] = {}
        """Layer -> (G, K, K) float64."""

    def update(self, arrays: Mapping[str, Array]) -> None:
        """Add one sample of every tensor, (1, ...)."""
        for node, window in self._layers:
            rows = window.windows(arrays[node.input[0]], self._places, self._rng)
            gram = rows.swapaxes(1, 2) @ rows
            if node.name in self.found:
                self.found[node.name] += gram
            else:
                self.found[node.name] = gram.astype(np.float64)


def layers_of(graph: Graph) -> list[Layer]:
    """The layers whose windows can be told, in graph order."""
    found = ((node, window_of(node, graph.array(node.input[1]))) for node in graph.weighted())
    return [(node, window) for node, window in found if window is not None]
