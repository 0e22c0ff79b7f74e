"""The pretrained networks of the shared data, as factories that ``--models`` names, and their weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
from _cifar_nets import ResNet
from torch import Tensor, nn
from torch.nn import functional

__all__ = [
    "FROZEN_ONLY",
    "NAMES",
    "lite0_to_40",
    "lite0_to_112",
    "mobilenet_v1_075",
    "place_weights",
    "resnet8",
    "resnet20",
    "resnet56",
    "vww",
]


class _Same(nn.Conv2d):
    """A convolution that pads as TensorFlow's SAME does: the odd pixel to the right and below."""

    def forward(self, x: Tensor) -> Tensor:
        edges = []
        for side, kernel, stride in zip(x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1]):
            all_of_it = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            edges += [all_of_it // 2, all_of_it - all_of_it // 2]
        return super().forward(functional.pad(x, edges))


class _TinyBlock(nn.Module):
    def __init__(self, width: int, into: int) -> None:
        super().__init__()
        stride = into // width
        self.conv1 = _Same(width, into, 3, stride)
        self.bn1 = nn.BatchNorm2d(into, eps=1e-3)
        self.conv2 = _Same(into, into, 3)
        self.bn2 = nn.BatchNorm2d(into, eps=1e-3)
        self.shortcut = nn.Conv2d(width, into, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        found = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(found + self.shortcut(x))


class _ResNet8(nn.Module):
    """MLPerf Tiny's network for CIFAR-10."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _Same(3, 16, 3)
        self.bn1 = nn.BatchNorm2d(16, eps=1e-3)
        self.layer1, self.layer2, self.layer3 = _TinyBlock(16, 16), _TinyBlock(16, 32), _TinyBlock(32, 64)
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        found = self.layer3(self.layer2(self.layer1(functional.relu(self.bn1(self.conv1(x))))))
        logits: Tensor = self.fc(found.mean((2, 3)))
        return logits


class _Separable(nn.Module):
    """A depthwise and a pointwise convolution, each with its norm."""

    def __init__(self, width: int, into: int, stride: int) -> None:
        super().__init__()
        self.dw = _Same(width, width, 3, stride, groups=width)
        self.bn1 = nn.BatchNorm2d(width, eps=1e-3)
        self.pw = nn.Conv2d(width, into, 1)
        self.bn2 = nn.BatchNorm2d(into, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = functional.relu(self.bn2(self.pw(functional.relu(self.bn1(self.dw(x))))))
        return found


WIDTHS = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
"""Of MobileNet v1 (Howard et al. 2017, table 1), and of its thirteen blocks."""


class _VisualWakeWords(nn.Module):
    """MLPerf Tiny's MobileNet v1 of width 0.25, person or no person."""

    def __init__(self) -> None:
        super().__init__()
        widths = [width // 4 for width in WIDTHS]
        self.stem = nn.Module()
        self.stem.conv = _Same(3, widths[0], 3, 2)
        self.stem.bn = nn.BatchNorm2d(widths[0], eps=1e-3)
        for number, (width, into, stride) in enumerate(zip(widths, widths[1:], STRIDES)):
            setattr(self, f"block{number}", _Separable(width, into, stride))
        self.fc = nn.Linear(widths[-1], 2)

    def forward(self, x: Tensor) -> Tensor:
        stem: Any = self.stem
        x = functional.relu(stem.bn(stem.conv(x)))
        for number in range(len(STRIDES)):
            x = getattr(self, f"block{number}")(x)
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


class _MobileNet75(nn.Module):
    """MobileNet v1 of width 0.75 without norms: the file has them folded, so it is scored frozen and never trained."""

    def __init__(self) -> None:
        super().__init__()
        widths = [3 * width // 4 for width in WIDTHS]
        layers: list[nn.Module] = [_Same(3, widths[0], 3, 2), nn.ReLU6()]
        for width, into, stride in zip(widths, widths[1:], STRIDES):
            layers += [_Same(width, width, 3, stride, groups=width), nn.ReLU6()]
            layers += [nn.Conv2d(width, into, 1), nn.ReLU6()]
        self.layers = nn.Sequential(*layers)
        self.fc = nn.Linear(widths[-1], 1000)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.layers(x).mean((2, 3)))
        return logits


class _Lite0(nn.Module):
    """EfficientNet-Lite0 that ends after so many of its seven stages."""

    def __init__(self, stages: int) -> None:
        super().__init__()
        whole: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        self.conv_stem, self.bn1, self.blocks = whole.conv_stem, whole.bn1, whole.blocks[:stages]
        widths = [layer.out_channels for layer in self.blocks.modules() if isinstance(layer, nn.Conv2d)]
        self.classifier = nn.Linear(widths[-1], 1000)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.blocks(self.bn1(self.conv_stem(x))).mean((2, 3)))
        return logits


def resnet8() -> nn.Module:
    """MLPerf Tiny's ResNet-8."""
    return _ResNet8()


def resnet20() -> nn.Module:
    """ResNet-20 for CIFAR-10."""
    return ResNet(3)


def resnet56() -> nn.Module:
    """ResNet-56 for CIFAR-10."""
    return ResNet(9)


def vww() -> nn.Module:
    """MLPerf Tiny's MobileNet for visual wake words."""
    return _VisualWakeWords()


def lite0_to_40() -> nn.Module:
    """EfficientNet-Lite0 up to its 40 channels at an eighth of the input's side."""
    return _Lite0(3)


def lite0_to_112() -> nn.Module:
    """EfficientNet-Lite0 up to its 112 channels at a sixteenth."""
    return _Lite0(5)


def mobilenet_v1_075() -> nn.Module:
    """MobileNet v1 of width 0.75 for ImageNet."""
    return _MobileNet75()


FROZEN_ONLY = "mobilenet_v1_075"
_WHOLE = {side: {"center_crop": side, "resize_short_side": side} for side in (32, 96)}
_CIFAR = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], **_WHOLE[32]}
_BYTES = {"mean": [0.0, 0.0, 0.0], "std": [1 / 255, 1 / 255, 1 / 255], **_WHOLE[32]}
_SHARE = {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0], **_WHOLE[96]}
_FILES = {
    "efficientnet_lite0": ("timm/tf_efficientnet_lite0", "efficientnet_lite0_imagenet", None),
    "lite0_to_112": ("_backbones:lite0_to_112", "efficientnet_lite0_imagenet", None),
    "lite0_to_40": ("_backbones:lite0_to_40", "efficientnet_lite0_imagenet", None),
    "vww": ("_backbones:vww", "vww_mobilenetv1_025_96_mlperftiny", _SHARE),
    "resnet8": ("_backbones:resnet8", "resnet8_cifar10_mlperftiny", _BYTES),
    "resnet20": ("_backbones:resnet20", "resnet20_cifar10", _CIFAR),
    "resnet56": ("_backbones:resnet56", "resnet56_cifar10", _CIFAR),
}
"""Backbone, file, and what it wants of a picture where the file does not say so in words that edgetl reads."""
NAMES = (*_FILES, "tiny", FROZEN_ONLY)


