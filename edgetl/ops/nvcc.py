"""NVIDIA's compiler: found, asked what it builds for, and run; its words are in the error."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgetl.errors import BackendError, EnvironmentLacks
from edgetl.home import cuda_folder

__all__ = ["Compiler", "compile_cubin", "compile_library", "compile_plugin", "dotted", "find"]

JETPACKS = "/usr/local/cuda"
"""Where JetPack puts the toolkit, and does not put it on PATH."""
OLDEST = (11, 1)
"""The first toolkit that says what it builds for; the first with C++17 is 11.0."""
GIVE = "give a library that `make kernels` built elsewhere"
MEND = f"export CUDA_HOME=/usr/local/cuda, or where it is installed, or {GIVE}"


@dataclass(frozen=True)
class Compiler:
    """A usable nvcc.

    Attributes
    ----------
    version : of the toolkit, ``13.0.88``. capabilities : that it builds for, ``8.7``, in ascending order.
    """

    program: Path
    version: str
    capabilities: tuple[str, ...]


def find(home: Path | None = None) -> Compiler:
    """The compiler in ``home``, where ``CUDA_HOME`` or ``CUDA_PATH`` say, or else on ``PATH`` or where JetPack puts it.

    Parameters
    ----------
    home : of a toolkit; no other is then looked for, nor where the environment names one.

    Raises
    ------
    EnvironmentLacks : there is none, it does not answer, or it is older than CUDA 11.1.
    """
    home = home or cuda_folder()
    folder = f"{home or JETPACKS}/bin"
    program = (
        shutil.which("nvcc", path=folder)
        if home
        else shutil.which("nvcc") or shutil.which("nvcc", path=folder)
    )
    if program is None:
        where = f"in {folder}" if home else f"on PATH or in {folder}"
        raise EnvironmentLacks(f"no nvcc {where}: the kernels cannot be compiled here", hint=MEND)
    told = re.search(r"release (\d+)\.(\d+), V([\d.]+)", _asked(program, "--version"))
    if told is None:
        raise EnvironmentLacks(
            f"{program} --version names no release: it is not NVIDIA's compiler", hint=MEND
        )
    if (int(told[1]), int(told[2])) < OLDEST:
        raise EnvironmentLacks(
            f"CUDA {told[1]}.{told[2]} is too old to compile the kernels, which take {OLDEST[0]}.{OLDEST[1]} or newer",
            hint=f"install a newer toolkit, or {GIVE}",
        )
    known = {int(number) for number in re.findall(r"compute_(\d+)", _asked(program, "--list-gpu-arch"))}
    return Compiler(Path(program), told[3], tuple(dotted(number) for number in sorted(known)))


def dotted(number: int) -> str:
    """A compute capability as CUDA writes it.

    >>> dotted(87), dotted(110)
    ('8.7', '11.0')
    """
    return f"{number // 10}.{number % 10}"


def compile_library(compiler: Compiler, kernels: Path, capability: str, out: Path) -> None:
    """One shared library of all kernels for one compute capability.

    Parameters
    ----------
    kernels : the folder of ``csrc``, ``include`` and ``nvcc.options``. out : the file to write.

    Raises
    ------
    EnvironmentLacks : this toolkit does not build for the capability.
    BackendError : the compiler refused; a warning or a spilled register is a refusal.
    """
    _compile(compiler, kernels, capability, out, "-shared", *_sources(kernels))


def compile_plugin(compiler: Compiler, kernels: Path, capability: str, headers: Path, out: Path) -> None:
    """TensorRT's plugin with the kernels in it; see ``compile_library``.

    Parameters
    ----------
    headers : the folder of one release's ``NvInfer.h``.
    """
    plugin = str(kernels / "plugin" / "plugin.cpp")
    _compile(compiler, kernels, capability, out, "-shared", f"-isystem={headers}", plugin, *_sources(kernels))


def compile_cubin(
    compiler: Compiler, kernels: Path, source: str, capability: str, out: Path
) -> tuple[str, ...]:
    """The device code of one source, for which no host compiler of the device is needed; see ``compile_library``.

    Parameters
    ----------
    source : its name in ``csrc``, without the ending.

    Returns
    -------
    The kernels in it, by their mangled names, as ptxas tells them.
    """
    words = _compile(compiler, kernels, capability, out, "-cubin", str(kernels / "csrc" / f"{source}.cu"))
    return tuple(re.findall(r"Compiling entry function '(\w+)'", words))


def _sources(kernels: Path) -> list[str]:
    return sorted(map(str, (kernels / "csrc").glob("*.cu")))


def _compile(compiler: Compiler, kernels: Path, capability: str, out: Path, *words: str) -> str:
    """What nvcc says of its way to ``out``."""
    if capability not in compiler.capabilities:
        raise EnvironmentLacks(
            f"CUDA {compiler.version} does not build for compute capability {capability}: "
            f"it knows {', '.join(compiler.capabilities)}",
            hint=f"below 7.5 CUDA 11 or 12 builds; or {GIVE}",
            capability=capability,
        )
    done = _run(
        str(compiler.program),
        f"--options-file={kernels / 'nvcc.options'}",
        f"-I{kernels / 'include'}",
        f"-arch=sm_{capability.replace('.', '')}",
        "-o",
        str(out),
        *words,
    )
    said = done.stdout + done.stderr
    if done.returncode:
        raise BackendError(
            f"nvcc {compiler.version} does not compile the kernels for {capability}: {_complaint(said)}",
            hint="--debug shows all it said",
            vendor=said,
        )
    return said


def _asked(program: str, question: str) -> str:
    try:
        done = _run(program, question)
    except OSError as error:
        raise EnvironmentLacks(f"{program} does not start: {error.strerror}", hint=MEND) from error
    if done.returncode:
        raise EnvironmentLacks(
            f"{program} {question} failed: {_complaint(done.stdout + done.stderr)}", hint=MEND
        )
    return done.stdout


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)


def _complaint(words: str) -> str:
    """The line that says what is wrong: the first error, or else the last line."""
    lines: Sequence[str] = [line.strip() for line in words.splitlines() if line.strip()]
    return next(
        (line for line in lines if re.search(r"\b(?:error|fatal)\b", line)), lines[-1] if lines else "no word"
    )
