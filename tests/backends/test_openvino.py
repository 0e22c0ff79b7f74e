"""OpenVINO keeps the contract; what it alone does is tested below."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from edgetl import digest, testing
from edgetl.backends import openvino as module
from edgetl.backends.openvino import OpenVINO
from edgetl.devices import DeviceProfile
from edgetl.errors import BackendError, EnvironmentLacks
from edgetl.testing import BackendContract
from edgetl.types import Engine
from tests.backends import quantized


def profile(precision: str, threads: int | None = None, device: str = "CPU") -> DeviceProfile:
    """A device of this host."""
    return DeviceProfile(name="here", backend="openvino", device=device, precision=precision, threads=threads)


class TestOpenVINO(BackendContract):
    """The CPU plugin; a GPU is known and not here, which is told before any name that is unknown."""

    name = "openvino"
    library = "openvino"

    def test_f32_is_asked_for_by_itself_and_the_default_is_left_alone(
        self, built: tuple[Engine, Path]
    ) -> None:
        """The default is bf16 on a CPU that has it: an f32 that was not asked for would be no baseline."""
        assert built[0].config["INFERENCE_PRECISION_HINT"] == "f32"
        opened = OpenVINO().open(*built)
        assert opened._compiled is not None
        assert opened._compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"
        assert module._config(profile("default")) == {}
        assert module._config(profile("int8")) == {}

    def test_the_second_opening_comes_from_the_cache_and_a_damaged_one_is_made_again(
        self, built: tuple[Engine, Path], tmp_path: Path
    ) -> None:
        def from_cache() -> bool:
            compiled = OpenVINO().open(*built, cache=tmp_path)._compiled
            assert compiled is not None
            return bool(compiled.get_property("LOADED_FROM_CACHE"))

        assert [from_cache(), from_cache()] == [False, True]
        (blob,) = tmp_path.glob("*.blob")
        blob.chmod(0o600)
        blob.write_bytes(blob.read_bytes()[:1000])
        assert [from_cache(), from_cache()] == [False, True]

    def test_a_cache_that_cannot_be_written_is_done_without(
        self, built: tuple[Engine, Path], tmp_path: Path
    ) -> None:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        try:
            opened = OpenVINO().open(*built, cache=tmp_path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert opened._compiled is not None
        assert list(tmp_path.iterdir()) == []

    def test_layers_of_an_f32_engine_compute_in_f32(self, built: tuple[Engine, Path]) -> None:
        layers = OpenVINO().explain(*built)
        assert {layer.precision for layer in layers if layer.kind in ("Convolution", "FullyConnected")} <= {
            "f32"
        }
        assert not {layer.kind for layer in layers} & {"Input", "Output", "Constant", "Const"}

    def test_threads_of_a_profile_are_those_of_the_engine(self, model: Path, tmp_path: Path) -> None:
        engine = OpenVINO().compile(model, profile("f32", threads=1), tmp_path)
        assert engine.config["INFERENCE_NUM_THREADS"] == "1"
        opened = OpenVINO().open(engine, tmp_path)
        assert opened._compiled is not None
        assert opened._compiled.get_property("INFERENCE_NUM_THREADS") == 1

    def test_the_same_model_gives_the_same_bytes(
        self, built: tuple[Engine, Path], model: Path, tmp_path: Path
    ) -> None:
        OpenVINO().compile(model, profile("f32"), tmp_path)
        assert digest.of_tree(tmp_path) == digest.of_tree(built[1])

    def test_weights_stay_in_f32_on_disk(self, built: tuple[Engine, Path]) -> None:
        assert 'precision="FP16"' not in (built[1] / "model.xml").read_text()

    def test_an_absent_gpu_is_told_with_its_reason_and_mend(self, model: Path, tmp_path: Path) -> None:
        found = OpenVINO().probe()
        if "GPU" in found.devices:
            pytest.skip("this host has a GPU")
        assert "GPU" in found.absent
        assert "/" not in found.absent["GPU"].partition(";")[0].replace("and/or", "")
        with pytest.raises(EnvironmentLacks, match=r"OpenVINO has no GPU on this host: .") as caught:
            OpenVINO().compile(model, profile("f32", device="GPU"), tmp_path)
        assert caught.value.hint

    def test_a_setting_that_the_plugin_does_not_know_is_an_error(self, built: tuple[Engine, Path]) -> None:
        odd = msgspec.structs.replace(built[0], config={"INFERENCE_PRECISON_HINT": "f32"})
        with pytest.raises(BackendError, match="INFERENCE_PRECISON_HINT"):
            OpenVINO().open(odd, built[1])


def test_nothing_is_reported_to_the_vendor(tmp_path: Path) -> None:
    """By the trace that its reporter leaves in the user's home."""
    command = [sys.executable, "-m", "edgetl", "devices", "--json"]
    subprocess.run(
        command, env={**os.environ, "HOME": str(tmp_path)}, cwd=tmp_path, check=True, capture_output=True
    )
    assert not (tmp_path / "intel").exists()


