"""The TensorRT plugin against the public headers of each release: it compiles, and says and does what TensorRT asks.

No TensorRT runs here: a program stands in for it, and writes down the launch that would reach the GPU.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgetl.backends.tensorrt import plugin as backend
from edgetl.ops.head import HeadArgs
from edgetl.quantize import fused_head
from tests.kernels.on_host import KERNELS
from tests.kernels.plugin_headers import cuda_headers, headers, release_of

Array = npt.NDArray[Any]
Plugin = ctypes.CDLL
Plugins = dict[tuple[int, int], Plugin]
"""By release."""

FLAGS = ("-std=c++17", "-Wall", "-Wextra", "-Werror", "-fPIC")
SANITIZED = ("-O1", "-shared", "-fsanitize=undefined", "-fno-sanitize-recover=all")
FLOAT, HALF, INT8, INT32 = range(4)
LINEAR, CHW2, HWC8, CHW4, CHW16, CHW32, DHWC8, CDHW32, HWC, DLA_LINEAR, DLA_HWC4, HWC16 = range(12)
FORMATS = range(12)
"""``TensorFormat``; the same numbers in every release."""
FEATURES, WEIGHTS, BIAS, PROBABILITIES, INDICES, SCORES = range(6)
TAKEN = {
    FEATURES: {(FLOAT, LINEAR), (FLOAT, HWC), (HALF, LINEAR), (HALF, HWC8), (HALF, HWC16)},
    WEIGHTS: {(FLOAT, LINEAR), (HALF, LINEAR)},
    BIAS: {(FLOAT, LINEAR)},
    PROBABILITIES: {(FLOAT, LINEAR)},
    INDICES: {(INT32, LINEAR)},
    SCORES: {(FLOAT, LINEAR)},
}
SIZES = (2, 11, 3, 5, 37)
"""Batch, channels, height, width, classes."""


def compiled(folder: Path, *words: str) -> None:
    """Compile with the headers of one release, without a warning."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++ on PATH: the plugin cannot be compiled")
    vendors = ["-isystem", str(folder), "-isystem", str(cuda_headers())]
    command = [compiler, *FLAGS, f"-I{KERNELS / 'include'}", *vendors, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Plugins:
    """The plugin of each release whose headers are here, with a program in the place of TensorRT and CUDA."""
    found = {}
    for folder in headers():
        release = release_of(folder)
        out = tmp_path_factory.mktemp("plugin") / "plugin_on_host.so"
        compiled(
            folder, *SANITIZED, "-o", str(out), str(Path(__file__).parent / "host" / "plugin_on_host.cpp")
        )
        found[release] = ctypes.CDLL(str(out))
        for name in ("test_make", "test_restore", "test_zeroed"):
            getattr(found[release], name).restype = ctypes.c_void_p
        found[release].test_workspace.restype = ctypes.c_uint64
        found[release].test_launched.restype = ctypes.POINTER(HeadArgs)
        for name in ("test_takes", "test_shapes"):
            getattr(found[release], name).restype = ctypes.c_bool
    return found


def head(plugin: Plugin, top_k: int = 5, scale: float = 0.0, *, known: bool = True) -> ctypes.c_void_p:
    """A head as the parser makes it of a node, and then as an engine reads it from a plan."""
    made = plugin.test_make(top_k, ctypes.c_float(scale), known)
    return ctypes.c_void_p(made and plugin.test_restore(ctypes.c_void_p(made)))


def memory_of(features: Array, form: int) -> Array:
    """Features (N, C, H, W) as a format lays them out; what it pads with must not be read, and is NaN."""
    if form == LINEAR:
        return np.ascontiguousarray(features)
    pixels = features.transpose(0, 2, 3, 1)
    wide = {HWC: 1, HWC8: 8, HWC16: 16}[form]
    count = -(-features.shape[1] // wide) * wide
    room = np.full((*pixels.shape[:3], count), np.nan, features.dtype)
    room[..., : features.shape[1]] = pixels
    return room


def walked(args: HeadArgs, dtype: Any) -> Array:
    """The features (N, C, H, W) that a launch reads, by its pointer and strides."""
    shape = (args.batch, args.channels, args.height, args.width)
    strides = (args.batch_stride, args.channel_stride, args.row_stride, args.column_stride)
    size = np.dtype(dtype).itemsize
    last = sum((count - 1) * stride for count, stride in zip(shape, strides)) + 1
    held = (ctypes.c_char * (last * size)).from_address(args.features)
    flat = np.frombuffer(held, dtype)
    return np.lib.stride_tricks.as_strided(flat, shape, [stride * size for stride in strides])


def enqueue(
    plugin: Plugin, made: ctypes.c_void_p, kind: int, form: int, features: Array, *, room: Array | None = None
) -> int:
    """One inference; its code. Outputs are addresses that nobody writes to."""
    sizes = (ctypes.c_int * 5)(*SIZES)
    needed = plugin.test_workspace(made, sizes, kind, form, HALF)
    assert needed > 0
    room = np.full(needed, 0xFF, np.uint8) if room is None else room
    inputs = (ctypes.c_void_p * 3)(features.ctypes.data, 0x1000, 0x2000)
    outputs = (ctypes.c_void_p * 3)(0x3000, 0x4000, 0x5000)
    workspace = ctypes.c_void_p(room.ctypes.data if len(room) else None)
    return int(plugin.test_enqueue(made, sizes, kind, form, HALF, inputs, outputs, workspace))


def test_it_compiles_as_it_ships(tmp_path: Path) -> None:
    for folder in headers():
        compiled(
            folder, "-O2", "-c", "-o", str(tmp_path / "plugin.o"), str(KERNELS / "plugin" / "plugin.cpp")
        )
        reader = shutil.which("nm")
        assert reader is not None, "no nm beside g++"
        listed = subprocess.run(
            [reader, "-u", tmp_path / "plugin.o"], capture_output=True, text=True, check=True
        )
        vendors = {
            word for word in listed.stdout.split() if word.startswith(("get", "create", "_ZN8nvinfer1"))
        }
        assert vendors == {"getPluginRegistry"}, "it needs more of TensorRT than any release has"


def test_its_identity_is_what_graphs_and_the_backend_say(plugins: Plugins) -> None:
    words = [ctypes.c_char_p() for _ in range(3)]
    for plugin in plugins.values():
        plugin.test_identity(*map(ctypes.byref, words))
        told = [word.value.decode() for word in words if word.value]
        assert told == [fused_head.OPERATOR, fused_head.VERSION, fused_head.DOMAIN]
        assert told[:2] == [backend.OPERATOR, backend.VERSION]


@pytest.mark.parametrize(
    ("top_k", "scale", "known"),
    [(0, 0.0, True), (33, 0.0, True), (5, -1.0, True), (5, np.nan, True), (5, 0.0, False)],
)
def test_fields_that_are_none_of_its_own_make_no_plugin(
    plugins: Plugins, top_k: int, scale: float, known: bool
) -> None:
    for plugin in plugins.values():
        assert not head(plugin, top_k, scale, known=known)


def test_formats_are_those_that_strides_can_say(plugins: Plugins) -> None:
    for plugin in plugins.values():
        for scale, of_features in ((0.0, TAKEN[FEATURES]), (0.5, {(INT8, LINEAR)})):
            made = head(plugin, scale=scale)
            for place, taken in {**TAKEN, FEATURES: of_features}.items():
                found = {
                    (kind, form)
                    for kind in range(10)
                    for form in FORMATS
                    if plugin.test_takes(made, place, kind, form)
                }
                assert found == taken


def test_outputs_have_a_row_an_image(plugins: Plugins) -> None:
    for plugin in plugins.values():
        found = ((ctypes.c_int64 * 2) * 3)()
        assert plugin.test_shapes(head(plugin, top_k=7), found)
        assert [list(row) for row in found] == [[101, 105], [101, 7], [101, 7]]


@pytest.mark.parametrize(
    ("kind", "form", "dtype", "scale"),
    [
        *((FLOAT, form, np.float32, 0.0) for form in (LINEAR, HWC)),
        *((HALF, form, np.float16, 0.0) for form in (LINEAR, HWC8, HWC16)),
        (INT8, LINEAR, np.int8, 0.25),
    ],
)
def test_a_launch_reads_the_features_as_they_lie(
    plugins: Plugins, kind: int, form: int, dtype: Any, scale: float
) -> None:
    rng = np.random.default_rng(0)
    features = rng.integers(-100, 100, SIZES[:4]).astype(dtype)
    laid = memory_of(features, form)
    for plugin in plugins.values():
        assert enqueue(plugin, head(plugin, top_k=3, scale=scale), kind, form, laid) == 0
        args = plugin.test_launched().contents
        assert np.array_equal(walked(args, dtype), features)
        assert (args.classes, args.top_k, args.feature_scale) == (SIZES[4], 3, scale)
        assert (args.feature_dtype, args.weight_dtype, args.weight_stride) == (kind, 1, SIZES[1])
        assert (args.weights, args.bias) == (0x1000, 0x2000)
        assert (args.probabilities, args.indices, args.scores) == (0x3000, 0x4000, 0x5000)
        assert args.multiprocessors == 8


def test_the_workspace_is_zeroed_and_enough_for_any_gpu(plugins: Plugins) -> None:
    features = np.zeros(SIZES[:4], np.float32)
    zeroed = ctypes.c_uint64()
    for plugin in plugins.values():
        made = head(plugin)
        sizes = (ctypes.c_int * 5)(*SIZES)
        needed = plugin.test_workspace(made, sizes, FLOAT, LINEAR, HALF)
        for processors in (1, 8, 200):
            plugin.test_processors(processors)
            room = np.full(needed + 64, 0xFF, np.uint8)
            room[needed:] = 77
            fresh = head(plugin)  # the number is asked for once
            assert enqueue(plugin, fresh, FLOAT, LINEAR, features, room=room) == 0
            args = plugin.test_launched().contents
            assert plugin.test_zeroed(ctypes.byref(zeroed)) == args.workspace == room.ctypes.data
            assert zeroed.value == args.workspace_bytes
            assert args.workspace + args.workspace_bytes <= args.status
            assert args.status + 4 * SIZES[0] <= room.ctypes.data + needed
            assert np.all(room[needed:] == 77)
        plugin.test_processors(8)


def test_what_cannot_be_launched_is_a_code(plugins: Plugins) -> None:
    features = np.zeros(SIZES[:4], np.float32)
    for plugin in plugins.values():
        plugin.test_processors(0)
        assert enqueue(plugin, head(plugin), FLOAT, LINEAR, features) != 0, "no device"
        plugin.test_processors(8)
        assert enqueue(plugin, head(plugin), FLOAT, LINEAR, features, room=np.zeros(0, np.uint8)) != 0
        assert enqueue(plugin, head(plugin, top_k=32), FLOAT, LINEAR, features) == 0
