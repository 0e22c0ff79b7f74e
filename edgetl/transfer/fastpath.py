"""Which arithmetic and memory layout trains this network fastest on this processor: a step of each is timed.

bf16 makes dense convolutions up to six times faster and depthwise ones slower, so no rule serves all networks.
"""

from __future__ import annotations

import contextlib
import copy
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import torch
from torch import Tensor

from edgetl import isolate
from edgetl.transfer import backbone
from edgetl.transfer.methods.full import Full
from edgetl.types import BuildSpec, Record

__all__ = ["FastPath", "candidates", "choose_json", "pick"]

ADVANTAGE = 0.9
"""The plain way is left only for one that takes at most so much of its time: a near tie must not flip bits."""
STEPS = 2
TIMED_PIXELS = 8 * 224 * 224
LEAST_TIMED = 8
"""A processor is timed on so many pixels and pictures at least: more say the same, and a step of 32 large pictures
times each way at the cost of two epochs of a small data set."""
HOPELESS = 3.0
"""A way whose first step, which is not counted, takes so many times the best one's is not timed further."""


class FastPath(Record, frozen=True, kw_only=True):
    """``autocast`` is ``float32``, ``bfloat16`` or ``float16``; ``channels_last`` the memory layout."""

    device: str = "cpu"
    autocast: str = "float32"
    channels_last: bool = False

    def __str__(self) -> str:
        layout = ", channels last" if self.channels_last else ""
        return f"{self.autocast}{layout} on {self.device}"

    def cast(self) -> contextlib.AbstractContextManager[Any]:
        """The context that the forward pass runs in."""
        if self.autocast == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device, dtype=getattr(torch, self.autocast))

    def place(self, tensor: Tensor) -> Tensor:
        """A batch where and how the network wants it."""
        form = torch.channels_last if self.channels_last else torch.contiguous_format
        return tensor.to(self.device, memory_format=form)


def candidates() -> list[FastPath]:
    """What can be chosen here; the plain way first."""
    if torch.cuda.is_available():
        half = "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
        return [FastPath(device="cuda"), FastPath(device="cuda", autocast=half, channels_last=True)]
    return [
        FastPath(autocast=kind, channels_last=last)
        for kind in ("float32", "bfloat16")
        for last in (False, True)
    ]


def choose_json(spec: dict[str, Any], classes: int, threads: int) -> dict[str, Any]:
    """Time a training step of each candidate, in a process of its own: the choice, and seconds of how many pictures."""
    torch.set_num_threads(threads)
    request = msgspec.convert(spec, BuildSpec)
    made = backbone.create(request, classes)
    size = made.preprocess.height
    count = request.batch_size
    if not torch.cuda.is_available():  # a small batch leaves a GPU waiting, and a processor not
        count = min(count, max(LEAST_TIMED, TIMED_PIXELS // size**2))
    pictures = torch.rand(count, 3, size, size)
    targets = torch.arange(count) % classes
    seconds: dict[str, float] = {}
    paths = candidates()
    for number, path in enumerate(paths):
        best = min(seconds.values(), default=math.inf)
        seconds[str(path)] = _seconds(copy.deepcopy(made.net), path, pictures, targets, HOPELESS * best)
        isolate.tick(number + 1, len(paths))
    chosen = pick(paths, seconds)
    return {"choice": msgspec.to_builtins(chosen), "said": str(chosen), "seconds": seconds, "pictures": count}


def pick(paths: Sequence[FastPath], seconds: Mapping[str, float]) -> FastPath:
    """The fastest way, or the plain one (the first) where the gain is too small to flip bits for."""
    best = min(paths, key=lambda path: seconds[str(path)])
    return best if seconds[str(best)] <= ADVANTAGE * seconds[str(paths[0])] else paths[0]


def _seconds(net: backbone.Net, path: FastPath, pictures: Tensor, targets: Tensor, limit: float) -> float:
    """The faster of two steps, after one that is not counted; that one where it is over ``limit`` already."""
    method = Full(None)
    form = torch.channels_last if path.channels_last else torch.contiguous_format
    net.to(path.device).to(memory_format=form)
    optimizer = torch.optim.AdamW(method.prepare(net))
    times = []
    for _ in range(STEPS + 1):
        begun = time.perf_counter()
        with path.cast():
            loss = method.step(net, path.place(pictures), targets.to(path.device))
        torch.autograd.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        if path.device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begun)
        if times[0] > limit:
            return times[0]
    return min(times[1:])
