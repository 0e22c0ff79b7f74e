"""The kernels through nvcc: no warning, no spill, and the instructions that they are written for. Nothing here runs."""

from __future__ import annotations

import importlib.util
import platform
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgetl.backends.tensorrt import plugin
from edgetl.errors import BackendError
from edgetl.ops import cubin, library, nvcc, shipped
from edgetl.ops.nvcc import Compiler
from tests.kernels.on_host import KERNELS
from tests.kernels.plugin_headers import headers

ORIN = "8.7"
BOARDS = ("7.5", "8.0", "8.6", "8.7", "8.9", "9.0", "10.0", "11.0")
"""Those of CMakeLists.txt."""
VARIANTS = {"fused_head": 4, "preprocess": 6}
"""Kernels in a file: one or four images a block, weights of FP32 or FP16; NV12 or interleaved, three sizes of unit."""
SPILLS = """
__global__ void __launch_bounds__(1024) hungry(const float *in, float *out) {
  float kept[96];
#pragma unroll
  for (int i = 0; i < 96; ++i) kept[i] = in[threadIdx.x + i * 1024];
  __syncthreads();
#pragma unroll
  for (int i = 0; i < 96; ++i) out[threadIdx.x + i * 1024] = kept[i] * kept[i * 7 % 96];
}
"""


@pytest.fixture(scope="session")
def compiler() -> Compiler:
    """This host's; skips with a reason without one."""
    if shutil.which("nvcc") is None:
        pytest.skip("no nvcc on PATH: the kernels cannot be compiled for a GPU")
    return nvcc.find()


@dataclass(frozen=True)
class Compiled:
    """One source for Orin."""

    said: str
    ptx: str
    cubin: Path


