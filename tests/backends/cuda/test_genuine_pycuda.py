"""PyCUDA from its sdist, without a driver: what imports, and our calls of it on a stand-in of CUDA's driver library.

The stand-in computes on the CPU and counts; a green run proves names, arguments, contexts and that all is given back,
not that CUDA behaves so.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.archives import unpack

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PYCUDA = "pycuda==2026.1"
CUDA_PYTHON = "cuda-bindings==13.*"
"""The part of cuda-python that graphs take."""
NEEDED = ("numpy", "msgspec", "pytools", "mako", "platformdirs")
RETAINED = {"faults": 0, "depth": 0, "device": 0, "pinned": 0, "stream": 0, "event": 0, "graph": 0}
"""What is alive when all is closed; the context lasts as long as the process."""


def run(*command: object, env: Mapping[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    words = [str(word) for word in command]
    return subprocess.run(
        words, env=dict(env), cwd=cwd, capture_output=True, text=True, timeout=900, check=False
    )


def must(*command: object, env: Mapping[str, str], cwd: Path) -> str:
    """What it said; it has to end well."""
    done = run(*command, env=env, cwd=cwd)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


@dataclass(frozen=True)
class Installed:
    """An environment with PyCUDA, and the folder of the stand-in."""

    python: Path
    driver: Path
    env: Mapping[str, str]
    graphs: bool

    def told(self, *command: object, cwd: Path, driver: bool = False, **more: str) -> str:
        """What its Python printed, with or without a driver library to find."""
        env = {**self.env, "PYTHONPATH": str(ROOT), **more}
        if driver:
            env["LD_LIBRARY_PATH"] = str(self.driver)
        return must(self.python, *command, env=env, cwd=cwd)


def toolkit(place: Path, env: Mapping[str, str]) -> Path:
    """Where CUDA is, asked of nvcc: the one on PATH may be a wrapper elsewhere."""
    if shutil.which("nvcc") is None:
        pytest.skip("no nvcc on PATH: PyCUDA cannot be compiled")
    (place / "empty.cu").write_text("")
    said = must("nvcc", "--dryrun", "-c", "empty.cu", env=env, cwd=place)
    top = re.search(r"^#\$ TOP=(.*)$", said, re.MULTILINE)
    assert top is not None, said
    return Path(top[1]).resolve()


def stand_in(extension: Path, place: Path, env: Mapping[str, str]) -> None:
    """Compile the driver library, with a call that does nothing for each that PyCUDA links against beside those."""
    source = (HERE / "libcuda.c").read_text()
    linked = must("nm", "-D", "--undefined-only", extension, env=env, cwd=place)
    others = {name for name in re.findall(r"\bU (cu\w+)", linked) if f" {name}(" not in source}
    (place / "others.h").write_text("".join(f"int {name}(void) {{ return 0; }}\n" for name in sorted(others)))
    given = ('-DGENERATED="others.h"', f"-I{place}", HERE / "libcuda.c")
    must(
        "gcc", "-shared", "-fPIC", "-w", "-Wl,-soname,libcuda.so.1", *given, "-o", "libcuda.so.1",
        env=env, cwd=place,
    )  # fmt: skip


@pytest.fixture(scope="module")
def installed(outside: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """PyCUDA compiled from its sdist, as its own build takes the toolkit: by a file that configure.py writes."""
    place = tmp_path_factory.mktemp("pycuda")
    if shutil.which("gcc") is None:
        pytest.skip("no gcc on PATH")
    cuda = toolkit(place, outside)
    venv.create(place / "venv", with_pip=True)
    python = place / "venv" / "bin" / "python"
    pip = (python, "-m", "pip", "--disable-pip-version-check", "--quiet")
    fetched = run(*pip, "download", "--no-deps", "--no-binary", "pycuda", PYCUDA, env=outside, cwd=place)
    if fetched.returncode != 0:
        pytest.skip("pip reaches no package index")
    unpack(next(place.glob("pycuda-*.tar.gz")), place)
    source = next(folder for folder in place.glob("pycuda-*") if folder.is_dir())
    must(python, "configure.py", f"--cuda-root={cuda}", "--no-cuda-enable-curand", env=outside, cwd=source)
    linking = place / "linking"
    linking.mkdir()  # a library to link against, where the toolkit has no stubs of the driver
    (linking / "empty.c").write_text("")
    must(
        "gcc", "-shared", "-Wl,-soname,libcuda.so.1", "empty.c", "-o", "libcuda.so", env=outside, cwd=linking
    )
    # the empty library resolves nothing: the linker would leave it out, and the driver would never be looked for
    building = {**outside, "LIBRARY_PATH": str(linking), "LDFLAGS": "-Wl,--no-as-needed"}
    must(*pip, "wheel", "--no-deps", "-w", place, ".", env=building, cwd=source)
    must(*pip, "install", *NEEDED, next(place.glob("pycuda-*.whl")), env=outside, cwd=place)
    graphs = run(*pip, "install", CUDA_PYTHON, env=outside, cwd=place).returncode == 0
    driver = place / "driver"
    driver.mkdir()
    stand_in(next((place / "venv").rglob("pycuda/_driver*.so")), driver, outside)
    return Installed(python=python, driver=driver, env=outside, graphs=graphs)


def test_without_a_driver_pycuda_imports_and_its_driver_does_not(
    installed: Installed, tmp_path: Path
) -> None:
    look = "import pycuda\ntry: import pycuda.driver\nexcept ImportError as error: print(error)"
    assert "libcuda.so.1" in installed.told("-c", look, cwd=tmp_path)


def test_without_a_driver_a_session_says_so(installed: Installed, tmp_path: Path) -> None:
    look = (
        "from edgetl.backends.cuda import on_pycuda\nfrom edgetl.errors import EnvironmentLacks\n"
        "try: on_pycuda.find()\nexcept EnvironmentLacks as error: print(error.problem)"
    )
    assert installed.told("-c", look, cwd=tmp_path).strip() == "no NVIDIA driver: libcuda.so.1 is not there"


@pytest.mark.parametrize("integrated", [False, True], ids=["card", "shared memory"])
def test_a_session_answers_and_gives_all_back(installed: Installed, tmp_path: Path, integrated: bool) -> None:
    more = {"EDGETL_INTEGRATED": "1"} if integrated else {}
    said = installed.told(HERE / "drive.py", cwd=tmp_path, driver=True, **more)
    told: dict[str, Any] = json.loads(said)
    assert told["wrong"] == []
    assert told["facts"]["wait"] == "spin"
    alive = {name: told[name][0] if isinstance(told[name], list) else told[name] for name in RETAINED}
    assert alive == RETAINED
    assert told["context"] == [1, 1]
    assert told["with one array kept"]["pinned"][0] == 1
    assert told["refused"][0] == "EnvironmentLacks"
    assert "no memory left" in told["refused"][1]
    assert told["facts"]["memory"].startswith(("copied", "mapped") if integrated else "copied: the GPU has")
    assert (told["facts"]["launch"] == "graph") == installed.graphs
    assert bool(told["launches"]) == installed.graphs
