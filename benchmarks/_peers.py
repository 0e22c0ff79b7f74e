"""The same networks for every contender: exported as ours and as a peer's user would, and quantized by each.

The networks have 1,000 classes and the head they were published with. Without a weights file they are random, with
batch-norm statistics of noise: with those of a new network activations shrink layer by layer until they are
denormal numbers, which distort times.

torch is imported where a network is made: programs that measure memory use the rest without it.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgetl import devices
from edgetl import models as cards
from edgetl.quantize import observe, place, schemes
from edgetl.types import Preprocess

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "NETS",
    "float_model",
    "float_nchw",
    "nncf_default",
    "normalised",
    "ort_static",
    "ours",
    "preprocess_of",
    "real_nchw",
    "stacked",
]

Array = npt.NDArray[Any]

NETS = ("mobilenet_v2", "resnet18", "resnet50", "efficientnet_lite0")
SIDE = 224
SUBSET = 300
"""Pictures that NNCF takes by default; all contenders get as many."""


def preprocess_of(name: str) -> Preprocess:
    """What a network wants of a picture: 224 of 256, its own mean and std."""
    card = None if name == "efficientnet_lite0" else cards.find(name)
    half = (0.5, 0.5, 0.5)
    mean, std = (half, half) if card is None else (card.mean, card.std)
    return Preprocess(height=SIDE, width=SIDE, crop=(7, 8), mean=mean, std=std)


def normalised(pictures: Array, preprocess: Preprocess) -> list[Array]:
    """What ``float_nchw`` takes of uint8 pictures (N, H, W, 3): float32 (1, 3, H, W) each."""
    scale, shift = (np.array(v, np.float32).reshape(1, 3, 1, 1) for v in preprocess.affine())
    return [
        np.ascontiguousarray(picture.transpose(2, 0, 1)[None].astype(np.float32) * scale + shift)
        for picture in pictures
    ]


def stacked(pictures: Array, preprocess: Preprocess) -> Array:
    """``normalised`` in one array, (N, 3, H, W)."""
    return np.concatenate(normalised(pictures, preprocess))


def float_model(name: str, folder: Path, weights: Path | None = None, *, seed: int = 0) -> Path:
    """The float ONNX as edgetl ships it: uint8 (1, H, W, 3) in, preprocessing inside."""
    from edgetl import export

    path = folder / f"{name}.fp32.onnx"
    export.export_classifier(_network(name, weights, seed), preprocess_of(name), path)
    return path


def float_nchw(name: str, folder: Path, weights: Path | None = None, *, seed: int = 0) -> Path:
    """The float ONNX as a peer's user makes it: torch's exporter, normalised float32 (1, 3, H, W) in."""
    path = folder / f"{name}.nchw.onnx"
    export_planes(_network(name, weights, seed), path, SIDE)
    return path


def export_planes(net: nn.Module, path: Path, side: int) -> None:
    """Write a network as torch's exporter does it: float32 (1, 3, side, side) in."""
    import torch

    with _quiet():
        program = torch.onnx.export(
            net,
            (torch.zeros(1, 3, side, side),),
            dynamo=True,
            input_names=["input"],
            output_names=["logits"],
            external_data=False,
            verbose=False,
        )
    assert program is not None
    program.save(path, external_data=False)


def real_nchw(name: str, folder: Path, weights: Path) -> Path:
    """A network with real ImageNet weights as ``float_nchw`` gives it: exported here, or the ONNX file that came."""
    given = weights / f"{name}_imagenet.onnx"
    return given if given.exists() else float_nchw(name, folder, weights / f"{name}_imagenet.safetensors")


def ours(
    model: Path,
    pictures: Array,
    folder: Path,
    *,
    method: str = "default",
    scheme: str = "openvino-cpu",
    reduce_range: bool | None = None,
) -> Path:
    """Quantize with edgetl.

    Parameters
    ----------
    model : of ``float_model``. pictures : uint8 (N, H, W, 3).
    reduce_range : ``None`` does what ``edgetl build --device local`` would do on this host.
    """
    if reduce_range is None:
        reduce_range = devices.saturates(devices.load().find("local"))
    stats = observe.observe(model, (picture[None] for picture in pictures), method=method)
    path = folder / f"{model.name.partition('.')[0]}.ours.onnx"
    place.quantize(model, stats, schemes.find(scheme), method, path, reduce_range=reduce_range)
    return path


def nncf_default(model: Path, images: Sequence[Array], folder: Path, **variant: Any) -> Path:
    """NNCF's post-training quantization as its documentation calls it for an OpenVINO model; path of the IR.

    Parameters
    ----------
    model : of ``float_nchw``. images : of ``normalised``. variant : further options, none by default.
    """
    with _quiet():
        import nncf
        import openvino as ov

        graph = ov.Core().read_model(model)
        quantized = nncf.quantize(graph, nncf.Dataset(images), subset_size=SUBSET, **variant)
        path = folder / f"{model.name.partition('.')[0]}.nncf.xml"
        ov.save_model(quantized, path, compress_to_fp16=False)
    return path


def ort_static(model: Path, images: Sequence[Array], folder: Path, **variant: Any) -> Path:
    """ONNX Runtime's ``quantize_static``: its defaults, but for what ``variant`` gives.

    OpenVINO's CPU plugin refuses what the bare defaults make (int8 activations with a zero point), so uint8
    activations are the one default that is replaced here.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter(images)

        def get_next(self) -> dict[str, Array] | None:
            image = next(self.left, None)
            return None if image is None else {"input": image}

    tag = "".join(f".{key}={value}" for key, value in sorted(variant.items()))
    path = folder / f"{model.name.partition('.')[0]}.ort{tag}.onnx"
    with _quiet():
        quantize_static(model, path, Reader(), **{"activation_type": QuantType.QUInt8, **variant})
    return path


def _network(name: str, weights: Path | None, seed: int) -> nn.Module:
    import torch

    from edgetl.transfer import weights as weight_files

    torch.manual_seed(seed)
    if name == "efficientnet_lite0":
        import timm

        net = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    else:
        import torchvision

        net = torchvision.models.get_model(name, weights=None)
    if weights is None:
        _settle(net)
    else:
        missing = net.load_state_dict(
            weight_files.bare(weight_files.read(weights)), strict=False
        ).missing_keys
        lacking = [key for key in missing if not key.endswith("num_batches_tracked")]
        if lacking:
            raise SystemExit(f"{weights.name} lacks {lacking[0]} of {name}")
    made: nn.Module = net.eval()
    return made


def _settle(net: nn.Module) -> None:
    """Give batch norms the statistics of noise, so that every layer's output has an ordinary size."""
    import torch
    from torch import nn

    norms = [layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # a plain mean over what is seen
    with torch.no_grad():
        net.train()(torch.randn(8, 3, SIDE, SIDE))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Exporters and quantizers print progress bars and log; a benchmark prints its rows alone."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
