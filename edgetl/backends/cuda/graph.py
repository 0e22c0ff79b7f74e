"""CUDA graphs by cuda-python, for PyCUDA has none: the only module that imports it.

Both take a stream as an address, and both work in the primary context, so that what one puts on a stream the other
can capture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgetl.backends.cuda.driver import Stream
from edgetl.errors import BackendError

__all__ = ["CapturedGraph", "capture", "missing"]


def missing() -> str:
    """Why nothing can be captured here; empty where it can."""
    try:
        _binding()
    except ImportError:
        return "no CUDA graphs, for cuda-python (from 12.8 on) is not installed"
    return ""


class CapturedGraph:
    """A graph that can be launched; see ``edgetl.backends.cuda.driver.Graph``."""

    def __init__(self, executable: Any, stream: Any) -> None:
        self._cuda = _binding()
        self._executable: Any = executable
        self._stream = stream

    def launch(self, stream: Stream) -> None:
        """Put it on the stream that it was captured on."""
        error = self._cuda.cuGraphLaunch(self._executable, self._stream)[0]
        if error:
            raise _refused(error, "cuGraphLaunch")

    def close(self) -> None:
        """Give it back."""
        if self._executable is not None:
            self._cuda.cuGraphExecDestroy(self._executable)
            self._executable = None


def capture(stream: Stream, work: Callable[[], None]) -> CapturedGraph:
    """A graph of what ``work`` puts on the stream.

    Other threads may go on allocating meanwhile: the capture is this thread's own, as trtexec makes it.

    Raises
    ------
    BackendError : CUDA cannot capture something in it.
    """
    cuda = _binding()
    handle = cuda.CUstream(stream.handle)
    mode = cuda.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
    _checked(cuda.cuStreamBeginCapture(handle, mode), "cuStreamBeginCapture")
    try:
        work()
    except BaseException:
        cuda.cuStreamEndCapture(handle)  # until then the stream takes no other work
        raise
    graph = _checked(cuda.cuStreamEndCapture(handle), "cuStreamEndCapture")
    try:
        executable = _checked(cuda.cuGraphInstantiate(graph, 0), "cuGraphInstantiate")
    finally:
        cuda.cuGraphDestroy(graph)
    return CapturedGraph(executable, handle)


def _binding() -> Any:
    from cuda.bindings import driver

    return driver


def _checked(answer: tuple[Any, ...], call: str) -> Any:
    """What a call returned beside its code."""
    if answer[0]:
        raise _refused(answer[0], call)
    return answer[1] if len(answer) > 1 else None


def _refused(error: Any, call: str) -> BackendError:
    name = getattr(error, "name", str(error))
    return BackendError(f"{call} failed: {name}", hint="--debug shows where", vendor=f"{call}: {name}")
