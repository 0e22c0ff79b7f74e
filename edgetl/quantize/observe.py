"""Run the float graph on ONNX Runtime, one sample at a time, and stream what its activations show into statistics."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from edgetl import digest
from edgetl.calibration import ranges, stability
from edgetl.calibration.range_stats import merged
from edgetl.errors import InputError
from edgetl.quantize import graph as graphs
from edgetl.quantize.groups import Groups
from edgetl.quantize.plan import tensors_to_observe
from edgetl.quantize.reads import Averages, layers_of
from edgetl.quantize.reference import session_of
from edgetl.quantize.statistics import Statistics
from edgetl.quantize.taps import Taps
from edgetl.types import TensorSpec

__all__ = ["Sample", "answers", "input_of", "observe", "open_session", "tools"]

Array = npt.NDArray[Any]
Sample = Array | Mapping[str, Array]
"""What one run takes: the array of the one input, or every input's by its name."""

RUNS = 4
"""Samples that run at once, each on its share of the cores: one sample does not keep several cores busy."""


def observe(
    model: Path,
    images: Iterable[Sample],
    *,
    total: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
    method: str = "default",
) -> Statistics:
    """Statistics of every activation that a scheme may quantize, and of what layers with weights read.

    Parameters
    ----------
    images : arrays as the model's input takes them, (1, H, W, 3) uint8 for a model exported here; of a model with
        several inputs, all of them by name.
    total : how many there are, for ``on_progress(done, total)``.
    method : the ranges they are for: minmax and average need no histogram, and get none.

    Raises
    ------
    InputError : the model cannot be quantized; an image does not fit its input; NaN or infinity on the way;
        no image at all.
    """
    graph = graphs.load(model)
    ranged, averages = tensors_to_observe(graph), Averages(layers_of(graph))
    shapes = _shapes(graph, list(dict.fromkeys([*ranged, *averages.tensors])), model.name)
    taps = Taps(graph, shapes, ranged=set(ranged), tokens=averages.tokens)
    runs = min(_cores(), RUNS)
    session, feed = open_session(graph, taps.outputs, model.name, threads=max(_cores() // runs, 1))
    histogram = ranges.needs_histogram(method)
    groups = Groups(taps, averages, ranged, histogram=histogram)
    done = 0
    digests: set[str] = set()
    for fed, arrays in answers(session, feed, _told(images, digests), runs):
        groups.add(arrays, done)
        done = fed
        if on_progress is not None:
            on_progress(done, total)
    if not done:
        raise InputError("there is no image to calibrate with")
    find_range = ranges.find(method)
    parts = groups.parts()
    with ThreadPoolExecutor(_cores()) as pool:  # numpy lets other threads run meanwhile
        moved = pool.map(lambda part: stability.movement(part, find_range), parts.values())
        moves = dict(zip(parts, moved, strict=True))
    whole = {name: merged(part) for name, part in parts.items()}
    return Statistics(whole, averages.means(), moves, len(digests))


def _told(images: Iterable[Sample], digests: set[str]) -> Iterator[Sample]:
    """The images; their digests are added on the way."""
    for image in images:
        arrays = image.values() if isinstance(image, Mapping) else [image]
        digests.add("".join(digest.of_bytes(array.tobytes()) for array in arrays))
        yield image


def _shapes(graph: graphs.Graph, names: list[str], model: str) -> dict[str, graphs.Shape | None]:
    """Shapes of activations; where ONNX's inference does not tell all, what ONNX Runtime makes of them."""
    shapes = {name: graph.shape(name) for name in names}
    if all(shape is not None and None not in shape[1:] for shape in shapes.values()):
        return shapes
    session, _ = open_session(graph, names, model)
    return {
        value.name: [size if isinstance(size, int) else None for size in value.shape]
        for value in session.get_outputs()
    }


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def tools() -> dict[str, str]:
    """Versions of the libraries that shape the result."""
    return {name: version(name) for name in ("numpy", "onnx", "onnxruntime")}


def open_session(
    graph: graphs.Graph, names: list[str], model: str, *, threads: int = 0
) -> tuple[onnxruntime.InferenceSession, str]:
    """A session of the graph with ``names`` as its outputs, and the name of its first input.

    Parameters
    ----------
    threads : of one run; as many as there are cores where it is 0.
    """
    tensors = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in names]
    session = session_of(graph.model, graph.path, tensors, threads=threads)
    inputs = [value.name for value in session.get_inputs()]
    if not inputs:
        raise InputError(f"{model} has no input: every run gives the same, there is nothing to calibrate")
    return session, inputs[0]


def answers(
    session: onnxruntime.InferenceSession, feed: str, images: Iterable[Sample], runs: int = 1
) -> Iterator[tuple[int, dict[str, Array]]]:
    """Each output of the session by name, for the images in order, with how many were fed so far.

    The next images run, ``runs`` of them at once, while one answer is being counted.
    """
    waiting: deque[tuple[int, Future[dict[str, Array]]]] = deque()
    with ThreadPoolExecutor(runs) as pool:
        for first, fed, batch in _batches(session, images):
            waiting.append((fed, pool.submit(_run, session, feed, batch, first)))
            if len(waiting) > runs:
                fed, running = waiting.popleft()
                yield fed, running.result()
        for fed, running in waiting:
            yield fed, running.result()


def _batches(
    session: onnxruntime.InferenceSession, images: Iterable[Sample]
) -> Iterator[tuple[int, int, Sample]]:
    """Images as a model with a fixed batch takes them: number of the first, how many were fed, the batch.

    The last batch is filled up with its own images.
    """
    shape = session.get_inputs()[0].shape
    rows = shape[0] if shape and isinstance(shape[0], int) else 1
    held: list[Array] = []
    fed = 0
    for fed, image in enumerate(images, start=1):
        if isinstance(image, Mapping):
            yield fed - 1, fed, image
            continue
        held.append(image)
        if len(held) == rows or len(image) == rows:
            yield fed - len(held), fed, held[0] if len(held) == 1 else np.concatenate(held)
            held = []
    if held:
        yield fed - len(held), fed, np.concatenate([held[place % len(held)] for place in range(rows)])


def _run(session: onnxruntime.InferenceSession, feed: str, sample: Sample, number: int) -> dict[str, Array]:
    names = [value.name for value in session.get_outputs()]
    fed = sample if isinstance(sample, Mapping) else {feed: sample}
    try:
        return dict(zip(names, session.run(names, fed), strict=True))
    except Exception as error:
        given = ", ".join(f"{name!r} {array.dtype} {list(array.shape)}" for name, array in fed.items())
        wanted = ", ".join(f"{value.name!r} {value.type} {value.shape}" for value in session.get_inputs())
        said = str(error).strip().splitlines()[0]
        raise InputError(f"sample {number} is {given}, the model takes {wanted}: {said}") from error


def input_of(model: Path) -> TensorSpec:
    """What a float model with one input takes.

    Raises
    ------
    InputError : it cannot be read or run, or has several inputs.
    """
    graph = graphs.load(model)
    session, _ = open_session(graph, [value.name for value in graph.model.graph.output][:1], model.name)
    inputs = session.get_inputs()
    if len(inputs) > 1:
        told = ", ".join(f"{value.name} {value.type} {value.shape}" for value in inputs)
        raise InputError(
            f"{model.name} has {len(inputs)} inputs ({told}): pictures fill one",
            hint="--calib-data with a folder of .npz files, each with an array for every input under its name",
        )
    wanted = inputs[0]
    kinds = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}
    shape = tuple(dim if isinstance(dim, int) else None for dim in wanted.shape)
    return TensorSpec(name=wanted.name, dtype=kinds.get(wanted.type, wanted.type), shape=shape)
