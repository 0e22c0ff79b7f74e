"""E9: two processes of torchrun against one, on the same cores, over the same batches.

efficientnet_lite0 with ImageNet weights is trained on real pictures (ants and bees) by ``Trainer`` itself, in float32
and without augmentation: one process with all threads, or two with half of them each. With batch norm frozen the loss
of each step is held against that of one process; with batch norm in training mode, whose statistics are then of each
process's part, the difference is reported, and so is what two processes gain in pictures a second.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _results import Results, needed_data, parser
from torch import Tensor, nn

from edgetl import stats
from edgetl.bench import clock
from edgetl.cli import env
from edgetl.data import layout
from edgetl.data.decode import load_images
from edgetl.runtime import preprocess as rule
from edgetl.transfer import backbone, distributed
from edgetl.transfer.backbone import Net
from edgetl.transfer.distributed import Group
from edgetl.transfer.fastpath import FastPath
from edgetl.transfer.methods.full import Full
from edgetl.transfer.trainer import Trainer
from edgetl.types import BuildSpec

SIDE = 128
BATCH = 32
EPOCHS = 6
ORDER = (1, 2, 2, 1)
WEIGHTS = "weights/efficientnet_lite0_imagenet.safetensors"
WORKER = "--worker"


class Timed(Full):
    """All weights, batch norm frozen on request; the moment each epoch begins is noted."""

    def __init__(self, frozen: bool) -> None:
        super().__init__(None)
        self._frozen = frozen
        self.begun: list[int] = []

    def start(self, net: Net, epoch: int) -> None:
        """Everything trains but, where they are frozen, the statistics of batch norm."""
        self.begun.append(clock.system())
        net.train()
        for module in net.modules():
            if self._frozen and isinstance(module, nn.BatchNorm2d):
                module.eval()


class Still:
    """The same pictures in each epoch, in an order of its own, none varied: a process gets its part of each batch."""

    def __init__(self, pictures: np.ndarray[Any, Any], labels: np.ndarray[Any, Any], group: Group) -> None:
        self._pictures = torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous()
        self._labels = torch.from_numpy(labels)
        self._group = group

    def __len__(self) -> int:
        return len(self._labels) // BATCH

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of this process's parts."""
        order = np.random.default_rng(number).permutation(len(self._labels)).tolist()
        for step in range(len(self)):
            rows = torch.tensor(self._group.part(order[step * BATCH : (step + 1) * BATCH]))
            yield self._pictures[rows], self._labels[rows]


