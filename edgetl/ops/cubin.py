"""The fused head from device code alone: no library of the device's, and no compiler there.

The host's part of a launch, which ``kernels/include/edgetl_head_plan.h`` has in C++, is here once more; what it refuses
``edgetl.ops.head`` has refused before. A launch costs some microseconds of Python that the library's does not.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterable, Mapping
from typing import Any

from edgetl.errors import EnvironmentLacks
from edgetl.ops.head import LAUNCH_FAILED, OK, HeadArgs, HeadFunctions
from edgetl.ops.on_cuda import libcuda

__all__ = ["Plan", "driver_lacks", "entries_of", "functions", "key_of", "plan_of"]

THREADS, WARPS, MAX_SLICE, TILE, PACK, WEIGHT_PACK_BYTES = 512, 16, 256, 4, 4, 16
"""kThreads, kWarps, kMaxSlice, kTile, kFeaturePack and kWeightPackBytes of edgetl_head_plan.h."""
PARTIAL_BYTES = CANDIDATE_BYTES = 8
ELEMENT_BYTES = (4, 2, 1)
"""By ``edgetl_dtype``."""
MEND = "install nvcc here, which compiles them for this driver"
NHWC = 1
INT8 = 2


class Plan(ctypes.Structure):
    """``edgetl::head::Plan``, field by field: a kernel's second argument."""

    _fields_ = [
        *((name, ctypes.c_int) for name in ("tile", "tiles", "slice", "slices", "height", "width")),
        ("pool_factor", ctypes.c_float),
        ("packed_features", ctypes.c_bool),
        ("packed_weights", ctypes.c_bool),
        *((name, ctypes.c_void_p) for name in ("tickets", "partials", "candidates")),
    ]


def key_of(tile: int, weight_dtype: int) -> str:
    """What a kernel is called in ``kernels.json``: images a block, and the type of its weights.

    >>> key_of(4, 1)
    '4 float16'
    """
    return f"{tile} {('float32', 'float16')[weight_dtype]}"


def entries_of(names: Iterable[str]) -> dict[str, str]:
    """Mangled names of the kernels of ``fused_head.cu``, by ``key_of``.

    >>> entries_of(["_ZN6edgetl4head7on_cuda10fused_headILi1ENS0_4HalfEEEv16edgetl_head_argsNS0_4PlanE"])
    {'1 float16': '_ZN6edgetl4head7on_cuda10fused_headILi1ENS0_4HalfEEEv16edgetl_head_argsNS0_4PlanE'}
    """
    found = {}
    for name in names:
        matched = re.search(r"10fused_headILi(\d+)E(f|NS0_4HalfE)E", name)
        if matched:
            found[key_of(int(matched[1]), int(matched[2] != "f"))] = name
    return found


def plan_of(args: HeadArgs) -> Plan:
    """How the work of a launch is split, and where its parts are."""
    plan = Plan()
    _split(args, plan)
    tickets, summaries, _ = _parts(args, plan)
    plan.tickets = args.workspace
    plan.partials = (args.workspace or 0) + tickets
    plan.candidates = (args.workspace or 0) + tickets + summaries
    gapless = args.height == 1 or args.row_stride == args.column_stride * args.width
    plan.height, plan.width = (1, args.height * args.width) if gapless else (args.height, args.width)
    scale = args.feature_scale if args.feature_dtype == INT8 else 1.0
    plan.pool_factor = scale / (args.height * args.width)
    if args.layout == NHWC:
        packs = args.channel_stride == 1 and not (args.row_stride % PACK or args.column_stride % PACK)
    else:
        packs = gapless and args.column_stride == 1 and args.channel_stride == plan.width
        packs = packs and args.channel_stride * args.channels % PACK == 0
    wide = PACK * ELEMENT_BYTES[args.feature_dtype]
    plan.packed_features = packs and args.batch_stride % PACK == 0 and (args.features or 0) % wide == 0
    row = WEIGHT_PACK_BYTES // ELEMENT_BYTES[args.weight_dtype]
    plan.packed_weights = args.weight_stride % row == 0 and (args.weights or 0) % WEIGHT_PACK_BYTES == 0
    return plan


def functions(image: bytes, entries: Mapping[str, str], *, toolkit: str, cuda: Any = None) -> HeadFunctions:
    """The head's functions over a cubin, in the context that is current.

    Parameters
    ----------
    entries : mangled names of the kernels in it, by ``key_of``. toolkit : version of CUDA that compiled it.
    cuda : ``libcuda``; the system's where it is ``None``.

    Raises
    ------
    EnvironmentLacks : there is no driver, or it does not take the cubin.
    """
    loaded = _Loaded(image, entries, toolkit, cuda)
    return HeadFunctions(loaded.workspace, loaded.launch, loaded.text)


