"""The library of the fused head: found, loaded before the graph or the plan is read, and brought by the engine."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgetl.backends.tensorrt import TensorRT, plugin
from edgetl.devices import DeviceProfile
from edgetl.errors import BackendError, EnvironmentLacks, InputError
from edgetl.home import cache_folder
from edgetl.testing import tiny_model
from edgetl.types import Engine

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