def main() -> None:
    options = parser(__doc__)
    options.add_argument(
        WORKER, nargs=3, metavar=("OUT", "FROZEN", "EPOCHS"), help="used by the program itself"
    )
    chosen = options.parse_args()
    data = needed_data()
    if chosen.worker:
        out, frozen, epochs = chosen.worker
        work(data, Path(out), frozen=frozen == "frozen", epochs=int(epochs))
        return
    results = Results("ddp", quick=chosen.quick, also=("torch", "timm"), threads=cores())
    for norm in ("frozen", "training"):
        order, epochs = ((1, 2), 2) if chosen.quick else (ORDER, EPOCHS)
        runs = [(count, trained(count, norm, epochs)) for count in order]
        results.keep(norm, [{"processes": count, **run} for count, run in runs])
        compare(results, norm, runs)
    results.write()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def trained(count: int, norm: str, epochs: int) -> dict[str, Any]:
    """Losses by step and seconds by epoch of a training by ``count`` processes."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "run.json"
        launch = ["-m", "torch.distributed.run", "--nproc-per-node", str(count)] if count > 1 else []
        worker = [__file__, WORKER, str(out), norm, str(epochs)]
        subprocess.run([sys.executable, *launch, *worker], check=True, stdout=subprocess.DEVNULL)
        found: dict[str, Any] = json.loads(out.read_text())
    print(f"{count} processes, batch norm {norm}: {found['seconds']}", flush=True)
    return found


def work(data: Path, out: Path, *, frozen: bool, epochs: int) -> None:
    """One process of a training; the leading one writes what it found."""
    processes = env.processes()
    torch.set_num_threads(cores() // (1 if processes is None else processes.local_count))
    torch.use_deterministic_algorithms(True, warn_only=True)
    spec = BuildSpec(
        data="",
        model="timm/tf_efficientnet_lite0",
        weights=str(data / WEIGHTS),
        image_size=SIDE,
        epochs=epochs,
    )
    root = data / "cls_hymenoptera"
    dataset = layout.scan(root, seed=0)
    made = backbone.create(spec, len(dataset.classes))

    def arrays(role: str) -> tuple[Any, Any]:
        held = [s for s in dataset.samples if s.role == role]
        found = load_images(root, [s.path for s in held], lambda image: rule.apply(image, made.preprocess))
        return np.stack(list(found)), np.array([s.label for s in held])

    losses: list[float] = []
    with distributed.join(processes, 1, "cpu") as group, tempfile.TemporaryDirectory() as state:
        weighed = group.weighed

        def noted(loss: Tensor, count: int) -> tuple[Tensor, float]:
            found = weighed(loss, count)
            losses.append(found[1])
            return found

        group.weighed = noted  # type: ignore[method-assign]
        method, batches = Timed(frozen), Still(*arrays("train"), group)
        trainer = Trainer(
            made.net,
            method,
            batches,
            arrays("select"),
            made.preprocess,
            FastPath(),
            epochs=epochs,
            seed=0,
            state=Path(state),
            group=group,
        )
        done = trainer.train()[1]
    seconds = [(b - a) / 1e9 for a, b in zip(method.begun, [*method.begun[1:], clock.system()])]
    if group.leads:
        told = {
            "losses": losses,
            "history": done.history,
            "seconds": seconds,
            "pictures": BATCH * len(batches),
        }
        out.write_text(json.dumps(told))


def compare(results: Results, norm: str, runs: list[tuple[int, dict[str, Any]]]) -> None:
    """The loss of each step of two processes against that of one, and pictures a second."""
    one, two = ([run for count, run in runs if count == wanted] for wanted in (1, 2))
    apart = float(np.abs(np.array(one[0]["losses"]) - np.array(two[0]["losses"])).max())
    again = float(np.abs(np.array(one[0]["losses"]) - np.array(one[-1]["losses"])).max())
    span = f"{one[0]['losses'][0]:.3f} to {one[0]['losses'][-1]:.3f}"
    steps = len(one[0]["losses"])
    accuracies = [run[0]["history"][-1]["accuracy"] for run in (one, two)]
    note = (
        f"largest difference of the loss in {steps} steps of {BATCH} pictures, loss {span}; one process against itself "
        f"{again:.1e}; select accuracy {100 * accuracies[0]:.1f} % and {100 * accuracies[1]:.1f} %"
    )
    what = f"E9 loss of two processes against one, batch norm {norm}"
    if norm == "frozen":
        results.limit(what, apart, "nats", at_most=1e-3, n=steps, note=note)
    else:
        note += "; its statistics are of each process's 16 pictures"
        results.row(what, apart, "nats", n=steps, note=note)
    speeds = []
    for side in (one, two):  # the first epoch also warms up
        epochs = [seconds for run in side for seconds in run["seconds"][1:]]
        speeds.append(side[0]["pictures"] / stats.quantile(epochs, 0.5))
    results.row(
        f"E9 throughput, batch norm {norm}",
        speeds[1] / speeds[0],
        "ratio",
        n=len(two) * (len(two[0]["seconds"]) - 1),
        note=f"{speeds[1]:.1f} pictures/s by two processes with {max(1, cores() // 2)} thread each, {speeds[0]:.1f} by "
        f"one with {cores()}; medians of epochs, evaluation included, processes in the order {ORDER}",
    )


if __name__ == "__main__":
    main()