def driver_lacks(toolkit: str, serves: str) -> str:
    """Why a driver does not run what a toolkit compiled; empty where it does.

    Code of a newer toolkit of the same major number runs (CUDA's minor version compatibility); of a newer major one
    it does not.

    >>> driver_lacks("13.0.88", "12.6")
    'it is of CUDA 13.0.88, and this driver serves CUDA 12.6'
    >>> driver_lacks("12.8.61", "12.6")
    ''
    """
    major, here = toolkit.partition(".")[0], serves.partition(".")[0]
    if not (major.isdecimal() and here.isdecimal()) or int(major) <= int(here):
        return ""
    return f"it is of CUDA {toolkit}, and this driver serves CUDA {serves}"


class _Loaded:
    """A cubin that the driver has taken; it stays as long as the context."""

    def __init__(self, image: bytes, entries: Mapping[str, str], toolkit: str, cuda: Any) -> None:
        self._cuda = libcuda() if cuda is None else cuda
        serves = ctypes.c_int()
        self._taken("cuDriverGetVersion", ctypes.byref(serves))
        lacks = driver_lacks(toolkit, f"{serves.value // 1000}.{serves.value % 1000 // 10}")
        if lacks:
            raise EnvironmentLacks(f"the bundle's kernels are not used: {lacks}", hint=MEND)
        self._module = ctypes.c_void_p()
        self._taken("cuModuleLoadData", ctypes.byref(self._module), ctypes.c_char_p(image))
        self._kernels = {key: self._kernel(name) for key, name in entries.items()}
        self._code = 0

    def workspace(self, args: Any, size: Any) -> int:
        """As ``edgetl_head_workspace``."""
        given = _given(args)
        plan = Plan()
        _split(given, plan)
        ctypes.cast(size, ctypes.POINTER(ctypes.c_uint64)).contents.value = sum(_parts(given, plan))
        return OK

    def launch(self, args: Any, stream: Any) -> int:
        """As ``edgetl_head_launch``."""
        given = _given(args)
        plan = plan_of(given)
        parameters = (ctypes.c_void_p * 2)(ctypes.addressof(given), ctypes.addressof(plan))
        kernel = self._kernels[key_of(plan.tile, given.weight_dtype)]
        grid, block = (plan.slices, plan.tiles, 1), (THREADS, 1, 1)
        self._code = self._cuda.cuLaunchKernel(kernel, *grid, *block, 0, stream, parameters, None)
        return LAUNCH_FAILED if self._code else OK

    def text(self, status: int) -> bytes:
        """As ``edgetl_status_text``, of what can happen here."""
        return b"done" if status == OK else f"CUDA refused the launch with code {self._code}".encode()

    def _kernel(self, name: str) -> ctypes.c_void_p:
        found = ctypes.c_void_p()
        self._taken("cuModuleGetFunction", ctypes.byref(found), self._module, ctypes.c_char_p(name.encode()))
        return found

    def _taken(self, call: str, *arguments: Any) -> None:
        code = getattr(self._cuda, call)(*arguments)
        if code:
            raise EnvironmentLacks(
                f"the driver does not take the bundle's kernels: {call} failed with code {code}",
                hint=MEND,
                vendor=f"{call}: {code}",
            )


def _given(args: Any) -> HeadArgs:
    """What ``ctypes.byref`` points at."""
    return ctypes.cast(args, ctypes.POINTER(HeadArgs)).contents


def _split(args: HeadArgs, plan: Plan) -> None:
    plan.tile = 1 if args.batch == 1 else TILE
    plan.tiles = -(-args.batch // plan.tile)
    wanted = -(-args.multiprocessors // plan.tiles)
    plan.slice = min(max(-(-args.classes // wanted), WARPS), MAX_SLICE)
    plan.slices = -(-args.classes // plan.slice)


def _parts(args: HeadArgs, plan: Plan) -> tuple[int, int, int]:
    """Bytes of tickets, partials and candidates, which lie behind one another in the workspace."""
    summaries = args.batch * plan.slices
    return (
        (4 * plan.tiles + 7) // 8 * 8,
        summaries * PARTIAL_BYTES,
        summaries * args.top_k * CANDIDATE_BYTES,
    )
