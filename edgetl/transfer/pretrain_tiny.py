"""Make the weights of ``--model tiny``: it learns what EfficientNet-Lite0 answers on pictures that a program draws.

``python -m edgetl.transfer.pretrain_tiny [--teacher FILE]`` writes ``tiny.safetensors`` and ``tiny.json`` beside the
cards, and says the file's digest. One thread, so that the same libraries on the same kind of processor give the
same bytes.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

import edgetl.models
from edgetl import digest
from edgetl.errors import InputError
from edgetl.transfer import synthetic, weights
from edgetl.transfer.tiny import Tiny

__all__ = ["Lessons", "card", "lessons", "main", "save", "teacher", "train"]

LOG = logging.getLogger(__name__)

TEACHER = "tf_efficientnet_lite0"
SEED = 7
TEXTURES = 600
VIEWS = 14_000
EPOCHS = 7
BATCH = 64
RATE = 2e-3
DECAY = 0.02
WARM_UP = 0.05
TEMPERATURE = 2.0
FEATURE_WEIGHT = 10.0
"""Brings the feature loss to the size of the logit loss."""
MEAN = STD = 0.5
"""Of teacher and pupil alike: pixels run from -1 to 1."""
SIZE = 64
LICENCE = "Apache-2.0"
SOURCE = (
    "edgetl.transfer.pretrain_tiny: distilled from EfficientNet-Lite0 (Apache-2.0) on generated pictures and "
    "collages of scikit-learn's china.jpg (danielbuechele) and flower.jpg (vultilion), both CC BY 2.0"
)

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Lessons:
    """Pictures and what the teacher says of them.

    Attributes
    ----------
    pictures : uint8 (N, 3, 64, 64). features : (N, F), each standardised over N. logits : (N, classes).
    """

    pictures: Tensor
    features: Tensor
    logits: Tensor


def teacher(file: Path | None) -> nn.Module:
    """EfficientNet-Lite0 with ImageNet weights: from a file, or by timm's own download.

    Raises
    ------
    InputError : the file is another network's.
    """
    import timm

    module: nn.Module = timm.create_model(TEACHER, pretrained=file is None)
    if file is not None:
        missing, _ = module.load_state_dict(weights.bare(weights.read(file)), strict=False)
        missing = [name for name in missing if not name.endswith("num_batches_tracked")]
        if missing:
            raise InputError(
                f"{file.name} is not {TEACHER}: {missing[0]} is missing", hint=f"timm's weights of {TEACHER}"
            )
    return module.eval()


def lessons(master: Any, count: int) -> Lessons:
    """Draw ``count`` pictures and ask the teacher about each at twice the pupil's size."""
    textures, photos = synthetic.bank(SEED, min(TEXTURES, count)), synthetic.photographs()
    pictures, features, logits = [], [], []
    for large in _batches(textures, photos, count):
        with torch.inference_mode():
            answer = master.forward_head(master.forward_features(_normalised(large)), pre_logits=True)
            features.append(answer.clone())
            logits.append(master.get_classifier()(answer).clone())
        pictures.append(_halved(large))
    told = torch.cat(features)
    spread = told.std(dim=0).clamp_min(1e-6)
    return Lessons(torch.cat(pictures), (told - told.mean(dim=0)) / spread, torch.cat(logits))


def _batches(
    textures: Sequence[synthetic.Image], photos: Sequence[synthetic.Image], count: int
) -> Iterator[Tensor]:
    """Scenes, uint8 (at most 32, 3, 128, 128)."""
    for start in range(0, count, 32):
        scenes = [
            synthetic.scene(np.random.default_rng([SEED, 1, index]), textures, photos)
            for index in range(start, min(start + 32, count))
        ]
        if start % 3200 == 0:
            LOG.info("drawn and asked: %d of %d", start, count)
        yield torch.from_numpy(np.stack(scenes)).permute(0, 3, 1, 2)


def _halved(large: Tensor) -> Tensor:
    """The mean of each 2 x 2, as the product's resize rule takes it."""
    return functional.avg_pool2d(large.float(), 2).add(0.5).floor().to(torch.uint8)


def _normalised(pictures: Tensor) -> Tensor:
    return ((pictures.float() / 255 - MEAN) / STD).contiguous(memory_format=torch.channels_last)


