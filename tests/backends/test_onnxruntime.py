"""ONNX Runtime keeps the contract; what it alone does is tested below."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgetl.backends import onnxruntime as module
from edgetl.backends.onnxruntime import ONNXRuntime
from edgetl.devices import DeviceProfile
from edgetl.errors import BackendError
from edgetl.testing import BackendContract, tiny_model
from edgetl.types import Engine
from tests.backends import quantized


class TestONNXRuntime(BackendContract):
    """The CPU provider."""

    name = "onnxruntime"
    library = "onnxruntime"

    def test_the_engine_is_the_file(self, built: tuple[Engine, Path], model: Path) -> None:
        assert (built[1] / "model.onnx").read_bytes() == model.read_bytes()

    def test_threads_of_a_profile_are_those_of_the_engine(self, model: Path, tmp_path: Path) -> None:
        asked = DeviceProfile(name="here", backend="onnxruntime", precision="f32", threads=1)
        engine = ONNXRuntime().compile(model, asked, tmp_path)
        assert module._options(engine.config).intra_op_num_threads == 1

    def test_float_layers_are_told_as_float_in_the_order_they_run(self, built: tuple[Engine, Path]) -> None:
        layers = ONNXRuntime().explain(*built)
        by_kind = {layer.kind: layer.precision for layer in layers}
        assert by_kind["Gemm"] == "f32"
        kinds = [layer.kind for layer in layers]
        assert kinds.index("Cast") < kinds.index("Gemm")


@pytest.mark.parametrize(
    ("kind", "types", "precision"),
    [
        ("QLinearConv", [{"uint8": [1]}], "u8"),
        ("QLinearAdd", [{"uint8": [1]}], "u8"),
        ("QLinearGlobalAveragePool", [{"uint8": [1]}], "u8"),
        ("QGemm", [{"uint8": [1]}], "u8"),
        ("ConvInteger", [{"uint8": [1]}], "u8"),
        ("Conv", [{"float": [1]}], "f32"),
        ("FusedConv", [{"float": [1]}], "f32"),
        ("MaxPool", [{"uint8": [1]}], "u8"),
        ("QuantizeLinear", [{"float": [1]}], "f32"),
        ("DequantizeLinear", [{"uint8": [1]}], "u8"),
        ("Softmax", [{"float16": [1]}], "f16"),
        ("Gather", [{"int64": [1]}], "int64"),
        ("Constant", [], "f32"),
    ],
)
def test_the_precision_of_a_node_is_its_kinds_or_its_first_inputs(
    kind: str, types: list[dict[str, list[int]]], precision: str
) -> None:
    assert module._precision({"op_name": kind, "input_type_shape": types}) == precision


def test_quantized_layers_are_proven_by_the_optimised_graph(tmp_path: Path) -> None:
    """Q/DQ around a convolution is fused into one that computes in u8."""
    file = quantized.write(tmp_path / "quantized.onnx")
    folder = tmp_path / "engine"
    folder.mkdir()
    engine = ONNXRuntime().compile(file, DeviceProfile(name="here", backend="onnxruntime"), folder)
    layers = {layer.kind: layer.precision for layer in ONNXRuntime().explain(engine, folder)}
    assert layers["QLinearConv"] == "u8"


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[ONNXRuntimeError] : 1 : FAIL : no kernel for /opt/x/model.onnx"),
        ValueError("rank"),
        Exception(""),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_the_library_raises_becomes_an_error_of_ours(error: Exception) -> None:
    with (
        pytest.raises(BackendError, match=r"ONNX Runtime refuses m\.onnx: ") as caught,
        module._mapped("m.onnx"),
    ):
        raise error
    assert caught.value.__cause__ is error
    assert "ONNXRuntimeError" not in caught.value.problem
    assert "/opt" not in caught.value.problem


@pytest.mark.parametrize(
    ("scheme", "fused"), [("openvino-cpu", True), ("tensorrt", False), ("tensorrt-dla", False)]
)
def test_a_graph_for_another_device_is_computed_as_onnx_defines_it(
    scheme: str, fused: bool, tmp_path: Path
) -> None:
    file = quantized.write(tmp_path / "quantized.onnx")
    asked = DeviceProfile(name="there", backend="onnxruntime", precision="int8", scheme=scheme)
    (tmp_path / "engine").mkdir()
    engine = ONNXRuntime().compile(file, asked, tmp_path / "engine")
    kinds = {layer.kind for layer in ONNXRuntime().explain(engine, tmp_path / "engine")}
    assert ("QLinearConv" in kinds) == fused


def test_an_inference_at_once_takes_no_thread_of_the_session(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "tiny.onnx")
    session = ONNXRuntime().trial(
        model, DeviceProfile(name="one", backend="onnxruntime", device="CPU", precision="f32")
    )
    session._workers.shutdown()
    request = session.request()
    assert request.infer()["logits"].shape[1] > 1
    with pytest.raises(BackendError):
        request.start()
