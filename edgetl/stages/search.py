"""search: of the placements of integers that keep the accuracy, the one that is fastest on this very device."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgetl.backends import seam
from edgetl.backends.seam import Session
from edgetl.devices import DeviceProfile
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.quantize import place, schemes
from edgetl.search.course import Course
from edgetl.search.latency import Raced
from edgetl.search.placements import PLAIN, Placement
from edgetl.stages import held, prepare, verify
from edgetl.stages.ladder import variant_of
from edgetl.verify.accuracy import logits_of
from edgetl.verify.by_task import Budgets

__all__ = ["NAME", "stage"]

NAME = "search"
MODEL = "model.onnx"


def stage(
    profile: DeviceProfile,
    scheme: str,
    host: Mapping[str, str],
    *,
    before: str,
    reduce_range: bool,
    max_drop: float,
    seed: int,
    budgets: Budgets = held.LIFTED,
) -> Stage:
    """Time placements of the INT8 model that ``before`` handed on, and keep the fastest.

    Parameters
    ----------
    profile : that the engine is compiled for here. scheme, reduce_range : of the quantize stage.
    before : the last stage of the ladder. max_drop : budget in points of top-1. budgets : of several tasks.
    """
    rules = msgspec.structs.replace(schemes.find(scheme), reduce_range=reduce_range)

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        made = variant_of(inputs[before], inputs["export"], inputs["calibrate"])

        def quantize(placement: Placement, model: Path) -> Sequence[str]:
            kept = tuple(dict.fromkeys([*made.kept, *placement.kept]))
            return replace(made, kept=kept).quantize(model, placement.scheme).layers

        def lost(session: Session) -> float:
            answers = logits_of(session, prepare.images(inputs["prepare"], "select"))
            reference = verify.logits(inputs["verify:f32"], "select")
            return held.against(inputs["prepare"], "select", reference, answers, budgets).drop_pt

        with tempfile.TemporaryDirectory() as scratch:
            default = inputs["compile:default"].path / "engine"
            course = Course(
                quantize, lost, default, profile, Path(scratch), seed=seed, on_progress=ctx.advance
            )
            best, model, rows = course.run(rules, max_drop)
            shutil.copyfile(model, out / MODEL)
        return {"summary": _told(best, rows), "kept": best.name, "raced": msgspec.to_builtins(rows)}

    options = {
        "host": dict(host),
        "threads": profile.threads,
        "scheme": scheme,
        "reduce_range": reduce_range,
        "max_drop": None if np.isinf(max_drop) else max_drop,
        "seed": seed,
        **({"own_drops": budgets.own} if budgets.own else {}),
    }
    needs = ("export", "prepare", "calibrate", "verify:f32", "compile:default", before)
    tools = {**place.tools(), **seam.find(profile.backend).fingerprint()}
    return Stage(NAME, 1, needs, options, tools, run)


def _told(best: Placement, rows: Sequence[Raced]) -> str:
    timed = [row for row in rows if row.ratio is not None]
    if best.name == PLAIN:
        return f"{len(timed)} other placements of INT8 timed, none faster than the plain one"
    won = next(row for row in timed if row.name == best.name)
    assert won.ratio is not None and won.ci95 is not None
    low, high = won.ci95
    return f"{best.name}: {won.ratio:.2f} [{low:.2f}, {high:.2f}] of the plain placement's time"
