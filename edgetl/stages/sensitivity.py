"""How much each layer alone, in INT8, changes what the network answers: measured on the compiled engine."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl.quantize import graph as graphs
from edgetl.quantize import place
from edgetl.quantize.plan import plan
from edgetl.quantize.schemes import Scheme
from edgetl.quantize.statistics import Statistics
from edgetl.tasks import Tasks
from edgetl.types import Record
from edgetl.verify import by_task
from edgetl.verify.accuracy import snr_db

__all__ = ["LayerEffect", "by_layer"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

WORKERS = 2
"""Layers at work at once: one is compiled, in a process of its own, while another answers."""


class LayerEffect(Record, frozen=True, kw_only=True):
    """What INT8 in one layer, all others in float, does to the answers.

    Attributes
    ----------
    snr_db : of the logits against those in f32; ``None`` where nothing changed.
    agreement : share of pictures with the same top class as in f32.
    """

    name: str
    op: str
    snr_db: float | None
    agreement: float


def by_layer(
    model: Path,
    stats: Statistics,
    scheme: Scheme,
    method: str,
    reference: Floats,
    answers: Callable[[Path], Floats],
    *,
    rounded: Mapping[str, Array] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    tasks: Tasks = (),
) -> list[LayerEffect]:
    """The effect of each layer that the scheme quantizes, the worst first.

    Parameters
    ----------
    reference : logits in f32 (N, classes).
    answers : the logits of a quantized model on the same pictures; called by several threads.
    rounded : integers of weights (``quantize.rounding``).
    on_progress : told ``(done, total)`` layers.
    tasks : that the rows answer, where they are not the logits of one class.
    """
    graph = graphs.load(model)
    layers = plan(graph, scheme).layers
    alone = msgspec.structs.replace(scheme, joins=())
    kinds = {node.name: node.op_type for node in graph.model.graph.node}
    found: list[LayerEffect] = []

    def measure(name: str) -> LayerEffect:
        with tempfile.TemporaryDirectory() as scratch:
            trial = Path(scratch) / "model.onnx"
            place.quantize(model, stats, alone, method, trial, rounded=rounded, kept={*layers} - {name})
            return _effect(name, kinds[name], reference, answers(trial), tasks)

    pool = ThreadPoolExecutor(WORKERS)
    try:
        for effect in pool.map(measure, layers):
            found.append(effect)
            if on_progress is not None:
                on_progress(len(found), len(layers))
    finally:
        pool.shutdown(cancel_futures=True)
    return sorted(found, key=lambda effect: np.inf if effect.snr_db is None else effect.snr_db)


def _effect(name: str, op: str, reference: Floats, found: Floats, tasks: Tasks) -> LayerEffect:
    if tasks:
        return LayerEffect(
            name=name,
            op=op,
            snr_db=by_task.noise(tasks, reference, found),
            agreement=by_task.agreement(tasks, reference, found),
        )
    return LayerEffect(
        name=name,
        op=op,
        snr_db=snr_db(reference, found),
        agreement=float((found.argmax(axis=1) == reference.argmax(axis=1)).mean()),
    )
