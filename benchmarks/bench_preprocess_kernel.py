"""K3 and K6: the fused preprocessor's time and its floor, and whether it gives the bytes of the resize rule.

K6 runs the kernel's own sources on the CPU, as the tests do. K3 needs a GPU: launches of one stream between CUDA
events, each on another of so many frames that none is in L2 any more. The floor is what a launch must read and write,
through the bandwidth that a profile's data sheet tells; it is no measurement.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))  # the frames and the host build are those of the tests

from _results import Results, parser

from edgetl import devices, home
from edgetl.backends.cuda import on_pycuda
from edgetl.backends.cuda.driver import CudaDriver
from edgetl.errors import EnvironmentLacks
from edgetl.ops import library
from edgetl.ops.device import OnDevice
from edgetl.ops.frames import Nv12
from edgetl.ops.on_cuda import CudaDevice
from edgetl.ops.preprocess import FusedPreprocess, PreprocessFunctions
from tests.kernels.preprocess_on_host import camera_frame, compile_for_host, expected, launched, rule

HEIGHT, WIDTH, INPUT = 1080, 1920, 224
K3 = f"K3 fused preprocess, 1080p NV12 -> {INPUT} x {INPUT}, data-centre GPU"
LIMIT_US = 30.0
K6 = "K6 preprocess on the host build vs the numpy rule, furthest byte"
CAMERA_FRAMES = 200
ROUNDS, RING = 20, 64
"""64 frames are 200 MB, more than any L2."""


def main() -> None:
    options = parser(__doc__).parse_args()
    results = Results("preprocess_kernel", quick=options.quick, also=["pycuda"])
    compare(results, 12 if options.quick else CAMERA_FRAMES)
    try:
        measure(results, on_pycuda.find(), rounds=2 if options.quick else ROUNDS)
    except EnvironmentLacks as error:
        results.row(K3, None, "us", target=f"<= {LIMIT_US}", note=f"not measured: {error.problem}")
    tell_floors(results)
    results.write()


def compare(results: Results, frames: int) -> None:
    """K6, over the frames that the tests take."""
    if shutil.which("g++") is None:
        results.row(K6, None, "levels", target="<= 1", note="not measured: no g++ on PATH")
        return
    apart = []
    with tempfile.TemporaryDirectory() as place:
        built = compile_for_host(Path(place))
        for number in range(frames):
            given = camera_frame(number)
            difference = launched(built, *given, order=number % 3).astype(int) - expected(*given)
            apart.append(int(np.abs(difference).max()))
    results.keep("furthest byte of each frame", apart)
    same = sum(levels == 0 for levels in apart)
    results.limit(
        K6, max(apart), "levels", at_most=1, n=frames, note=f"{same} of {frames} frames byte for byte"
    )


def measure(results: Results, driver: CudaDriver, *, rounds: int) -> None:
    """K3, on the GPU that is there."""
    with driver.current():
        device = CudaDevice(driver)
        stream, start, end = driver.stream(), driver.event(), driver.event()
    found = library.find(device.capability, cache=home.cache_folder())
    made = FusedPreprocess(PreprocessFunctions.of(found.functions), device, rule(INPUT), stream=stream.handle)
    out = OnDevice(device, np.zeros((INPUT, INPUT, 3), np.uint8))
    rng = np.random.default_rng(0)
    launches = []
    for _ in range(RING):
        planes = (rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes())
        luma, chroma = (OnDevice(device, plane) for plane in planes)
        launches.append(made.bind(Nv12(luma, chroma, "bt709", "limited"), out))
    times = []
    with driver.current():
        for launch in launches * (rounds + 1):
            start.record(stream)
            launch()
            end.record(stream)
            stream.synchronize()
            times.append(end.milliseconds_since(start) * 1e3)
    times = times[RING:]  # the first round warms up
    results.keep("microseconds of a launch", times)
    results.limit(
        K3, statistics.median(times), "us", at_most=LIMIT_US, n=len(times), note=driver.facts["gpu"]
    )


def shapes() -> tuple[tuple[int, int], tuple[int, int, int]]:
    """Of the two planes."""
    return (HEIGHT, WIDTH), (HEIGHT // 2, WIDTH // 2, 2)


def tell_floors(results: Results) -> None:
    """What K3 cannot be faster than: the centre square is read once, and the input written."""
    square = min(HEIGHT, WIDTH) ** 2
    size = square + square // 2 + INPUT * INPUT * 3
    for name, profile in devices.load().items():
        bandwidth = profile.facts.bandwidth_gb_s
        if profile.backend == "tensorrt" and bandwidth is not None:
            results.row(
                f"K3 byte floor, {name}",
                round(size / bandwidth / 1e3, 2),
                "us",
                note=f"computed, not measured: {size} bytes at {bandwidth:g} GB/s of the data sheet",
            )


if __name__ == "__main__":
    main()
