"""What an engineer does without edgetl, each step as its own documentation shows it; seconds of each are kept.

Training is the torchvision transfer tutorial ("ConvNet as fixed feature extractor", of its two variants the one that
costs less): its transforms, batches, rate, momentum, schedule and epochs, and its choice of the best epoch; by the
pictures that ours chooses by, for the tutorial's own choice by those that judge would be no accuracy to compare with.
The loader has a worker a core, as torch advises: the tutorial's four are slower on two cores. Then export, NNCF's
default post-training quantization, ``benchmark_app``.
"""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision import transforms

from edgetl.data import layout
from edgetl.transfer import backbone
from edgetl.types import BuildSpec, Preprocess, Role

__all__ = ["Amount", "Work"]


@dataclass(frozen=True)
class Amount:
    """How much is done; ``step`` takes every so many-th picture, for a quick run."""

    epochs: int = 25
    samples: int = 300
    seconds: int = 15
    step: int = 1


class Pictures(Dataset[tuple[torch.Tensor, int]]):
    """Files and labels, decoded by Pillow on each access, as torchvision's ``ImageFolder`` does."""

    def __init__(self, files: list[tuple[Path, int]], chain: Callable[[Any], torch.Tensor]) -> None:
        self._files = files
        self._chain = chain

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        file, label = self._files[index]
        with Image.open(file) as opened:
            return self._chain(opened.convert("RGB")), label


@dataclass
class Work:
    """One pass from pictures to a judged INT8 engine.

    Attributes
    ----------
    seconds : of each part, filled by ``run``.
    """

    spec: BuildSpec
    root: Path
    folder: Path
    amount: Amount
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self) -> Any:
        """Whether the INT8 engine was right, for each test picture."""
        import openvino as ov

        torch.manual_seed(0)
        made = backbone.create(self.spec, 2)
        rule = made.preprocess
        train, judged = self._pictures(rule, "train", augment=True), self._pictures(rule, "test")
        with self._timed("train"):
            net = self._train(made.net, train, self._pictures(rule, "select"))
        with self._timed("export"):
            example = torch.zeros(1, 3, rule.height, rule.width)
            torch.onnx.export(net, (example,), self.folder / "model.onnx", dynamo=True, verbose=False)
            model = ov.Core().read_model(self.folder / "model.onnx")
        with self._timed("quantize"):
            self._quantize(model, self._pictures(rule, "train"))
        with self._timed("benchmark_app"):
            self._benchmark()
        with self._timed("verify"):
            engine = ov.Core().compile_model(self.folder / "int8.xml", "CPU")
            found = [judged[index] for index in range(len(judged))]
            return np.array([int(engine(x[None].numpy())[0].argmax()) == label for x, label in found])

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self.seconds[part] = time.perf_counter() - begun

    def _pictures(self, rule: Preprocess, role: Role, *, augment: bool = False) -> Pictures:
        """The tutorial's transforms: random boxes and mirrors to train on, the centre of 256 to judge."""
        size = rule.height
        first = (
            [transforms.RandomResizedCrop(size), transforms.RandomHorizontalFlip()]
            if augment
            else [transforms.Resize(size * 256 // 224), transforms.CenterCrop(size)]
        )
        chain = transforms.Compose([*first, transforms.ToTensor(), transforms.Normalize(rule.mean, rule.std)])
        found = [s for s in layout.scan(self.root, seed=self.spec.seed).samples if s.role == role]
        return Pictures([(self.root / s.path, s.label) for s in found[:: self.amount.step]], chain)

    def _train(self, net: Any, train: Pictures, chosen_by: Pictures) -> Any:
        """The tutorial's ``train_model``: after each epoch the network is tried, and the best epoch is kept."""
        for parameter in net.body.parameters():
            parameter.requires_grad_(False)
        optimizer = torch.optim.SGD(net.head.parameters(), lr=0.001, momentum=0.9)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
        loaders = {
            phase: DataLoader(data, batch_size=4, shuffle=True, num_workers=os.cpu_count() or 1)
            for phase, data in (("train", train), ("choose", chosen_by))
        }
        best, best_right = copy.deepcopy(net.state_dict()), -1
        for epoch in range(self.amount.epochs):
            print(f"by hand: epoch {epoch + 1} of {self.amount.epochs}", flush=True)
            right = 0
            for phase, loader in loaders.items():
                net.train(phase == "train")
                for pictures, labels in loader:
                    with torch.set_grad_enabled(phase == "train"):
                        answers = net(pictures)
                        loss = torch.nn.functional.cross_entropy(answers, labels)
                    if phase == "train":
                        optimizer.zero_grad()
                        loss.backward()
                        optimizer.step()
                    else:
                        right += int((answers.argmax(1) == labels).sum())
            schedule.step()
            if right > best_right:
                best, best_right = copy.deepcopy(net.state_dict()), right
        net.load_state_dict(best)
        return net.eval()

    def _quantize(self, model: Any, pictures: Pictures) -> None:
        import nncf
        import openvino as ov

        rows = np.random.default_rng(0).permutation(len(pictures))[: self.amount.samples].tolist()
        data = nncf.Dataset(Subset(pictures, rows), lambda pair: pair[0][None].numpy())
        ov.save_model(nncf.quantize(model, data, subset_size=len(rows)), self.folder / "int8.xml")

    def _benchmark(self) -> None:
        app = Path(sys.executable).with_name("benchmark_app")
        options = ["-d", "CPU", "-hint", "latency", "-t", str(self.amount.seconds)]
        subprocess.run(
            [str(app), "-m", str(self.folder / "int8.xml"), *options], check=True, capture_output=True
        )
