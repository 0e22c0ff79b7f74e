"""What is shipped: the wheel holds the same from a checkout and from its sdist, and runs where nothing was built."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import pytest
from sklearn.datasets import load_digits

from tests.archives import unpack
from tests.e2e.conftest import BUILD, run_edgetl

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent

HOOK = "import sys; from setuptools import build_meta as b; print(getattr(b, sys.argv[1])(sys.argv[2]))"

LOOK = """
import importlib.util, json
from importlib import resources
import edgetl, edgetl.calibration.ranges
print(json.dumps({
    "home": edgetl.__file__,
    "trainers": [name for name in ("torch", "onnx", "sklearn") if importlib.util.find_spec(name)],
    "kernels": sorted(item.name for item in (resources.files("edgetl") / "kernels").iterdir()),
    "ranges": edgetl.calibration.ranges.__name__,
}))
"""


def run(
    *command: object, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, whatever that is."""
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, timeout=900, check=False)


def made(*command: object, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """What a program printed; it must end well."""
    done = run(*command, cwd=cwd, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True)
class Shipped:
    """The committed state of the checkout, and what is made of it."""

    clone: Path
    wheel: Path
    sdist: Path
    wheel_of_sdist: Path


def built_by(hook: str, source: Path, out: Path) -> Path:
    """The file that a build hook wrote, from a source folder that nothing was built in."""
    out.mkdir()
    printed = made(sys.executable, "-c", HOOK, hook, out, cwd=source)
    return out / printed.splitlines()[-1]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Shipped:
    """Wheel and sdist of a clean clone, and the wheel of the sdist."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: there is no clean clone to build from")
    place = tmp_path_factory.mktemp("shipped")
    clone = place / "clone"
    made("git", "-c", "safe.directory=*", "clone", "--quiet", "--no-hardlinks", ROOT, clone, cwd=place)
    sdist = built_by("build_sdist", clone, place / "sdist")
    unpack(sdist, place / "unpacked")
    unpacked = next((place / "unpacked").iterdir())
    wheel_of_sdist = built_by("build_wheel", unpacked, place / "wheel-of-sdist")
    return Shipped(clone, built_by("build_wheel", clone, place / "wheel"), sdist, wheel_of_sdist)


def names(wheel: Path) -> set[str]:
    """Files of a wheel, without its own records."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_checkout_and_sdist_give_the_same_wheel(shipped: Shipped) -> None:
    assert names(shipped.wheel) == names(shipped.wheel_of_sdist)


def test_nothing_but_edgetl_is_at_the_top(shipped: Shipped) -> None:
    assert {name.partition("/")[0] for name in names(shipped.wheel)} == {"edgetl"}


def test_every_committed_file_of_the_package_is_in_the_wheel(shipped: Shipped) -> None:
    listed = made("git", "ls-files", "edgetl", "calibration", "kernels", cwd=shipped.clone).splitlines()
    moved = [name if name.startswith("edgetl/") else f"edgetl/{name}" for name in listed]
    assert set(moved) | {"edgetl/_data/devices.yaml"} == names(shipped.wheel)
    assert any(name.startswith("edgetl/kernels/") for name in moved)


def test_the_licence_and_the_extras_are_in_the_metadata(shipped: Shipped) -> None:
    with zipfile.ZipFile(shipped.wheel) as archive:
        metadata = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        text = archive.read(metadata).decode()
        assert any(name.endswith("licenses/LICENSE") for name in archive.namelist())
    for line in ("License-Expression: Apache-2.0", "Requires-Python: >=3.10", "Provides-Extra: openvino"):
        assert line in text.splitlines()


@pytest.fixture(scope="module")
def device(shipped: Shipped, outside: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds the wheel with ``[openvino]`` and nothing else."""
    place = tmp_path_factory.mktemp("device")
    venv.create(place / "venv", with_pip=True)
    python = place / "venv" / "bin" / "python"
    pip = (python, "-m", "pip", "--disable-pip-version-check", "--quiet")
    constraints = shipped.clone / "constraints.txt"
    reached = run(*pip, "download", "--no-deps", "-c", constraints, "msgspec", cwd=place, env=outside)
    if reached.returncode != 0:
        pytest.skip("pip reaches no package index")
    made(
        *pip,
        "install",
        "-c",
        constraints,
        f"edgetl[openvino] @ file://{shipped.wheel}",
        cwd=place,
        env=outside,
    )
    return python


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that the checkout built, copied away from where it was built."""
    place = tmp_path_factory.mktemp("bundle")
    ran = run_edgetl(*BUILD, "--json", cwd=place, cache=place / "cache")
    assert ran.code == 0, ran.err
    shutil.copytree(place / str(ran.data["bundle"]), place / "copy")
    return place / "copy"


def test_a_device_without_torch_and_onnx_classifies_a_jpeg(
    device: Path, bundle: Path, tmp_path: Path
) -> None:
    digits = load_digits()
    number = 1500
    photo = cv2.resize(
        (digits.images[number] * 15.9).astype("uint8"), (640, 640), interpolation=cv2.INTER_LINEAR
    )
    assert cv2.imwrite(str(tmp_path / "photo.jpg"), photo)
    edgetl = device.with_name("edgetl")
    answer = json.loads(made(edgetl, "predict", bundle, "photo.jpg", "--json", cwd=tmp_path))
    assert answer["results"][0]["label"] == str(digits.target[number])


def test_what_is_installed_is_the_wheel_with_calibration_and_kernels(device: Path, tmp_path: Path) -> None:
    found = json.loads(made(device, "-c", LOOK, cwd=tmp_path))
    assert Path(found["home"]).is_relative_to(device.parent.parent)
    assert found["trainers"] == []
    assert found["ranges"] == "edgetl.calibration.ranges"
    assert {"README.md", "csrc", "include"} <= set(found["kernels"])
