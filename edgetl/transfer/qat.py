"""A short training that knows of INT8: the network learns to answer in integers what it answered in float.

Jacob et al. 2018 (arXiv:1712.05877), section 3: weights and activations are rounded on the way forward, and the
gradient passes as if they were not. The teacher is the network itself before (Hinton et al. 2015, arXiv:1503.02531).
"""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from edgetl import isolate
from edgetl.calibration import ranges
from edgetl.calibration.affine import Dtype, affine, limits, weight_scale
from edgetl.calibration.range_stats import RangeStats
from edgetl.errors import GateFailed
from edgetl.tasks import Tasks, slices
from edgetl.transfer import checkpoint
from edgetl.transfer.augment import normalise
from edgetl.types import Preprocess, Record

__all__ = ["STEPS", "Integers", "run_json", "tune"]

Array = npt.NDArray[Any]
Hook = Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...]]

STEPS = 200
BATCH = 16
RATE = 2e-5
"""Of Adam: a weight moves by about so much in a step; a step of INT8 is some hundred times it."""
OBSERVED = 64
"""Pictures that activations get their ranges from."""
SETTLING = 8
"""Rounds in which weights come to rest on their own grid; one is enough where their range is not reduced."""


class Integers(Record, frozen=True, kw_only=True):
    """What INT8 is on the target: the scheme's activations and weights, and how ranges are made."""

    activation: Dtype
    symmetric: bool
    reduce_range: bool
    method: str


class _Rounded(nn.Module):
    """A parametrization: weights on the grid of their output channel."""

    def __init__(self, *, reduce_range: bool) -> None:
        super().__init__()
        self._reduce_range = reduce_range

    def forward(self, weights: Tensor) -> Tensor:
        """What the integers will stand for."""
        scale = weight_scale(weights.detach().numpy(), 0, reduce_range=self._reduce_range)
        zeros = torch.zeros(len(scale), dtype=torch.int32)
        low, high = limits("int8", symmetric=True)
        return torch.fake_quantize_per_channel_affine(weights, torch.from_numpy(scale), zeros, 0, low, high)