@pytest.mark.parametrize(
    ("before", "after"),
    [("", "False"), ("import openvino_telemetry", "True")],
    ids=["nobody's", "the program's"],
)
def test_the_reporter_is_left_to_a_program_that_has_it(before: str, after: str) -> None:
    pytest.importorskip("openvino_telemetry")
    asked = f"{before}\nimport sys, edgetl.backends.openvino\nprint('openvino_telemetry' in sys.modules)"
    assert _printed(asked) == after
    assert _printed(f"{asked}\nimport openvino_telemetry").startswith(after)  # nobody is kept from it later


def _printed(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(
            "Exception from src/inference/src/cpp/core.cpp:118:\nCheck 'x' failed at y.cpp:3:\nno room"
        ),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        ValueError("tensor of another size"),
        TypeError("incompatible function arguments"),
        KeyError("input"),
        MemoryError(),
        Exception(""),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_the_library_raises_becomes_an_error_of_ours(error: Exception) -> None:
    with (
        pytest.raises(BackendError, match=r"OpenVINO's CPU plugin failed: .") as caught,
        module._mapped("CPU"),
    ):
        raise error
    assert caught.value.__cause__ is error
    assert "vendor" in caught.value.facts
    assert "\n" not in caught.value.problem


@pytest.mark.parametrize(("way", "call"), [("start", "start_async"), ("wait", "wait"), ("infer", "infer")])
def test_an_inference_that_fails_is_told_in_our_words(way: str, call: str, tmp_path: Path) -> None:
    """Each by its own call of the library: ``infer`` wakes no other thread."""

    class Broken:
        def __getattr__(self, name: str) -> Callable[..., None]:
            def call(**_: object) -> None:
                raise RuntimeError(f"{name} broke")

            return call

    model = testing.tiny_model(tmp_path / "tiny.onnx")
    (tmp_path / "engine").mkdir()
    engine = OpenVINO().compile(model, profile("f32"), tmp_path / "engine")
    request = OpenVINO().open(engine, tmp_path / "engine").request()
    assert isinstance(request, module.OpenVINORequest)
    request._request = Broken()
    with pytest.raises(BackendError, match=f"OpenVINO's CPU plugin failed: {call} broke"):
        getattr(request, way)()


def test_an_error_of_ours_passes_unchanged() -> None:
    ours = EnvironmentLacks("no device")
    with pytest.raises(EnvironmentLacks) as caught, module._mapped("CPU"):
        raise ours
    assert caught.value is ours


def test_the_sentence_that_says_something_is_quoted_without_paths() -> None:
    said = (
        "Exception from src/inference/src/cpp/core.cpp:118:\n"
        "Exception from src/plugins/plugin.cpp:7:\n"
        'Cannot load library "/opt/venv/lib/openvino/libgpu.so": libOpenCL.so.1: no such file\n'
    )
    assert (
        module._plain(RuntimeError(said)) == 'Cannot load library "libgpu.so": libOpenCL.so.1: no such file'
    )


def test_int8_is_proven_by_the_executed_layers(tmp_path: Path) -> None:
    """A graph with Q/DQ runs its convolution in u8 or i8."""
    file = quantized.write(tmp_path / "quantized.onnx")
    folder = tmp_path / "engine"
    folder.mkdir()
    engine = OpenVINO().compile(file, profile("int8"), folder)
    layers = [layer for layer in OpenVINO().explain(engine, folder) if layer.kind == "Convolution"]
    assert len(layers) == 1
    assert {layer.precision for layer in layers} <= {"u8", "i8"}
    assert all(layer.microseconds and layer.microseconds > 0 for layer in layers)


def test_closing_lets_go_of_the_compiled_model(tmp_path: Path) -> None:
    model = testing.tiny_model(tmp_path / "tiny.onnx")
    (tmp_path / "engine").mkdir()
    engine = OpenVINO().compile(model, profile("f32"), tmp_path / "engine")
    opened = OpenVINO().open(engine, tmp_path / "engine")
    opened.close()
    assert opened._compiled is None


def test_a_full_disk_is_not_blamed_on_the_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library says "iostream error" and no more; with space left it stays the library's own failure."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("basic_ios::clear: iostream error")

    (tmp_path / "model.onnx").write_bytes(b"x" * 1000)
    monkeypatch.setattr(
        "edgetl.backends.openvino.ov.Core", lambda: SimpleNamespace(read_model=lambda _: None)
    )
    monkeypatch.setattr("edgetl.backends.openvino.ov.save_model", fail)
    with pytest.raises(BackendError, match="iostream"):
        module.write_ir(str(tmp_path / "model.onnx"), str(tmp_path), "CPU", {})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=999))
    with pytest.raises(OSError, match="No space left"):
        module.write_ir(str(tmp_path / "model.onnx"), str(tmp_path), "CPU", {})
