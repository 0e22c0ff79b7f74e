"""Capturing by cuda-python, on a stand-in of its driver module that keeps what is called."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from edgetl.backends.cuda import graph
from edgetl.errors import BackendError
from tests.backends.fake_cuda import FakeCuda, FakeStream


class Binding(ModuleType):
    """``cuda.bindings.driver``: a call answers a tuple that begins with a code; ``fails`` names one that refuses."""

    CUstreamCaptureMode = SimpleNamespace(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL="this thread's")

    def __init__(self) -> None:
        super().__init__("driver")
        self.calls: list[tuple[Any, ...]] = []
        self.fails = ""

    def CUstream(self, handle: int) -> str:
        """The vendor's type of a handle."""
        return f"stream {handle:#x}"

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("cu"):
            raise AttributeError(name)

        def call(*arguments: Any) -> tuple[Any, ...]:
            self.calls.append((name, *arguments))
            code = SimpleNamespace(name="CUDA_ERROR_X") if name == self.fails else 0
            made = {"cuStreamEndCapture": "graph", "cuGraphInstantiate": "executable"}
            return (code, made[name]) if name in made else (code,)

        return call


@pytest.fixture
def binding(monkeypatch: pytest.MonkeyPatch) -> Binding:
    """The stand-in, installed."""
    made = Binding()
    monkeypatch.setitem(sys.modules, "cuda", ModuleType("cuda"))
    bindings = ModuleType("cuda.bindings")
    bindings.driver = made  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cuda.bindings", bindings)
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", made)
    return made


@pytest.fixture
def stream() -> FakeStream:
    """One of the counting driver."""
    cuda = FakeCuda()
    with cuda.current():
        made = cuda.stream()
        made.close()
    return made


def test_work_is_captured_instantiated_launched_and_given_back_once(
    binding: Binding, stream: FakeStream
) -> None:
    made = graph.capture(stream, lambda: binding.calls.append(("work",)))
    made.launch(stream)
    made.close()
    made.close()
    handle = f"stream {stream.handle:#x}"
    assert binding.calls == [
        ("cuStreamBeginCapture", handle, "this thread's"),
        ("work",),
        ("cuStreamEndCapture", handle),
        ("cuGraphInstantiate", "graph", 0),
        ("cuGraphDestroy", "graph"),
        ("cuGraphLaunch", "executable", handle),
        ("cuGraphExecDestroy", "executable"),
    ]


def test_work_that_cannot_be_captured_leaves_the_stream_usable(binding: Binding, stream: FakeStream) -> None:
    def work() -> None:
        raise BackendError("not this")

    with pytest.raises(BackendError, match="not this"):
        graph.capture(stream, work)
    assert [call[0] for call in binding.calls] == ["cuStreamBeginCapture", "cuStreamEndCapture"]


@pytest.mark.parametrize("call", ["cuStreamBeginCapture", "cuStreamEndCapture", "cuGraphInstantiate"])
def test_a_refusal_is_told_with_the_call_and_the_vendors_name(
    binding: Binding, stream: FakeStream, call: str
) -> None:
    binding.fails = call
    with pytest.raises(BackendError, match=f"{call} failed: CUDA_ERROR_X"):
        graph.capture(stream, lambda: None)


def test_without_cuda_python_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda", None)
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    assert graph.missing() == "no CUDA graphs, for cuda-python (from 12.8 on) is not installed"
