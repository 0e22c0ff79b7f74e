"""The fused classification head: global average pool, linear, bias, softmax and top-k in one launch.

``reference`` is its twin in numpy. ``kernels/README.md`` has the algorithm, ``edgetl_head.h`` the C ABI.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from edgetl.errors import BackendError, EdgetlError, InputError
from edgetl.ops.device import Device, DeviceArray, Memory, check_end, read
from edgetl.ops.head_checks import FEATURES, WEIGHTS, check

__all__ = ["Answer", "FusedHead", "HeadArgs", "HeadFunctions", "Launch", "reference"]

Array = npt.NDArray[Any]
T = TypeVar("T")

OK, NAN = 0, 10
SMALL_WORKSPACE, LAUNCH_FAILED = 8, 9
"""Of ``edgetl_status``."""


class HeadArgs(ctypes.Structure):
    """``edgetl_head_args`` of ``edgetl_head.h``, field by field."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("features", "weights", "bias")),
        *((name, ctypes.c_void_p) for name in ("indices", "scores", "probabilities", "status", "workspace")),
        ("workspace_bytes", ctypes.c_uint64),
        *((f"{name}_stride", ctypes.c_int64) for name in ("batch", "channel", "row", "column", "weight")),
        *((name, ctypes.c_int32) for name in ("batch", "channels", "height", "width", "classes", "top_k")),
        *((name, ctypes.c_int32) for name in ("feature_dtype", "weight_dtype", "layout", "multiprocessors")),
        ("feature_scale", ctypes.c_float),
    ]


