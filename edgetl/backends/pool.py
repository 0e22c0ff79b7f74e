"""What every backend's session shares: checking inputs, and a pool of requests so that threads do not meet."""

from __future__ import annotations

import queue
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl.backends.seam import Request
from edgetl.errors import InputError
from edgetl.types import TensorSpec

__all__ = ["PooledSession", "check_inputs"]

Array = npt.NDArray[Any]


def check_inputs(specs: Sequence[TensorSpec], inputs: Mapping[str, Array]) -> None:
    """Refuse what a vendor would cast or broadcast without a word.

    Raises
    ------
    InputError : a name is missing or unknown, or a dtype or shape is not the engine's.
    """
    wanted = {spec.name: spec for spec in specs}
    if inputs.keys() != wanted.keys():
        raise InputError(
            f"inputs are {sorted(inputs)}, the engine takes {sorted(wanted)}", hint="edgetl inspect BUNDLE lists them"
        )
    for name, spec in wanted.items():
        array = inputs[name]
        shape = tuple(array.shape)
        fits = len(shape) == len(spec.shape) and all(
            want is None or got == want for got, want in zip(shape, spec.shape)  # noqa: B905 (3.10)
        )
        if array.dtype != np.dtype(spec.dtype) or not fits:
            raise InputError(
                f"input {name!r} is {array.dtype} {shape}, the engine takes {spec.dtype} {spec.shape}",
                hint="uint8 pixels from 0 to 255, not scaled" if spec.dtype == "uint8" else "",
            )


class PooledSession(ABC):
    """A session that hands each caller a request of its own.

    Attributes
    ----------
    inputs, outputs : what the engine takes and gives.
    """

    def __init__(self, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self._idle: queue.LifoQueue[Request] = queue.LifoQueue()
        self._closed = False

    @abstractmethod
    def request(self) -> Request:
        """A new request with buffers of its own."""

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs for these inputs, as arrays that the caller owns; safe from any thread."""
        check_inputs(self.inputs, inputs)
        if self._closed:
            raise InputError("the session is closed", hint="open the bundle again")
        try:
            request = self._idle.get_nowait()
        except queue.Empty:
            request = self.request()
        try:
            request.fill(inputs)
            request.start()
            return {name: np.array(value) for name, value in request.wait().items()}
        finally:
            self._idle.put(request)

    def close(self) -> None:
        """Drop the requests; the vendor's memory goes with the last of them."""
        self._closed = True
        self._idle = queue.LifoQueue()
