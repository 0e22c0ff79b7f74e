"""What a build says of registers is read right, and occupancy is what NVIDIA's own header computes."""

from __future__ import annotations

import ctypes
import importlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = Path(__file__).parents[2] / "benchmarks"
SAID = """
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_ZN6edgetl4head7on_cuda10fused_headILi4ENS0_4HalfEEEv16edgetl_head_argsNS0_4PlanE' for 'sm_87'
ptxas info    : Function properties for _ZN6edgetl4head7on_cuda10fused_headILi4ENS0_4HalfEEEv16edgetl_head_argsNS0_4PlanE
    8 bytes stack frame, 12 bytes spill stores, 16 bytes spill loads
ptxas info    : Used 124 registers, used 1 barriers, 36912 bytes smem, 568 bytes cmem[0]
ptxas info    : Compiling entry function '_Z4tinyPi' for 'sm_110'
ptxas info    : Function properties for _Z4tinyPi
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 8 registers, used 0 barriers
"""  # noqa: E501 (as ptxas prints it)
PTX = """
.visible .entry _Z4tinyPi(
	.param .u64 _Z4tinyPi_param_0
)
.maxntid 16, 8, 1
{
"""
OCCUPANCY = """
#include <cstring>
#include <cuda_occupancy.h>
extern "C" int blocks(int major, int minor, int threads_most, int shared_kib, int registers, int shared, int threads) {
  cudaOccDeviceProp device;
  std::memset(static_cast<void *>(&device), 0, sizeof device);
  device.computeMajor = major;
  device.computeMinor = minor;
  device.maxThreadsPerBlock = 1024;
  device.maxThreadsPerMultiprocessor = threads_most;
  device.regsPerBlock = device.regsPerMultiprocessor = 65536;
  device.warpSize = 32;
  device.sharedMemPerMultiprocessor = static_cast<size_t>(shared_kib) * 1024;
  device.sharedMemPerBlock = 48 * 1024;
  device.sharedMemPerBlockOptin = device.sharedMemPerMultiprocessor - 1024;
  device.reservedSharedMemPerBlock = major < 8 ? 0 : 1024;
  device.numSms = 8;
  cudaOccFuncAttributes kernel;
  kernel.maxThreadsPerBlock = 1024;
  kernel.numRegs = registers;
  kernel.sharedSizeBytes = static_cast<size_t>(shared);
  kernel.maxDynamicSharedSizeBytes = 0;
  cudaOccDeviceState state;
  state.carveoutConfig = SHAREDMEM_CARVEOUT_MAX_SHARED;
  cudaOccResult result;
  if (cudaOccMaxActiveBlocksPerMultiprocessor(&result, &device, &kernel, &state, threads, 0) != CUDA_OCC_SUCCESS) {
    return -1;
  }
  return result.activeBlocksPerMultiprocessor;
}
"""


@pytest.fixture(scope="module")
def ptxas() -> Iterator[Any]:
    """The reader that the benchmark program has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(PROGRAMS)
        yield importlib.import_module("_ptxas")


def test_what_ptxas_says_of_each_kernel(ptxas: Any) -> None:
    first, second = ptxas.usages(SAID)
    assert (first.architecture, first.registers, first.shared_bytes) == ("87", 124, 36912)
    assert (first.stack_bytes, first.spill_bytes) == (8, 28)
    assert (second.architecture, second.registers, second.shared_bytes, second.spill_bytes) == (
        "110",
        8,
        0,
        0,
    )


def test_a_kernel_of_which_nothing_is_said_is_no_kernel_without_spills(ptxas: Any) -> None:
    with pytest.raises(ValueError, match="_Z4tinyPi"):
        ptxas.usages(SAID.replace("Used 8 registers, used 0 barriers", ""))


def test_threads_are_those_of_the_launch_bounds(ptxas: Any) -> None:
    assert ptxas.threads_of(PTX) == {"_Z4tinyPi": 128}


def test_names_are_those_of_the_sources(ptxas: Any) -> None:
    if shutil.which("c++filt") is None:
        pytest.skip("no c++filt on PATH: names cannot be read")
    found = ptxas.readable(usage.kernel for usage in ptxas.usages(SAID))
    assert list(found.values()) == ["fused_head<4, Half>", "tiny"]


def test_occupancy_is_what_nvidias_header_computes(ptxas: Any, tmp_path: Path) -> None:
    gxx, nvcc = shutil.which("g++"), shutil.which("nvcc")
    if gxx is None or nvcc is None:
        pytest.skip("no g++ or no nvcc on PATH: there is no cuda_occupancy.h to compare with")
    folders = (Path(nvcc).resolve().parents[1] / "include", Path("/usr/local/cuda/include"))
    include = next((folder for folder in folders if (folder / "cuda_occupancy.h").exists()), None)
    if include is None:
        pytest.skip("no cuda_occupancy.h in the toolkit to compare with")
    source, out = tmp_path / "occupancy.cpp", tmp_path / "occupancy.so"
    source.write_text(OCCUPANCY)
    subprocess.run([gxx, "-shared", "-fPIC", f"-isystem{include}", "-o", out, source], check=True)
    blocks = ctypes.CDLL(str(out)).blocks
    for architecture, limits in ptxas.LIMITS.items():
        major, minor = divmod(int(architecture), 10)
        for registers in (16, 32, 40, 63, 64, 65, 96, 126, 128):
            for shared in (0, 1000, 9232, 13328, 41008, 49152):
                for threads in (32, 96, 128, 256, 512):
                    usage = ptxas.Usage("k", architecture, registers, shared, 0, 0)
                    found = ptxas.resident_warps(usage, threads, limits)
                    wanted = blocks(
                        major, minor, limits.warps * 32, limits.shared_kib, registers, shared, threads
                    )
                    assert found == wanted * threads // 32, (architecture, registers, shared, threads)
