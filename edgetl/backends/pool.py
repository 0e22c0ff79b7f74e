"""A session that hands each caller a request of its own, so that threads never meet in one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl.backends.checks import check_inputs
from edgetl.backends.seam import Request
from edgetl.errors import InputError
from edgetl.types import TensorSpec

__all__ = ["HeldInputs", "PooledSession"]

Array = npt.NDArray[Any]


class PooledSession(ABC):
    """What the sessions of all backends share; each adds how a request is made.

    Attributes
    ----------
    inputs, outputs : what the engine takes and gives.
    facts : how inferences are run, by name, for whoever reports a measurement; a backend adds what it has to say.
    """

    def __init__(self, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self.facts: dict[str, str] = {}
        self._idle: deque[Request] = deque()
        self._closed = False

    @abstractmethod
    def _make_request(self) -> Request:
        """A new request with buffers of its own."""

    @abstractmethod
    def _release(self) -> None:
        """Let go of the vendor's objects."""

    def request(self) -> Request:
        """A new request with buffers of its own, for one thread at a time."""
        if self._closed:
            raise InputError("the session is closed", hint="open the engine again")
        return self._make_request()

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs for these inputs, as arrays that the caller owns; safe from any thread.

        Raises
        ------
        InputError : a name, dtype or shape is not the engine's (nothing is cast), or the session is closed.
        """
        check_inputs(self.inputs, inputs)
        try:
            request = self._idle.pop()
        except IndexError:
            request = self.request()
        request.fill(inputs)
        outputs = {name: np.array(value) for name, value in request.infer().items()}
        if not self._closed:  # one that failed or was interrupted does not come back: it may still be running
            self._idle.append(request)
        return outputs

    def close(self) -> None:
        """Drop the requests and the vendor's objects; a second call does nothing."""
        self._closed = True
        self._idle.clear()
        self._release()


class HeldInputs:
    """The inputs of a request as plain arrays, for a runtime that reads them when the work begins.

    Parameters
    ----------
    specs : of the session's inputs; those of fixed shape get an array to write into.

    Attributes
    ----------
    inputs : the arrays, by name; ``fill`` adds those whose shape changes.
    """

    def __init__(self, specs: tuple[TensorSpec, ...]) -> None:
        self._arrays: dict[str, Array] = {
            spec.name: np.zeros([dim or 0 for dim in spec.shape], spec.dtype)
            for spec in specs
            if None not in spec.shape
        }
        self.inputs: Mapping[str, Array] = self._arrays

    def fill(self, inputs: Mapping[str, Array]) -> None:
        """Copy arrays in; an input of another size than last time gets a new array."""
        for name, array in inputs.items():
            held = self._arrays.get(name)
            if held is not None and held.shape == array.shape:
                held[...] = array
            else:
                self._arrays[name] = np.array(array)