def train(given: Lessons, epochs: int) -> Tiny:
    """Teach a new network; its head answers the teacher's features, then the teacher's logits."""
    torch.manual_seed(SEED)
    width = given.features.shape[1]
    net: Tiny = Tiny(width + given.logits.shape[1]).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=DECAY)
    per_epoch = max(1, len(given.pictures) // BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, epochs * per_epoch))
    for epoch in range(epochs):
        net.train()
        total = 0.0
        order = torch.randperm(len(given.pictures))
        for rows in order[: per_epoch * BATCH].split(BATCH):
            pictures = given.pictures[rows]
            mirrored = torch.rand(len(rows)) < 0.5
            pictures = torch.where(mirrored[:, None, None, None], pictures.flip(3), pictures)
            said = net(_normalised(pictures))
            loss = _loss(said[:, :width], said[:, width:], given.features[rows], given.logits[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        LOG.info("epoch %d of %d: loss %.4f", epoch + 1, epochs, total / per_epoch)
    return net.eval()


def _loss(features: Tensor, logits: Tensor, told_features: Tensor, told_logits: Tensor) -> Tensor:
    """Smooth L1 of standardised features, and the divergence of softened answers (Hinton et al. 2015)."""
    close = functional.smooth_l1_loss(features, told_features)
    softly = functional.kl_div(
        functional.log_softmax(logits / TEMPERATURE, dim=1),
        functional.log_softmax(told_logits / TEMPERATURE, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    return FEATURE_WEIGHT * close + softly


def _rate(step: int, steps: int) -> float:
    """Share of the full rate: linear warm-up, then half a cosine."""
    warm = max(1, int(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, steps - warm))))


def save(net: Tiny, file: Path) -> str:
    """Write the network without its head as float16; the file's sha256."""
    kept = {
        name: tensor.half().contiguous()
        for name, tensor in net.state_dict().items()
        if tensor.is_floating_point() and not name.startswith("head.")
    }
    told = {
        "source": SOURCE,
        "licence": LICENCE,
        "preprocessing": {
            "mean": [MEAN] * 3,
            "std": [STD] * 3,
            "center_crop": SIZE,
            "resize_short_side": SIZE,
        },
    }
    save_file(kept, file, metadata={"info": json.dumps(told)})
    file.chmod(0o644)
    return digest.of_file(file)


def card(file: Path, sha256: str) -> dict[str, Any]:
    """What ``tiny.json`` says of the network and of a file of its weights."""
    net = Tiny()
    counted: list[int] = []

    def count(layer: nn.Module, _: Any, out: Tensor) -> None:
        counted.append(layer.get_parameter("weight").numel() * math.prod(out.shape[2:]))

    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    net.eval()(torch.zeros(1, 3, SIZE, SIZE))
    shapes = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    return {
        "name": "tiny",
        "params": sum(p.numel() for p in net.parameters()),
        "gmacs": round(sum(counted) / 1e9, 3),
        "image_size": SIZE,
        "crop": [1, 1],
        "mean": [MEAN] * 3,
        "std": [STD] * 3,
        "weights": f"GENERATED_V1 {sha256.removeprefix('sha256:')[:16]}",
        "weights_file": file.name,
        "weights_mb": round(file.stat().st_size / 1e6, 3),
        "licence": LICENCE,
        "source": SOURCE,
        "head": "head",
        "signature": edgetl.models.signature(shapes, "head"),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, ask, train, write."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--teacher", type=Path, help=f"weights of {TEACHER}; timm downloads them without it")
    options.add_argument("--views", type=int, default=VIEWS)
    options.add_argument("--epochs", type=int, default=EPOCHS)
    options.add_argument("--out", type=Path, default=Path(edgetl.models.__file__).parent, help="folder")
    given = options.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    cv2.setNumThreads(1)
    net = train(lessons(teacher(given.teacher), given.views), given.epochs)
    file = given.out / "tiny.safetensors"
    sha256 = save(net, file)
    file.with_name("tiny.json").write_text(json.dumps(card(file, sha256), indent=2) + "\n", encoding="utf-8")
    LOG.info("%s: %d bytes, %s", file.name, file.stat().st_size, sha256)


if __name__ == "__main__":
    main()