def tune(
    net: nn.Module,
    pictures: Array,
    preprocess: Preprocess,
    integers: Integers,
    *,
    flip: bool,
    seed: int,
    seconds: float,
    on_progress: Callable[[int, int], None] | None = None,
    tasks: Tasks = (),
) -> int:
    """Train a network in place until it answers in INT8 as it did in float; how many of ``STEPS`` there was time for.

    Norms keep the statistics that they were trained with. Its weights end on the grid that they are quantized to: a
    norm that is folded into a layer scales whole output channels, and takes the grid along.

    Parameters
    ----------
    pictures : uint8 (N, H, W, 3). flip : mirror half of them. seconds : no step is begun after so many.
    on_progress : told ``(done, total)`` steps. tasks : that it answers, where that is not one class.

    Raises
    ------
    GateFailed : the loss is not finite.
    """
    end = time.monotonic() + seconds
    net.eval()
    teacher = copy.deepcopy(net).requires_grad_(False)
    done = 0
    with _in_integers(net, pictures, preprocess, integers):
        optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
        for batch in _batches(pictures, flip=flip, seed=seed):
            if time.monotonic() > end:
                break
            loss = _divergence(net, teacher, normalise(batch, preprocess), tasks)
            if not torch.isfinite(loss):
                raise GateFailed(
                    f"the loss is {loss.item()} in step {done + 1} of the tuning", hint="--time-budget 0s"
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            done += 1
            if on_progress is not None:
                on_progress(done, STEPS)
    return done


def _divergence(net: nn.Module, teacher: nn.Module, pixels: Tensor, tasks: Tasks = ()) -> Tensor:
    """How far the network's distribution is from the teacher's; of several tasks the mean, values in their spread."""
    with torch.no_grad():
        wanted = teacher(pixels)
    found = net(pixels)
    if not tasks:
        return _apart(found, wanted)
    each = [
        functional.mse_loss(found[:, part] / task.spread, wanted[:, part] / task.spread)
        if task.kind == "value"
        else _apart(found[:, part], wanted[:, part])
        for task, part in zip(tasks, slices(tasks))
    ]
    return torch.stack(each).mean()


def _apart(found: Tensor, wanted: Tensor) -> Tensor:
    said, meant = (functional.log_softmax(logits, dim=1) for logits in (found, wanted))
    return functional.kl_div(said, meant, reduction="batchmean", log_target=True)


@contextlib.contextmanager
def _in_integers(
    net: nn.Module, pictures: Array, preprocess: Preprocess, integers: Integers
) -> Iterator[None]:
    """Inside, the network computes on the grids of INT8; afterwards its weights are on theirs for good."""
    grids = _input_grids(net, pictures[:OBSERVED], preprocess, integers)
    hooks = [layer.register_forward_pre_hook(_rounding(grid, integers)) for layer, grid in grids.items()]
    rounded = _Rounded(reduce_range=integers.reduce_range)
    for layer in grids:
        parametrize.register_parametrization(layer, "weight", rounded)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for layer in grids:
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
            _settle(layer, rounded)


def _settle(layer: nn.Module, rounded: _Rounded) -> None:
    """Round weights until they stay: where neighbours set the scale, rounding moves it."""
    weights = layer.weight
    assert isinstance(weights, Tensor)
    with torch.no_grad():
        for _ in range(SETTLING):
            again = rounded(weights)
            if torch.equal(again, weights):
                break
            weights.copy_(again)


def _input_grids(
    net: nn.Module, pictures: Array, preprocess: Preprocess, integers: Integers
) -> dict[nn.Module, tuple[float, int]]:
    """Scale and zero point of what each layer with weights reads, where it reads anything."""
    seen: dict[nn.Module, RangeStats] = {}

    def watch(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        counted = seen.setdefault(layer, RangeStats(histogram=ranges.needs_histogram(integers.method)))
        counted.update(inputs[0].numpy())

    layers = [layer for layer in net.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    hooks = [layer.register_forward_pre_hook(watch) for layer in layers]
    with torch.no_grad():
        for start in range(0, len(pictures), BATCH):
            net(normalise(_tensor(pictures[start : start + BATCH]), preprocess))
    for hook in hooks:
        hook.remove()
    find = ranges.find(integers.method)
    grids = {}
    for layer, counted in seen.items():
        low, high = find(counted, symmetric=integers.symmetric)
        scale, zero = affine(low, high, integers.activation, symmetric=integers.symmetric)
        grids[layer] = float(scale), zero
    return grids


def _rounding(grid: tuple[float, int], integers: Integers) -> Hook:
    scale, zero = grid
    low, high = limits(integers.activation, symmetric=integers.symmetric)

    def rounding(layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (torch.fake_quantize_per_tensor_affine(inputs[0], scale, zero, low, high), *inputs[1:])

    return rounding


def _batches(pictures: Array, *, flip: bool, seed: int) -> Iterator[Tensor]:
    """``STEPS`` batches, uint8 (N, 3, H, W), every picture once before any comes again."""
    rng = np.random.default_rng(seed)
    size = min(BATCH, len(pictures))
    waiting = np.zeros(0, np.int64)
    for _ in range(STEPS):
        if len(waiting) < size:
            waiting = rng.permutation(len(pictures))
        drawn, waiting = waiting[:size], waiting[size:]
        batch = np.array(pictures[np.sort(drawn)])
        mirrored = flip & (rng.random(size) < 0.5)
        batch[mirrored] = batch[mirrored, :, ::-1]
        yield _tensor(batch)


def _tensor(pictures: Array) -> Tensor:
    return torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2)


def run_json(
    trained: str,
    prepared: str,
    out: str,
    integers: Mapping[str, Any],
    *,
    flip: bool,
    seed: int,
    seconds: float,
    threads: int,
) -> tuple[int, int]:
    """Tune a checkpoint in a process of its own and write another; the steps that were done, and ``STEPS``.

    Parameters
    ----------
    trained : folder of the checkpoint. prepared : folder of the train pictures. out : an empty folder.
    """
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    net, record = checkpoint.load(Path(trained))
    done = tune(
        net,
        np.load(f"{prepared}/train.npy", mmap_mode="r"),
        record.preprocess,
        msgspec.convert(integers, Integers),
        flip=flip,
        seed=seed,
        seconds=seconds,
        on_progress=isolate.tick,
        tasks=record.tasks or (),
    )
    checkpoint.save(net, record, checkpoint.samples(Path(trained)), Path(out))
    return done, STEPS
