"""Peers' engines as their documentation runs them; each opener returns the call that is timed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["onnxruntime_model", "openvino_model"]

Call = Callable[[], object]


def openvino_model(path: str) -> Call:
    """A model on OpenVINO's CPU plugin with its defaults: one request whose input tensor is set before."""
    import openvino as ov

    request = ov.Core().compile_model(path, "CPU").create_infer_request()
    port = request.model_inputs[0]
    values = np.random.default_rng(0).standard_normal(list(port.shape)).astype(np.float32)
    request.set_input_tensor(ov.Tensor(values))

    def once() -> None:
        request.infer()

    return once


def onnxruntime_model(path: str) -> Call:
    """A model on ONNX Runtime's CPU provider with its defaults."""
    import onnxruntime as ort

    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    wanted = session.get_inputs()[0]
    values = np.random.default_rng(0).standard_normal(wanted.shape).astype(np.float32)

    def once() -> object:
        return session.run(None, {wanted.name: values})

    return once
