"""The library of the fused head: found, loaded before the graph or the plan is read, and brought by the engine."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgetl import digest
from edgetl.backends.tensorrt import TensorRT, plugin
from edgetl.devices import DeviceProfile
from edgetl.errors import BackendError, BundleError, EnvironmentLacks, InputError
from edgetl.home import cache_folder
from edgetl.ops import shipped
from edgetl.testing import tiny_model
from edgetl.types import Engine
from tests.ops.toolkit import Toolkit

Vendor = Any

OUTPUTS = [["probabilities", "FLOAT", [1, 5]], ["indices", "INT32", [1, 5]], ["scores", "FLOAT", [1, 5]]]


def profile(**options: str | int | bool) -> DeviceProfile:
    """A GPU to build for."""
    return DeviceProfile(name="board", backend="tensorrt", device="GPU", precision="int8", options=options)


@pytest.fixture
def fused(tmp_path: Path) -> Path:
    """A file that names the operator; the fake does not read it."""
    model = tiny_model(tmp_path / "model.onnx")
    model.write_bytes(model.read_bytes() + plugin.OPERATOR.encode())
    return model


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library with nothing in it."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++ on PATH: there is no library to load")
    out = tmp_path_factory.mktemp("plugin") / "libother.so"
    subprocess.run([compiler, "-shared", "-o", str(out), "-xc++", "/dev/null"], check=True)
    return out


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Where an engine is written."""
    (tmp_path / "engine").mkdir()
    return tmp_path / "engine"


def built(fused: Path, work: Path, library: Path) -> Engine:
    """An engine with a fused head."""
    return TensorRT().compile(fused, profile(staticPlugins=str(library)), work)


@pytest.mark.parametrize("version", ["8.6.1", "10.3.0", "11.4.0.106"])
def test_it_is_there_before_the_graph_is_read(
    vendor: Vendor, fused: Path, work: Path, library: Path, version: str
) -> None:
    trt = vendor(version=version, outputs=OUTPUTS)
    engine = built(fused, work, library)
    order = [call[0] for call in trt.calls]
    assert order.index("creator") < order.index("parse")
    assert ["creator", plugin.OPERATOR, plugin.VERSION, "edgetl"] in trt.calls
    assert engine.outputs[0].name == "probabilities"
    assert engine.files == ("engine.plan", plugin.LIBRARY)
    assert (work / plugin.LIBRARY).read_bytes() == library.read_bytes()


def test_an_engine_opens_with_the_library_that_it_brings(
    vendor: Vendor, fused: Path, work: Path, library: Path
) -> None:
    trt = vendor(outputs=OUTPUTS)
    engine = built(fused, work, library)
    trt.calls.clear()
    TensorRT().explain(engine, work)
    order = [call[0] for call in trt.calls]
    assert order.index("creator") < order.index("deserialize")


def test_a_plain_model_needs_none(vendor: Vendor, tmp_path: Path, work: Path) -> None:
    trt = vendor()
    engine = TensorRT().compile(tiny_model(tmp_path / "model.onnx"), profile(), work)
    TensorRT().explain(engine, work)
    assert engine.files == ("engine.plan",)
    assert "creator" not in [call[0] for call in trt.calls]


@pytest.mark.usefixtures("no_compiler")
def test_without_it_one_line_says_what_lacks_before_anything_is_built(
    vendor: Vendor, fused: Path, work: Path, tmp_path: Path
) -> None:
    trt = vendor()
    with pytest.raises(EnvironmentLacks, match=r"kernels/libedgetl_plugin\.so of edgetl's cache") as caught:
        TensorRT().compile(fused, profile(), work)
    assert "make kernels" in caught.value.hint
    with pytest.raises(EnvironmentLacks, match=r"there is no .*elsewhere\.so"):
        built(fused, work, tmp_path / "elsewhere.so")
    assert not trt.calls


