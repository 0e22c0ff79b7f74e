"""An engine that needs no vendor: one kernel, ``y = 2 x + 1``, behind the seam that a CUDA session drives.

Its PTX is compiled by the driver for whatever GPU is there, from Turing on. Launched by the driver's own calls, so
that a session's overhead over them can be measured without TensorRT.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from edgetl.backends.execution import IOTensor
from edgetl.errors import BackendError
from edgetl.types import Engine, TensorSpec

__all__ = ["PTX", "Affine", "Kernel", "engine", "tensors"]

PTX = b"""
.version 6.3
.target sm_75
.address_size 64
.visible .entry affine(.param .u64 source, .param .u64 target, .param .u32 count)
{
    .reg .pred %p<2>;
    .reg .b32 %r<6>;
    .reg .b64 %rd<8>;
    .reg .f32 %f<3>;
    ld.param.u64 %rd1, [source];
    ld.param.u64 %rd2, [target];
    ld.param.u32 %r1, [count];
    mov.u32 %r2, %ctaid.x;
    mov.u32 %r3, %ntid.x;
    mov.u32 %r4, %tid.x;
    mad.lo.s32 %r5, %r2, %r3, %r4;
    setp.ge.u32 %p1, %r5, %r1;
    @%p1 bra DONE;
    cvta.to.global.u64 %rd3, %rd1;
    cvta.to.global.u64 %rd4, %rd2;
    mul.wide.u32 %rd5, %r5, 4;
    add.s64 %rd6, %rd3, %rd5;
    add.s64 %rd7, %rd4, %rd5;
    ld.global.f32 %f1, [%rd6];
    fma.rn.f32 %f2, %f1, 0f40000000, 0f3F800000;
    st.global.f32 [%rd7], %f2;
DONE:
    ret;
}
"""
BLOCK = 256


class Kernel:
    """The kernel, loaded into the context that is current."""

    def __init__(self) -> None:
        self._cuda = ctypes.CDLL("libcuda.so.1")
        self._module, self._function = ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cuModuleLoadData", ctypes.byref(self._module), PTX)
        self._call("cuModuleGetFunction", ctypes.byref(self._function), self._module, b"affine")

    def launch(self, source: int, target: int, count: int, stream: int) -> None:
        """Put it on a stream."""
        values = ctypes.c_uint64(source), ctypes.c_uint64(target), ctypes.c_uint32(count)
        parameters = (ctypes.c_void_p * 3)(*(ctypes.addressof(value) for value in values))
        blocks = -(-count // BLOCK)
        shape = (blocks, 1, 1, BLOCK, 1, 1, 0)
        self._call("cuLaunchKernel", self._function, *shape, ctypes.c_void_p(stream), parameters, None)

    def _call(self, name: str, *arguments: object) -> None:
        code = getattr(self._cuda, name)(*arguments)
        if code:
            raise BackendError(f"{name} failed with code {code}")


class Affine:
    """One context of it; see ``edgetl.backends.execution.Execution``."""

    def __init__(self, kernel: Kernel, ports: Sequence[IOTensor]) -> None:
        self._kernel = kernel
        self._ports = list(ports)
        self._dims: tuple[int | None, ...] = ports[0].shape
        self._bound: dict[str, int] = {}

    def tensors(self) -> list[IOTensor]:
        """Input and output."""
        return self._ports

    def set_shape(self, name: str, dims: tuple[int, ...]) -> None:
        """Any."""
        self._dims = dims

    def shape(self, name: str) -> tuple[int, ...]:
        """Both have the same."""
        return tuple(dim or 0 for dim in self._dims)

    def bind(self, name: str, device_pointer: int) -> None:
        """An address."""
        self._bound[name] = device_pointer

    def enqueue(self, stream_handle: int) -> None:
        """One launch."""
        count = 1
        for dim in self.shape("x"):
            count *= dim
        self._kernel.launch(self._bound["x"], self._bound["y"], count, stream_handle)

    def close(self) -> None:
        """The kernel is shared."""


def tensors(*shape: int | None) -> tuple[IOTensor, IOTensor]:
    """Input ``x`` and output ``y``."""
    return (
        IOTensor(name="x", dtype="float32", shape=shape, mode="input"),
        IOTensor(name="y", dtype="float32", shape=shape, mode="output"),
    )


def engine(ports: Sequence[IOTensor]) -> Engine:
    """The record that goes with them."""
    specs = [TensorSpec(name=port.name, dtype=port.dtype, shape=port.shape) for port in ports]
    return Engine(
        backend="hand-made",
        device="GPU",
        precision="f32",
        files=(),
        source="",
        inputs=(specs[0],),
        outputs=(specs[1],),
    )