class HeadFunctions(NamedTuple):
    """The head's functions of ``edgetl_head.h``; each answers with an ``edgetl_status``.

    Attributes
    ----------
    workspace : of arguments and where to put the size. launch : of arguments and a stream. text : of a status.
    """

    workspace: Callable[[Any, Any], int]
    launch: Callable[[Any, Any], int]
    text: Callable[[int], bytes]

    @classmethod
    def of(cls, functions: ctypes.CDLL) -> HeadFunctions:
        """Those of a library that was loaded."""
        functions.edgetl_status_text.restype = ctypes.c_char_p
        return cls(
            functions.edgetl_head_workspace, functions.edgetl_head_launch, functions.edgetl_status_text
        )


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What the head says of N images: arrays of numpy, or of a GPU for a launch to write to.

    Attributes
    ----------
    indices : (N, top_k) int32, the largest logit first, of equal ones the smaller index; -1 after NaN.
    scores : (N, top_k) float32, the probabilities of those classes; NaN after NaN.
    status : (N,) int32, 0, or 10 where a logit is NaN, the largest one infinite, or all are minus infinity.
    probabilities : (N, classes) float32; ``None`` where they are not wanted.
    """

    indices: T
    scores: T
    status: T
    probabilities: T | None = None


class Launch:
    """A head bound to its arrays; calling it puts one launch on the stream, and neither looks at them nor allocates.

    It keeps the arrays, and the head its workspace: launches of one head are in order, on one stream.

    Raises
    ------
    InputError : the head is closed, and the workspace with it. BackendError : CUDA refused the launch.
    """

    def __init__(
        self, head: FusedHead, functions: HeadFunctions, args: HeadArgs, stream: int, kept: object
    ) -> None:
        self._head = head
        self._device = head.device
        self._functions = functions
        self._args = ctypes.byref(args)
        self._stream = ctypes.c_void_p(stream)
        self._kept = kept

    def __call__(self) -> None:
        """Return at once; the answer is there when the stream is."""
        self._head.check_open()
        with self._device.current():
            code = self._functions.launch(self._args, self._stream)
        if code:
            raise _refusal(self._functions, code)


class FusedHead:
    """A classifier's last layers on a GPU.

    Parameters
    ----------
    functions : of a library for this GPU. device : where it runs, also an attribute.
    weights : (classes, C) float32 or float16 on the GPU, channels contiguous.
    bias : (classes,) float32 on the GPU, contiguous.
    top_k : 1 to 32, at most the classes. scale : feature value per integer step, with INT8 features and no others.
    stream : address of the stream of every launch; 0 is the default one.

    Raises
    ------
    InputError : of each array and number that does not fit, in one line.
    """

    def __init__(
        self,
        functions: HeadFunctions,
        device: Device,
        weights: object,
        bias: object | None = None,
        *,
        top_k: int = 5,
        scale: float | None = None,
        stream: int = 0,
    ) -> None:
        self._functions = functions
        self.device = device
        self._is_open = True
        self._weights = read(device, "weights", weights)
        if self._weights.shape[1:] > (1,) and self._weights.strides[1] != 1:
            raise InputError(
                f"weights are not contiguous: {self._weights.strides[1]} elements from channel to channel",
                hint="pass a copy",
            )
        self._bias = None if bias is None else read(device, "bias", bias, dense=True)
        self._kept = weights, bias
        self._top_k = top_k
        self._scale = scale
        self._stream = stream
        # By batch: where its parts are follows from the batch, and the next launch needs its own zeros back.
        self._workspaces: dict[int, tuple[Memory, int]] = {}

    def bind(self, features: object, answer: Answer[Any]) -> Launch:
        """A launch on these arrays, which are checked here, once; memory is taken once a batch size.

        Parameters
        ----------
        features : (N, C, H, W) float32, float16 or int8 on the GPU, in any strides that walk forward.
        answer : GPU arrays to write to, contiguous.

        Raises
        ------
        InputError : of each array that does not fit, in one line; or the head is closed.
        EnvironmentLacks : the GPU has no memory left.
        """
        self.check_open()
        given = read(self.device, "features", features)
        check(given, self._weights, self._bias, top_k=self._top_k, scale=self._scale)
        for name, array in (("features", given), ("weights", self._weights), ("bias", self._bias)):
            if array is not None:
                check_end(self.device, name, array)
        args = self._arguments(given)
        self._bind_answer(args, answer)
        args.workspace, args.workspace_bytes = self._workspace(args)
        return Launch(self, self._functions, args, self._stream, (features, answer))

    def check_open(self) -> None:
        """Refuse a head that gave its workspaces back: another allocation may have them now.

        Raises
        ------
        InputError : it is closed.
        """
        if not self._is_open:
            raise InputError("the head is closed", hint="make it again")

    def close(self) -> None:
        """Give the workspaces back, once; launches that were bound are refused from then on."""
        self._is_open = False
        with self.device.current():
            for memory, _ in self._workspaces.values():
                memory.close()
        self._workspaces.clear()

    def _arguments(self, features: DeviceArray) -> HeadArgs:
        batch, channels, height, width = features.shape
        strides = features.strides
        return HeadArgs(
            features=features.address,
            weights=self._weights.address,
            bias=None if self._bias is None else self._bias.address,
            **{f"{name}_stride": step for name, step in zip(("batch", "channel", "row", "column"), strides)},
            weight_stride=self._weights.strides[0],
            batch=batch,
            channels=channels,
            height=height,
            width=width,
            classes=self._weights.shape[0],
            top_k=self._top_k,
            feature_dtype=FEATURES[features.dtype],
            weight_dtype=WEIGHTS[self._weights.dtype],
            layout=int(strides[1] < strides[3]),
            multiprocessors=self.device.multiprocessors,
            feature_scale=1.0 if self._scale is None else self._scale,
        )

    def _bind_answer(self, args: HeadArgs, answer: Answer[Any]) -> None:
        wanted = {
            "indices": (np.dtype(np.int32), (args.batch, args.top_k)),
            "scores": (np.dtype(np.float32), (args.batch, args.top_k)),
            "status": (np.dtype(np.int32), (args.batch,)),
            "probabilities": (np.dtype(np.float32), (args.batch, args.classes)),
        }
        for name, (dtype, shape) in wanted.items():
            array = getattr(answer, name)
            if array is None and name == "probabilities":
                continue
            found = read(self.device, name, array, dense=True, writes=True)
            if (found.dtype, found.shape) != (dtype, shape):
                raise InputError(
                    f"{name} is {found.dtype} {found.shape}; the head writes {dtype} {shape}",
                    hint="allocate it for this batch",
                )
            check_end(self.device, name, found)
            setattr(args, name, found.address)

    def _workspace(self, args: HeadArgs) -> tuple[int, int]:
        if args.batch not in self._workspaces:
            size = ctypes.c_uint64()
            code = self._functions.workspace(ctypes.byref(args), ctypes.byref(size))
            if code:
                raise _refusal(self._functions, code)
            with self.device.current():
                self._workspaces[args.batch] = self.device.zeros(size.value), size.value
        memory, size_bytes = self._workspaces[args.batch]
        return memory.pointer, size_bytes


def reference(
    features: Array,
    weights: Array,
    bias: Array | None = None,
    *,
    top_k: int = 5,
    scale: float | None = None,
) -> Answer[Array]:
    """The same in numpy: sums in float64, ranks by logit, ties to the smaller index.

    Parameters
    ----------
    features : (N, C, H, W) float32, float16 or int8. weights : (classes, C) float32 or float16.
    bias : (classes,) float32. top_k, scale : as ``FusedHead`` takes them.

    Raises
    ------
    InputError : what the kernel refuses.
    """
    check(features, weights, bias, top_k=top_k, scale=scale)
    # The scale is the float32 that the kernel gets.
    means = features.astype(np.float64).mean(axis=(2, 3)) * np.float64(
        np.float32(1 if scale is None else scale)
    )
    with np.errstate(invalid="ignore", over="ignore"):
        logits = means @ weights.astype(np.float64).T + (0 if bias is None else bias)
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = raised / raised.sum(axis=1, keepdims=True)
    sound = np.isfinite(logits.max(axis=1, keepdims=True))  # a NaN among them is the maximum
    probabilities[~sound[:, 0]] = np.nan
    ranked = np.argsort(-logits, axis=1, kind="stable")[:, :top_k]
    return Answer(
        indices=np.where(sound, ranked, -1).astype(np.int32),
        scores=np.take_along_axis(probabilities, ranked, axis=1).astype(np.float32),
        status=np.where(sound[:, 0], OK, NAN).astype(np.int32),
        probabilities=probabilities.astype(np.float32),
    )


def _refusal(functions: HeadFunctions, code: int) -> EdgetlError:
    """A status of C as an error."""
    words = functions.text(code).decode()
    if code == LAUNCH_FAILED:
        return BackendError(
            f"the head did not start: {words}",
            hint="the driver must serve the CUDA that the library was compiled with: nvidia-smi names it",
            vendor=words,
        )
    if code == SMALL_WORKSPACE:
        return EdgetlError(f"the head refused its own workspace: {words}")
    return InputError(
        f"the head refused its arguments: {words}", hint="edgetl_head.h has the limits", status=code
    )
