"""The six methods, with the hand-made vendor in their children: what a host lacks is told, and nothing ends with it."""

from __future__ import annotations

import gc
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgetl import digest
from edgetl.backends import driver, seam
from edgetl.backends.cuda import on_pycuda
from edgetl.backends.driver import Driver, Gpu
from edgetl.backends.tensorrt import TensorRT, backend, memory
from edgetl.devices import DeviceProfile
from edgetl.errors import BackendError, EnvironmentLacks, InputError, NotComparable
from edgetl.testing import tiny_model
from edgetl.types import Engine
from tests.backends.fake_cuda import FakeCuda

Vendor = Any

NANO = Gpu(name="NVIDIA Tegra X1", capability="5.3", memory_mib=3956, integrated=False)
TX2 = Gpu(name="NVIDIA Tegra X2", capability="6.2", memory_mib=7858, integrated=False)


def profile(device: str = "GPU", precision: str = "int8", **options: str | int | bool) -> DeviceProfile:
    """A device to build for."""
    return DeviceProfile(
        name="board", backend="tensorrt", device=device, precision=precision, options=options
    )


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """An ONNX file; the fake does not read it."""
    return tiny_model(tmp_path / "tiny.onnx")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Where an engine is written."""
    (tmp_path / "engine").mkdir()
    return tmp_path / "engine"


def test_it_is_found_by_its_entry_point_and_imports_nothing_of_the_vendors() -> None:
    found = seam.find("tensorrt")
    assert isinstance(found, TensorRT)
    assert found.name == "tensorrt"
    told = [sys.executable, "-c", "import sys, edgetl.backends.tensorrt; print('tensorrt' in sys.modules)"]
    assert subprocess.run(told, capture_output=True, text=True, check=True).stdout.strip() == "False"


def test_a_host_with_all_of_it_is_usable(vendor: Vendor) -> None:
    vendor(version="10.13.0", dla_cores=2)
    found = TensorRT().probe()
    assert found.usable
    assert found.devices == ("GPU", "dla:0", "dla:1")
    assert found.versions == TensorRT().fingerprint()
    assert found.versions["tensorrt"] == "10.13.0"
    assert found.typed


def test_without_the_library_no_process_is_started(vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(driver, "find", lambda: pytest.fail("the driver was asked"))
    backend._host.cache_clear()
    found = TensorRT().probe()
    assert (found.usable, found.reason, found.versions) == (False, "TensorRT is not installed", {})
    assert found.mend


@pytest.mark.parametrize(
    ("machine", "mend"), [("x86_64", "edgetl[tensorrt]"), ("aarch64", "python3-libnvinfer")]
)
def test_the_mend_of_what_does_not_load_is_the_machines(
    vendor: Vendor, monkeypatch: pytest.MonkeyPatch, machine: str, mend: str
) -> None:
    vendor(children=True)
    monkeypatch.setenv("FAKE_TENSORRT", json.dumps({"crash": "import"}))
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert mend in TensorRT().probe().mend


def test_without_a_driver_no_builder_is_made(
    vendor: Vendor, monkeypatch: pytest.MonkeyPatch, model: Path, work: Path
) -> None:
    trt = vendor(null="builder")
    monkeypatch.setattr(driver, "find", lambda: Driver(reason="no NVIDIA driver: libcuda.so.1 is not there"))
    found = TensorRT().probe()
    assert (found.usable, found.devices) == (False, ())
    assert "no NVIDIA driver" in found.reason
    assert "install NVIDIA's driver" in found.mend
    assert found.versions == {"tensorrt": "10.3.0"}
    with pytest.raises(EnvironmentLacks, match="TensorRT has no GPU on this host: no NVIDIA driver"):
        TensorRT().compile(model, profile(), work)
    with pytest.raises(EnvironmentLacks, match="no NVIDIA driver"):
        TensorRT().trial(model, profile())
    assert not digest.tree_files(work)
    assert not trt.calls


def test_bindings_without_their_libraries_are_told(vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    vendor(children=True)
    monkeypatch.setenv("FAKE_TENSORRT", json.dumps({"crash": "import"}))
    found = TensorRT().probe()
    assert not found.usable
    assert "libnvinfer.so.10: cannot open shared object file" in found.reason


def test_a_library_that_ends_its_process_does_not_end_ours(vendor: Vendor) -> None:
    vendor(children=True, crash="builder")
    found = TensorRT().probe()
    assert not found.usable
    assert "SIGABRT" in found.reason


def test_a_release_that_is_too_old_is_told_as_a_number_and_not_as_text(vendor: Vendor) -> None:
    vendor(version="8.4.1")
    assert "8.4.1 is older than 8.5" in TensorRT().probe().reason
    vendor(version="10.3.0")
    assert TensorRT().probe().usable


def test_an_engine_has_its_stamp_and_its_plan(
    vendor: Vendor, model: Path, work: Path, tmp_path: Path
) -> None:
    log = tmp_path / "calls"
    vendor(children=True, log_to=str(log))
    engine = TensorRT().compile(model, profile(), work)
    assert digest.tree_files(work) == list(engine.files) == ["engine.plan"]
    assert engine.source == digest.of_file(model)
    assert engine.config == {"sha256": digest.of_file(work / "engine.plan"), "typing": "weak"}
    assert engine.built_with == {
        "tensorrt": "10.3.0",
        "gpu": "Orin",
        "compute_capability": "8.7",
        "cuda": "12.6",
    }
    assert msgspec.json.decode(digest.canonical_json(engine), type=Engine) == engine
    calls = [json.loads(line) for line in log.read_text().splitlines()]
    assert ["loaded", "[]"] in calls  # the builder's process has neither torch nor onnx
    assert len(list((tmp_path / "cache" / "tensorrt").glob("timings-*.bin"))) == 1


def test_options_of_a_profile_reach_the_child_and_the_record(
    vendor: Vendor, model: Path, work: Path, tmp_path: Path
) -> None:
    trt = vendor(dla_cores=2, not_on_dla=["conv"])
    asked = profile(
        "dla:1", "default", allowGPUFallback=True, versionCompatible=True, timingCache=False,
        hardwareCompatibilityLevel="ampere+",
    )  # fmt: skip
    engine = TensorRT().compile(model, asked, work)
    assert engine.config["on_gpu"] == "conv"
    assert engine.config["versionCompatible"] == "true"
    assert engine.config["hardwareCompatibilityLevel"] == "ampere+"
    assert ["set", "DLA_core", "1"] in trt.calls
    assert not (tmp_path / "cache").exists()


def test_an_option_that_is_not_known_is_refused_before_anything_is_asked(
    vendor: Vendor, monkeypatch: pytest.MonkeyPatch, model: Path, work: Path
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: pytest.fail("the host was asked"))
    with pytest.raises(InputError, match="no option 'workspace'"):
        TensorRT().compile(model, profile(workspace=1024), work)


@pytest.mark.parametrize("gpu", [NANO, TX2], ids=["nano", "tx2"])
def test_int8_is_refused_where_a_gpu_has_none_and_fp16_is_built(
    vendor: Vendor, model: Path, work: Path, gpu: Gpu
) -> None:
    vendor(gpu, version="8.6.1")
    with pytest.raises(EnvironmentLacks, match=f"{gpu.name} .*has no INT8") as caught:
        TensorRT().compile(model, profile(), work)
    assert "--precision default" in caught.value.hint
    assert TensorRT().compile(model, profile(precision="default"), work).precision == "default"


@pytest.mark.parametrize(
    ("device", "cores"), [("dla:0", "no DLA cores"), ("DLA", "no DLA cores"), ("CPU", "no DLA")]
)
def test_a_dla_on_a_device_without_one_is_an_error_and_never_the_gpu(
    vendor: Vendor, model: Path, work: Path, device: str, cores: str
) -> None:
    with pytest.raises(EnvironmentLacks, match=f"TensorRT has no {device} on this host: Orin has {cores}"):
        TensorRT().compile(model, profile(device), work)


def test_shared_memory_is_capped_and_looked_at_before_the_build(
    vendor: Vendor, model: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orin = Gpu(name="Orin", capability="8.7", memory_mib=7620, integrated=True)
    trt = vendor(orin)
    asked: list[int] = []
    monkeypatch.setattr(memory, "check", asked.append)
    TensorRT().compile(model, profile(), work)
    TensorRT().compile(model, profile(memPoolSize="workspace:256"), work)
    assert asked == [1024 << 20, 256 << 20]
    assert [call[2] for call in trt.calls if call[0] == "pool"] == [str(size) for size in asked]


def test_a_build_that_takes_its_process_down_is_an_error(vendor: Vendor, model: Path, work: Path) -> None:
    vendor(children=True, crash="build")
    with pytest.raises(BackendError, match="SIGABRT"):
        TensorRT().compile(model, profile(), work)


def test_what_the_parser_refuses_in_the_child_is_named_here(vendor: Vendor, model: Path, work: Path) -> None:
    vendor(children=True, parser=[["Mystery", "head.0", "No importer registered for op: Mystery"]])
    with pytest.raises(BackendError, match=r"does not take tiny\.onnx: Mystery 'head\.0'"):
        TensorRT().compile(model, profile(), work)


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    """CUDA without a GPU below the genuine session."""
    device = FakeCuda()
    monkeypatch.setattr(on_pycuda, "find", lambda: device)
    return device


def test_a_plan_is_deserialised_once_all_is_checked(
    vendor: Vendor, cuda: FakeCuda, model: Path, work: Path
) -> None:
    trt = vendor()
    engine = TensorRT().compile(model, profile(), work)
    session = TensorRT().open(engine, work)
    answers = session.run({"input": np.zeros((1, 32, 32, 3), np.uint8)})
    assert (answers["logits"].shape, answers["logits"].dtype.name) == ((1, 5), "float32")
    assert session.facts["trtexec"].endswith("--useCudaGraph --useSpinWait of trtexec 10.3.0")
    session.close()
    del session
    gc.collect()
    assert ["deserialize", "ftrt a plan of 10.3.0", "False", "-1"] in trt.calls
    assert trt.calls[-1] == ["engine gone"]
    assert cuda.faults == []
    assert not any(cuda.live.values())


def test_a_changed_byte_another_release_and_another_gpu_are_never_deserialised(
    vendor: Vendor, cuda: FakeCuda, model: Path, work: Path
) -> None:
    engine = TensorRT().compile(model, profile(), work)
    trt = vendor(version="10.7.0")
    with pytest.raises(NotComparable, match=r"TensorRT 10\.3\.0 .*this host has TensorRT 10\.7\.0"):
        TensorRT().open(engine, work)
    trt = vendor(NANO)
    with pytest.raises(NotComparable, match="Tegra X1"):
        TensorRT().explain(engine, work)
    trt = vendor()
    plan = work / "engine.plan"
    plan.write_bytes(plan.read_bytes()[:-1] + b"!")
    with pytest.raises(BackendError, match=r"engine\.plan is not what was built"):
        TensorRT().open(engine, work)
    assert not trt.calls


def test_an_engine_on_a_host_without_gpu_is_told_so(
    vendor: Vendor, cuda: FakeCuda, model: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = TensorRT().compile(model, profile(), work)
    monkeypatch.setattr(driver, "find", lambda: Driver(reason="the driver finds no GPU"))
    backend._host.cache_clear()
    with pytest.raises(EnvironmentLacks, match="finds no GPU"):
        TensorRT().open(engine, work)


INFORMATION = {
    "Layers": [
        {
            "Name": "conv",
            "LayerType": "CaskConvolution",
            "Inputs": [{"Format/Datatype": "Int8"}],
            "Outputs": [],
        },
        {"Name": "fc", "LayerType": "gemm", "Inputs": [{"Format/Datatype": "Half"}], "Outputs": []},
    ]
}


def test_explain_has_precision_and_the_mean_time_of_twenty_runs(
    vendor: Vendor, cuda: FakeCuda, model: Path, work: Path
) -> None:
    vendor(information=INFORMATION)
    layers = TensorRT().explain(TensorRT().compile(model, profile(), work), work)
    assert [(layer.name, layer.precision, layer.microseconds) for layer in layers] == [
        ("conv", "i8", 500.0),
        ("fc", "f16", None),
    ]


def test_explain_without_a_binding_of_cuda_has_no_times(
    vendor: Vendor, model: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking() -> None:
        raise EnvironmentLacks("PyCUDA is not installed")

    vendor(information=INFORMATION)
    monkeypatch.setattr(on_pycuda, "find", lacking)
    layers = TensorRT().explain(TensorRT().compile(model, profile(), work), work)
    assert [(layer.precision, layer.microseconds) for layer in layers] == [("i8", None), ("f16", None)]


def test_explain_refuses_inputs_that_are_not_the_engines(vendor: Vendor, model: Path, work: Path) -> None:
    engine = TensorRT().compile(model, profile(), work)
    with pytest.raises(InputError, match="float32"):
        TensorRT().explain(engine, work, inputs={"input": np.zeros((1, 32, 32, 3), np.float32)})
