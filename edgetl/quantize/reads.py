"""What layers with weights read: on average, and together (the gram that rounding by the answer needs)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from edgetl.quantize.graph import Graph
from edgetl.quantize.taps import Look
from edgetl.quantize.window import Window, window_of

__all__ = ["Averages", "Grams", "Layer", "layers_of"]

Array = npt.NDArray[Any]
Layer = tuple[onnx.NodeProto, Window]


class Averages:
    """The mean window of every layer, over samples.

    Attributes
    ----------
    tensors : what the layers read. tokens : those of them that linear layers read, with channels as their last axis.
    """

    def __init__(self, layers: list[Layer]) -> None:
        self._layers = layers
        self.tensors = list(dict.fromkeys(node.input[0] for node, _ in layers))
        self.tokens = {node.input[0] for node, window in layers if window.linear}
        self._sums: dict[str, dict[tuple[int, ...], Array]] = {name: {} for name in self.tensors}
        self._looks = 0

    def update(self, looks: Mapping[str, Look], runs: int = 1) -> None:
        """Add what some runs showed of every tensor."""
        for name, sums in self._sums.items():
            seen = looks[name]
            sums[seen.size] = sums.get(seen.size, 0.0) + runs * seen.means
        self._looks += runs

    def means(self) -> dict[str, Array]:
        """Layer -> (G, K) float64."""
        found: dict[str, Array] = {}
        for node, window in self._layers:
            sums = self._sums[node.input[0]]
            total = sum(window.means(channels, size) for size, channels in sums.items())
            found[node.name] = np.asarray(total) / self._looks
        return found


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