def place_weights(weights: Path, folder: Path, names: Sequence[str] = NAMES) -> dict[str, str]:
    """Weights in a folder, each with what it wants of a picture beside it; ``BACKBONE=FILE`` by name.

    Parameters
    ----------
    weights : of the shared data.
    """
    found = {}
    for name in names:
        if name == "tiny":
            found[name] = "tiny"
        elif name == FROZEN_ONLY:
            found[name] = f"_backbones:{name}={_from_onnx(weights / f'{name}_imagenet.onnx', folder)}"
        else:
            model, stem, wants = _FILES[name]
            file = folder / f"{name}.safetensors"
            shutil.copyfile(weights / f"{stem}.safetensors", file)
            told = weights / f"{stem}.json"
            text = told.read_text() if wants is None else json.dumps({"preprocessing": wants})
            file.with_suffix(".json").write_text(text)
            found[name] = f"{model}={file}"
    return found


def _from_onnx(model: Path, folder: Path) -> Path:
    """The convolutions of an ONNX file, in order, under the names of the network."""
    import onnx
    import torch
    from onnx import numpy_helper
    from safetensors.torch import save_file

    graph = onnx.load(model).graph
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    state = {}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    for place, node in enumerate(convolutions):
        for part, name in zip(("weight", "bias"), node.input[1:]):
            state[f"layers.{2 * place}.{part}"] = torch.from_numpy(arrays[name].copy())
    file = folder / f"{model.stem}.safetensors"
    save_file(state, file)
    half = [0.5, 0.5, 0.5]
    wants = {"mean": half, "std": half, "center_crop": 224, "resize_short_side": 256}
    file.with_suffix(".json").write_text(json.dumps({"preprocessing": wants}))
    return file
