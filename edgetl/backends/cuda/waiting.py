"""How a thread waits for the GPU: set before the primary context is made, and told as it then is."""

from __future__ import annotations

import ctypes
from typing import Any

from edgetl.backends import driver

__all__ = ["pin"]

SPIN = 1
WAYS = {0: "as the driver chooses", SPIN: "spin", 2: "yield", 4: "block"}
"""Of CU_CTX_SCHED_*, below ``MASK`` in the context's flags."""
MASK = 7
UNKNOWN = "unknown"


def pin(cuda: Any = None) -> str:
    """Let waits for the first GPU spin, unless its primary context is there already and waits in a way of its own.

    Left alone, the driver chooses by the number of cores and, on a Jetson, by the power mode, so that latencies of two
    boards, or of two power modes, are of two things. A wait that spins keeps a core busy, and ends as soon as the
    device does; whoever wants it to block makes the context first (``cudaSetDeviceFlags``).

    Parameters
    ----------
    cuda : the driver library; ``libcuda.so.1`` where it is ``None``. It is initialised.

    Returns
    -------
    ``spin``, ``yield``, ``block``, ``as the driver chooses``, or ``unknown`` where the driver does not tell.
    """
    library = ctypes.CDLL(driver.LIBRARY) if cuda is None else cuda
    device, flags, active = ctypes.c_int(), ctypes.c_uint(), ctypes.c_int()
    if library.cuDeviceGet(ctypes.byref(device), 0):
        return UNKNOWN
    state = library.cuDevicePrimaryCtxGetState
    if state(device, ctypes.byref(flags), ctypes.byref(active)):
        return UNKNOWN
    if not active.value and not library.cuDevicePrimaryCtxSetFlags_v2(device, flags.value & ~MASK | SPIN):
        return WAYS[SPIN]
    return WAYS.get(flags.value & MASK, UNKNOWN)
