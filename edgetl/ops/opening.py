"""A head for arrays of the host, on the GPU where one can be had, else in numpy; which of them is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgetl.errors import BackendError, EnvironmentLacks
from edgetl.ops import head
from edgetl.ops.device import Device, OnDevice, check_array
from edgetl.ops.head import Answer, FusedHead
from edgetl.ops.head_checks import check_linear
from edgetl.ops.shipped import Kernels

__all__ = ["GpuHead", "Head", "NumpyHead", "open_head"]

Array = npt.NDArray[Any]


class Head(Protocol):
    """A classifier's last layers.

    Attributes
    ----------
    facts : ``head``, which says where it runs and why.
    """

    facts: Mapping[str, str]

    def run(self, features: Array) -> Answer[Array]:
        """Of (N, C, H, W) features: see ``edgetl.ops.head.reference``."""

    def close(self) -> None:
        """Give back what it holds; a second call does nothing."""


class NumpyHead:
    """The twin in numpy; see ``Head``.

    Parameters
    ----------
    reason : why there is no GPU to run it on.
    """

    def __init__(
        self, weights: Array, bias: Array | None, *, top_k: int, scale: float | None, reason: str
    ) -> None:
        self._weights, self._bias, self._top_k, self._scale = weights, bias, top_k, scale
        self.facts: Mapping[str, str] = {"head": f"numpy: {reason}"}

    def run(self, features: Array) -> Answer[Array]:
        """In this process, on the CPU."""
        return head.reference(features, self._weights, self._bias, top_k=self._top_k, scale=self._scale)

    def close(self) -> None:
        """It holds nothing."""


class GpuHead:
    """The fused head with weights of its own on the GPU, and room for the shape that came last; see ``Head``."""

    def __init__(
        self,
        library: Kernels,
        device: Device,
        weights: Array,
        bias: Array | None,
        *,
        top_k: int,
        scale: float | None,
    ) -> None:
        self._device = device
        self._classes, self._top_k = len(weights), top_k
        self._constants = [OnDevice(device, array) for array in (weights, bias) if array is not None]
        self._fused = FusedHead(library.head, device, *self._constants, top_k=top_k, scale=scale)
        self._room: list[OnDevice] = []
        self._answer: Answer[OnDevice] | None = None
        self._launch: head.Launch | None = None
        self._shape: tuple[object, ...] = ()
        self.facts: Mapping[str, str] = {"head": f"fused: {library.origin}"}

    def run(self, features: Array) -> Answer[Array]:
        """Copied in, launched once, copied out; memory is taken only when the shape is another.

        Raises
        ------
        InputError : the features do not fit, or the head is closed.
        """
        self._fused.check_open()
        check_array("features", features)
        if self._shape != (features.dtype, features.shape):
            self._make_room(features)
        assert self._answer is not None and self._launch is not None
        self._room[0].fill(features)
        self._launch()
        return Answer(**{name: array.numpy() for name, array in vars(self._answer).items()})

    def close(self) -> None:
        """Give all memory back."""
        self._drop_room()
        self._fused.close()
        for array in self._constants:
            array.close()

    def _make_room(self, features: Array) -> None:
        self._drop_room()
        batch, k = len(features), self._top_k
        given = self._place(features)
        self._answer = Answer(
            indices=self._place(np.zeros((batch, k), np.int32)),
            scores=self._place(np.zeros((batch, k), np.float32)),
            status=self._place(np.zeros(batch, np.int32)),
            probabilities=self._place(np.zeros((batch, self._classes), np.float32)),
        )
        self._launch = self._fused.bind(given, self._answer)
        self._shape = (features.dtype, features.shape)

    def _place(self, values: Array) -> OnDevice:
        self._room.append(OnDevice(self._device, values))
        return self._room[-1]

    def _drop_room(self) -> None:
        self._shape, self._answer, self._launch = (), None, None
        while self._room:
            self._room.pop().close()


def open_head(
    weights: Array,
    bias: Array | None = None,
    *,
    top_k: int = 5,
    scale: float | None = None,
    device: Callable[[], Device],
    library: Callable[[str], Kernels],
) -> Head:
    """A head on the GPU, or in numpy where this host lacks something; ``facts["head"]`` says which, and what lacks.

    Parameters
    ----------
    weights, bias, top_k, scale : as ``edgetl.ops.head.reference`` takes them.
    device : the GPU. library : of kernels, for a compute capability (``edgetl.ops.library.find``; with
        ``edgetl.ops.shipped.before`` a bundle's own come first). It is called in the GPU's context.

    Raises
    ------
    InputError : weights, bias, ``top_k`` or ``scale`` that no head can be made of.
    BackendError : CUDA or its compiler refused, which is no lack. BundleError : a byte of a bundle's kernels differs.
    """
    check_linear(weights, bias, top_k=top_k, scale=scale)
    try:
        gpu = device()
        with gpu.current():
            kernels = library(gpu.capability)
    except BackendError:
        raise
    except EnvironmentLacks as error:
        return NumpyHead(weights, bias, top_k=top_k, scale=scale, reason=error.problem)
    return GpuHead(kernels, gpu, weights, bias, top_k=top_k, scale=scale)
