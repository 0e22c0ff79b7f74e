"""Where a frame's time goes: preprocessing, the way into the engine, the inference, the way out, the labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl.backends.seam import Session
from edgetl.bench import clock as clocks
from edgetl.bench import context, harness
from edgetl.bench.clock import Clock
from edgetl.bench.harness import Series, WarmUp
from edgetl.bench.measurement import Measurement
from edgetl.runtime import preprocess
from edgetl.runtime.prediction import as_logits, of_logits, of_row
from edgetl.tasks import Tasks
from edgetl.types import Preprocess

__all__ = ["STAGES", "measure"]

STAGES = ("preprocess", "transfer in", "compute", "transfer out", "decode")
"""In their order. ``compute`` holds the copies that the vendor makes itself, such as those to a GPU and back; an
engine whose input is written in place has no ``transfer in``."""

Frame = npt.NDArray[np.uint8]


def measure(
    session: Session,
    frame: Frame,
    rule: Preprocess,
    labels: Sequence[str],
    *,
    tasks: Tasks = (),
    runs: int = 200,
    clock: Clock = clocks.system,
) -> dict[str, Measurement]:
    """Time each stage of the way that the runtime takes, with one frame again and again.

    Parameters
    ----------
    session : one input, uint8 (N, H, W, 3); its first output is the logits.
    frame : uint8 (H, W, 3), BGR. rule : of its preprocessing. labels : one a class.
    tasks : that its outputs answer, where that is not one class.
    runs : frames timed; a fifth more before them warm up.

    Returns
    -------
    One measurement a stage, in order; a stage that the engine does not have is left out.
    """
    request = session.request()
    taken, given = session.inputs[0], session.outputs[0].name
    held = request.inputs.get(taken.name)
    picture = np.zeros([dim or 1 for dim in taken.shape], np.uint8) if held is None else held
    swap = rule.color != "bgr"

    def taken_out(answer: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        if tasks:
            return np.concatenate([answer[task.name][:1] for task in tasks], axis=1, dtype=np.float32)
        return np.array(answer[given][:1], np.float32)

    def decoded(row: npt.NDArray[np.float32]) -> object:
        if tasks:
            return of_row(row[0], tasks, 5)
        return of_logits(as_logits(given, row)[0], labels, 5)

    steps: list[tuple[str, Callable[[Any], Any]]] = [
        ("preprocess", lambda _: preprocess.apply(frame, rule, out=picture[0], swap=swap)),
        ("compute", lambda _: request.infer()),
        ("transfer out", taken_out),
        ("decode", decoded),
    ]
    if held is None:
        steps.insert(1, ("transfer in", lambda _: request.fill({taken.name: picture})))
    series = {name: Series(name) for name, _ in steps}
    warm = runs // 5 + 1
    _run(steps, None, warm, clock)
    for one in series.values():
        one.warm, one.host = WarmUp(warm, True, 0.0), context.read()
    _run(steps, series, runs, clock)
    return {name: one.measurement() for name, one in series.items()}


def _run(
    steps: Sequence[tuple[str, Callable[[Any], Any]]], into: dict[str, Series] | None, runs: int, clock: Clock
) -> None:
    """Each step is handed what the one before it gave."""
    with harness.uncollected():
        for _ in range(runs):
            handed: Any = None
            for name, step in steps:
                begun = clock()
                handed = step(handed)
                ended = clock()
                if into is not None:
                    clocks.refuse_back(begun, ended)
                    into[name].samples.append(ended - begun)