@pytest.fixture(scope="module", params=VARIANTS)
def compiled(
    request: pytest.FixtureRequest, compiler: Compiler, tmp_path_factory: pytest.TempPathFactory
) -> Compiled:
    """Each source, with what nvcc keeps on the way."""
    stem: str = request.param
    place = tmp_path_factory.mktemp(stem)
    cubin = place / f"{stem}.cubin"
    command = [
        str(compiler.program),
        f"--options-file={KERNELS / 'nvcc.options'}",
        f"-I{KERNELS / 'include'}",
    ]
    command += ["-arch=sm_87", "-keep", "-keep-dir", str(place), "-cubin", "-o", str(cubin)]
    done = subprocess.run(
        [*command, str(KERNELS / "csrc" / f"{stem}.cu")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Compiled(done.stdout + done.stderr, (place / f"{stem}.ptx").read_text(), cubin)


@pytest.fixture
def sass(compiled: Compiled) -> Counter[str]:
    """Machine instructions by name; skips with a reason where nothing can tell them."""
    wheel = importlib.util.find_spec("triton")
    places = [Path(nvcc.JETPACKS) / "bin"]
    if wheel is not None and wheel.origin is not None:  # torch brings it, and it brings NVIDIA's tools
        places.append(Path(wheel.origin).parent / "backends" / "nvidia" / "bin")
    found = [shutil.which("nvdisasm", path=place) for place in (None, *map(str, places))]
    program = next((program for program in found if program is not None), None)
    if program is None:
        pytest.skip("no nvdisasm on PATH, in the CUDA toolkit or in the triton wheel")
    command = [program, "-c", str(compiled.cubin)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return Counter(
        re.findall(r"^\s+/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)", text, re.MULTILINE)
    )


def ptx_of(text: str) -> Counter[str]:
    """Instructions by name."""
    return Counter(re.findall(r"^\s+(?:@%p\d+\s+)?([a-z][\w.]*)[\s;]", text, re.MULTILINE))


def counted(instructions: Counter[str], pattern: str) -> int:
    """How many there are whose whole name is that."""
    return sum(count for name, count in instructions.items() if re.fullmatch(pattern, name))


def test_no_register_is_spilled(compiled: Compiled) -> None:
    spills = re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", compiled.said)
    assert spills == [("0", "0")] * VARIANTS[compiled.cubin.stem]


def test_ptx_has_no_local_memory_and_barriers_in_every_kernel(compiled: Compiled) -> None:
    found = ptx_of(compiled.ptx)
    assert counted(found, r"(?:ld|st)\.local.*") == 0
    assert counted(found, r"bar\.sync") >= VARIANTS[compiled.cubin.stem]


def test_sass_has_no_local_memory_and_barriers_in_every_kernel(
    compiled: Compiled, sass: Counter[str]
) -> None:
    assert counted(sass, r"(?:LDL|STL).*") == 0
    assert counted(sass, r"BAR\.SYNC.*") >= VARIANTS[compiled.cubin.stem]


@pytest.mark.parametrize("compiled", ["fused_head"], indirect=True)
def test_the_heads_ptx(compiled: Compiled) -> None:
    found, kernels = ptx_of(compiled.ptx), VARIANTS["fused_head"]
    assert counted(found, r"ld\.global\.v4\.[fu]32") >= kernels  # weights, 16 bytes
    assert counted(found, r"ld\.global\.v4\.u16") >= kernels  # four channels of an NHWC map
    assert counted(found, r"ld\.global\.v4\.u8") >= kernels
    assert counted(found, r"ld\.shared\.v4\.f32") >= kernels  # pooled channels
    assert counted(found, r"shfl\.sync\.bfly\.b32") >= 5 * kernels  # a warp's reductions
    assert counted(found, r"atom\.global\.inc\.u32") == kernels  # the ticket
    assert counted(found, r"membar\.gl|fence\.[\w.]+") >= 2 * kernels
    assert counted(found, r"ld\.global\.cg\.f32") >= 3 * kernels  # the merge, past L1


@pytest.mark.parametrize("compiled", ["fused_head"], indirect=True)
def test_the_heads_kernels_are_told_apart_by_the_names_that_ptxas_gives_them(compiled: Compiled) -> None:
    names = re.findall(r"Compiling entry function '(\w+)'", compiled.said)
    found = cubin.entries_of(names)
    assert set(found) == {cubin.key_of(tile, dtype) for tile in (1, 4) for dtype in (0, 1)}
    assert all(name.encode() in compiled.cubin.read_bytes() for name in found.values())


@pytest.mark.parametrize(
    "compiled", [pytest.param("fused_head", marks=pytest.mark.slow), "preprocess"], indirect=True
)
def test_device_code_is_the_same_wherever_its_sources_lie(
    compiled: Compiled, compiler: Compiler, tmp_path: Path
) -> None:
    copy = shutil.copytree(KERNELS, tmp_path / "elsewhere")
    nvcc.compile_cubin(compiler, copy, compiled.cubin.stem, ORIN, tmp_path / "copied.cubin")
    assert (tmp_path / "copied.cubin").read_bytes() == compiled.cubin.read_bytes()


@pytest.mark.parametrize("compiled", ["fused_head"], indirect=True)
def test_the_heads_sass(sass: Counter[str]) -> None:
    kernels = VARIANTS["fused_head"]
    assert counted(sass, r"LDG\.E\.128.*") >= kernels
    assert counted(sass, r"LDS\.128") >= kernels
    assert counted(sass, r"SHFL\.BFLY") >= 5 * kernels
    assert counted(sass, r"ATOMG?\.E\.INC.*") == kernels
    assert counted(sass, r"MEMBAR.*") >= 2 * kernels
    assert counted(sass, r"MUFU\.EX2") >= kernels


@pytest.mark.parametrize("compiled", ["preprocess"], indirect=True)
def test_the_preprocessors_ptx(compiled: Compiled) -> None:
    for width in (2, 4):  # a unit's rows: of 2 x 2 pixels, 4 x 4
        loads = counted(ptx_of(compiled.ptx), rf"ld\.global\.v{width}\.u8")
        assert loads >= 3 * width + width + width // 2  # pixels; luma and chroma of NV12


@pytest.mark.parametrize("compiled", ["preprocess"], indirect=True)
def test_the_preprocessors_sass(sass: Counter[str]) -> None:
    assert counted(sass, r"LDG\.E") >= 12 + 4 + 2
    assert counted(sass, r"LDG\.E\.U16") >= 6 + 2 + 1


def test_one_file_more_that_spills_is_refused_by_name(compiler: Compiler, tmp_path: Path) -> None:
    shutil.copytree(KERNELS, tmp_path / "kernels")
    for source in (tmp_path / "kernels" / "csrc").iterdir():
        source.unlink()
    (tmp_path / "kernels" / "csrc" / "hungry.cu").write_text(SPILLS)
    with pytest.raises(BackendError, match=r"spilled to local memory in function '\w*hungry"):
        nvcc.compile_library(compiler, tmp_path / "kernels", ORIN, tmp_path / "out.so")


@pytest.mark.slow
@pytest.mark.parametrize("capability", BOARDS)
def test_a_library_for_each_board_is_compiled_and_loads(
    compiler: Compiler, tmp_path: Path, capability: str
) -> None:
    if capability not in compiler.capabilities:
        pytest.skip(f"CUDA {compiler.version} does not build for {capability}")
    made = library.find(capability, cache=tmp_path)
    for name in (
        "edgetl_head_launch",
        "edgetl_head_workspace",
        "edgetl_preprocess_launch",
        "edgetl_status_text",
    ):
        assert hasattr(made.functions, name)
    assert library.load(made.path, capability, "again").path == made.path


def test_the_boards_are_those_that_cmake_builds_for() -> None:
    listed = re.search(r"set\(boards ([\d ]+)\)", (KERNELS / "CMakeLists.txt").read_text())
    assert listed is not None
    assert tuple(nvcc.dotted(int(number)) for number in listed[1].split()) == BOARDS


@pytest.fixture
def cmake(compiler: Compiler) -> str:
    """CMake beside nvcc."""
    found = shutil.which("cmake")
    if found is None:
        pytest.skip("no cmake on PATH")
    return found


def configured(cmake: str, place: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """CMake's first step."""
    command = [cmake, "-S", str(KERNELS), "-B", str(place), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_cmake_names_an_architecture_that_the_toolkit_does_not_build(cmake: str, tmp_path: Path) -> None:
    done = configured(cmake, tmp_path, "-DEDGETL_ARCHITECTURES=87;42")
    assert done.returncode != 0
    assert "does not build for sm_42" in done.stderr


@pytest.mark.slow
def test_cmake_builds_the_library(cmake: str, tmp_path: Path) -> None:
    assert configured(cmake, tmp_path, "-DEDGETL_ARCHITECTURES=75;87").returncode == 0
    done = subprocess.run([cmake, "--build", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for capability in ("7.5", "8.7"):
        library.load(tmp_path / library.NAME, capability, "given")


@pytest.mark.slow
def test_one_nvcc_line_builds_the_plugin_too(compiler: Compiler, tmp_path: Path) -> None:
    nvcc.compile_plugin(compiler, KERNELS, ORIN, headers()[0], tmp_path / plugin.LIBRARY)
    assert shipped.machine_of(tmp_path / plugin.LIBRARY) == platform.machine()


def test_cmake_names_a_folder_without_tensorrts_headers(cmake: str, tmp_path: Path) -> None:
    done = configured(cmake, tmp_path / "build", f"-DTENSORRT_INCLUDE={tmp_path}")
    assert done.returncode != 0
    assert "holds no NvInfer.h" in done.stderr


@pytest.mark.slow
def test_cmake_builds_the_plugin_with_the_kernels_in_it(cmake: str, tmp_path: Path) -> None:
    """It cannot be loaded here, without a TensorRT: so its symbols are read."""
    options = ("-DEDGETL_ARCHITECTURES=87", f"-DTENSORRT_INCLUDE={headers()[0]}")
    assert configured(cmake, tmp_path, *options).returncode == 0
    done = subprocess.run([cmake, "--build", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    reader = shutil.which("nm")
    assert reader is not None, "no nm beside g++"
    command = [reader, "-D", str(tmp_path / plugin.LIBRARY)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert re.search(r" T edgetl_head_launch$", listed, re.MULTILINE)
    assert re.search(r" U getPluginRegistry$", listed, re.MULTILINE)