def test_the_caches_own_is_taken_where_none_is_named(
    vendor: Vendor, fused: Path, work: Path, library: Path
) -> None:
    vendor(outputs=OUTPUTS)
    place = cache_folder() / "kernels" / plugin.LIBRARY
    place.parent.mkdir(parents=True)
    shutil.copyfile(library, place)
    assert TensorRT().compile(fused, profile(), work).files == ("engine.plan", plugin.LIBRARY)


def test_what_is_no_library_or_another_plugin_is_told(
    vendor: Vendor, fused: Path, work: Path, library: Path, tmp_path: Path
) -> None:
    vendor()
    (tmp_path / "text.so").write_text("no library")
    with pytest.raises(EnvironmentLacks, match="the plugin's library does not load"):
        built(fused, work, tmp_path / "text.so")
    vendor(null="creator")
    with pytest.raises(EnvironmentLacks, match=r"registers no EdgetlFusedHead 1 with TensorRT 10\.3\.0"):
        built(fused, work, library)


def test_a_library_that_was_changed_is_not_loaded(
    vendor: Vendor, fused: Path, work: Path, library: Path
) -> None:
    trt = vendor(outputs=OUTPUTS)
    engine = built(fused, work, library)
    (work / plugin.LIBRARY).write_bytes(library.read_bytes() + b"more")
    trt.calls.clear()
    with pytest.raises(BackendError, match=r"libedgetl_plugin\.so is not what the engine was built with"):
        TensorRT().explain(engine, work)
    without = msgspec.structs.replace(engine, files=engine.files[:1])
    with pytest.raises(InputError, match="names no libedgetl_plugin"):
        TensorRT().explain(without, work)
    assert not trt.calls


def test_the_record_is_plain_json(vendor: Vendor, fused: Path, work: Path, library: Path) -> None:
    vendor(outputs=OUTPUTS)
    engine = built(fused, work, library)
    assert msgspec.json.decode(json.dumps(msgspec.to_builtins(engine)), type=Engine) == engine


HERE = {"tensorrt": "10.3.0", "compute_capability": "8.7", "cuda": "12.6"}
CONTENT = b"\x7fELF, as far as anybody looks"


