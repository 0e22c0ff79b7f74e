"""libcuda as far as a cubin needs it: it checks what it is given, and the kernel runs on the CPU."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

from edgetl.ops import cubin
from edgetl.ops.cubin import Plan
from edgetl.ops.head import HeadArgs
from tests.kernels.head_on_host import Library

__all__ = ["ENTRIES", "HostCuda", "Launch"]

ENTRIES = {cubin.key_of(tile, dtype): f"_Z_{tile}_{dtype}" for tile in (1, 4) for dtype in (0, 1)}
MODULE = 0x5000


@dataclass(frozen=True)
class Launch:
    """One call of ``cuLaunchKernel``."""

    name: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    stream: int


class HostCuda:
    """See the module.

    Parameters
    ----------
    version : of ``cuDriverGetVersion``. codes : what calls answer that shall fail.

    Attributes
    ----------
    image : the beginning of what was loaded. launches : in order.
    """

    def __init__(self, library: Library, *, version: int = 12060, **codes: int) -> None:
        self._library, self._version, self._codes = library, version, codes
        self._names: list[str] = []
        self.image = b""
        self.launches: list[Launch] = []

    def cuDriverGetVersion(self, found: Any) -> int:
        found._obj.value = self._version
        return 0

    def cuModuleLoadData(self, module: Any, image: ctypes.c_char_p) -> int:
        self.image = image.value or b""
        module._obj.value = MODULE
        return self._codes.get("cuModuleLoadData", 0)

    def cuModuleGetFunction(self, found: Any, module: ctypes.c_void_p, name: ctypes.c_char_p) -> int:
        assert module.value == MODULE
        self._names.append((name.value or b"").decode())
        found._obj.value = len(self._names)
        return self._codes.get("cuModuleGetFunction", 0)

    def cuLaunchKernel(self, kernel: ctypes.c_void_p, *rest: Any) -> int:
        gx, gy, gz, bx, by, bz, shared, stream, parameters, extra = rest
        if "cuLaunchKernel" in self._codes:
            return self._codes["cuLaunchKernel"]
        assert (shared, extra) == (0, None)
        args = HeadArgs.from_address(parameters[0])
        plan, wanted = Plan.from_address(parameters[1]), Plan()
        assert self._library.test_plan(ctypes.byref(args), ctypes.byref(wanted)) == 0
        assert all(getattr(plan, name) == getattr(wanted, name) for name, *_ in Plan._fields_)
        assert (gx, gy, gz) == (wanted.slices, wanted.tiles, 1)
        name = self._names[(kernel.value or 0) - 1]
        self.launches.append(Launch(name, (gx, gy, gz), (bx, by, bz), stream.value or 0))
        return int(self._library.test_head_launch(ctypes.byref(args), 0, -1))