def brought(place: Path, *, capability: str = "8.7", **fields: str) -> Path:
    """``kernels/`` of a bundle that brings a library for this host."""
    folder = place / "kernels"
    folder.mkdir()
    (folder / plugin.LIBRARY).write_bytes(CONTENT)
    facts = {
        "origin": "compiled elsewhere",
        "sha256": digest.of_bytes(CONTENT),
        "machine": platform.machine(),
        "toolkit": "12.6.68",
        "tensorrt": "10.3",
        **fields,
    }
    record = shipped.Shipped(capability=capability, plugin=shipped.Plugin(**facts))
    (folder / shipped.RECORD).write_bytes(digest.canonical_json(record))
    return folder


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment names a toolkit that is not there."""
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "no-cuda"))


def test_that_of_the_bundle_comes_before_the_caches_and_an_engine_says_so(
    vendor: Vendor, fused: Path, work: Path, library: Path
) -> None:
    vendor(outputs=OUTPUTS)
    kept = cache_folder() / "kernels" / plugin.LIBRARY
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"another")
    content = library.read_bytes()
    folder = brought(fused.parent, sha256=digest.of_bytes(content))
    shutil.copyfile(library, folder / plugin.LIBRARY)
    engine = TensorRT().compile(fused, profile(), work)
    assert (work / plugin.LIBRARY).read_bytes() == content
    assert engine.config[plugin.ORIGIN] == "of the bundle, compiled elsewhere"


ELSEWHERE = {
    "machine": (
        {"machine": "riscv64"},
        "that of the bundle is not used: it is for riscv64, and this host is",
    ),
    "GPU": ({"capability": "7.5"}, "it is for compute capability 7.5, and this GPU has 8.7"),
    "TensorRT": ({"tensorrt": "8.6"}, "it is for TensorRT 8.6, and this host has 10.3.0"),
    "driver": ({"toolkit": "13.0.88"}, "it is of CUDA 13.0.88, and this driver serves CUDA 12.6"),
}


@pytest.mark.usefixtures("no_compiler")
@pytest.mark.parametrize("name", ELSEWHERE)
def test_that_of_the_bundle_is_passed_over_where_it_is_for_another(tmp_path: Path, name: str) -> None:
    fields, words = ELSEWHERE[name]
    folder = brought(tmp_path, **fields)
    with pytest.raises(EnvironmentLacks) as caught:
        plugin.find("", folder, HERE, tmp_path / "cache")
    assert caught.value.exit_code == 5
    assert words in caught.value.problem
    assert "of edgetl's cache; no nvcc in" in caught.value.problem
    assert "\n" not in caught.value.problem
    kept = tmp_path / "cache" / "kernels" / plugin.LIBRARY
    kept.parent.mkdir(parents=True)
    kept.write_bytes(CONTENT)
    assert plugin.find("", folder, HERE, tmp_path / "cache").path == kept


def test_one_that_was_changed_on_the_way_is_not_passed_over(tmp_path: Path) -> None:
    folder = brought(tmp_path)
    (folder / plugin.LIBRARY).write_bytes(CONTENT + b"x")
    with pytest.raises(BundleError, match="is not what the bundle was made with") as caught:
        plugin.find("", folder, HERE, tmp_path / "cache")
    assert caught.value.exit_code == 2


def test_one_for_another_machine_is_not_loaded_where_it_is_named(tmp_path: Path) -> None:
    file = tmp_path / "libarm.so"
    file.write_bytes(b"\x7fELF" + bytes(14) + (40).to_bytes(2, "little"))
    with pytest.raises(EnvironmentLacks, match="is a library for arm, and this host is"):
        plugin.find(str(file), None, HERE, tmp_path)


def headers(place: Path, major: int) -> Path:
    """A folder that passes for one release's headers."""
    place.mkdir(exist_ok=True)
    (place / "NvInfer.h").touch()
    (place / "NvInferVersion.h").write_text(
        f"#define NV_TENSORRT_MAJOR {major} //!<\n#define NV_TENSORRT_MINOR 3\n"
    )
    return place


def test_where_nvcc_and_headers_are_it_is_compiled_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toolkit = Toolkit(tmp_path / "cuda")
    monkeypatch.setenv("CUDA_HOME", str(toolkit.home))
    monkeypatch.setenv("TENSORRT_INCLUDE", str(headers(tmp_path / "headers", 10)))
    found = [plugin.find("", None, HERE, tmp_path / "cache") for _ in range(2)]
    assert found[0] == found[1]
    assert found[0].path.is_file()
    assert found[0].origin == "compiled by nvcc 13.0.88 for compute capability 8.7, TensorRT 10.3"
    (command,) = toolkit.runs
    assert f"-isystem={tmp_path / 'headers'}" in command
    assert "plugin/plugin.cpp" in command


@pytest.mark.parametrize(
    ("major", "words"),
    [(8, "are of 8.3, and this host has TensorRT 10.3.0"), (None, "no NvInfer.h of TensorRT's headers in")],
)
def test_headers_of_another_release_or_none_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, major: int | None, words: str
) -> None:
    toolkit = Toolkit(tmp_path / "cuda")
    monkeypatch.setenv("CUDA_HOME", str(toolkit.home))
    place = tmp_path / "headers" if major is None else headers(tmp_path / "headers", major)
    monkeypatch.setenv("TENSORRT_INCLUDE", str(place))
    with pytest.raises(EnvironmentLacks, match=words):
        plugin.find("", None, HERE, tmp_path / "cache")
    assert not toolkit.runs


def test_a_compiler_that_refuses_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toolkit = Toolkit(tmp_path / "cuda")
    toolkit.builds(compile_='echo "error: no such thing" >&2; exit 2')
    monkeypatch.setenv("CUDA_HOME", str(toolkit.home))
    monkeypatch.setenv("TENSORRT_INCLUDE", str(headers(tmp_path / "headers", 10)))
    with pytest.raises(BackendError, match="no such thing"):
        plugin.find("", None, HERE, tmp_path / "cache")
