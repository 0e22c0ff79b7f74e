"""refine: what is done to INT8 that loses too much, one remedy after the other, each judged on the compiled engine.

Each rung is a stage of its own, so that a build that was killed goes on at its rung. A rung whose predecessor is
within the budget hands its model on. The judges are the ``select`` images; ``test`` is not looked at.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import msgspec

from edgetl.backends import seam
from edgetl.devices import DeviceProfile
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.quantize import place, schemes
from edgetl.stages import held
from edgetl.stages.backbone import versions_of
from edgetl.stages.ladder import Deadline, Ladder, OutOfTime, Rung, Setting, Tuning
from edgetl.stages.remedies import REMEDIES
from edgetl.verify.by_task import Budgets
from edgetl.words import counted

__all__ = ["RUNGS", "Tuning", "final", "stages"]

RUNGS = tuple(REMEDIES)
"""What is tried, in this order, after ``ranges``: the quantize stage's own result."""


def stages(
    profile: DeviceProfile,
    scheme: str,
    method: str,
    host: Mapping[str, str],
    *,
    reduce_range: bool,
    max_drop: float,
    time_budget: float,
    seed: int,
    tuning: Tuning | None = None,
    budgets: Budgets = held.LIFTED,
) -> list[Stage]:
    """One stage a rung, after ``quantize`` and ``verify:f32``.

    Parameters
    ----------
    profile : that the engine is compiled for here. scheme, method, reduce_range : of the quantize stage.
    max_drop : budget in points of top-1.
    time_budget : seconds for all rungs that run; no part of a key, for a rung that was cut is not reused.
    tuning : there is a ``train`` stage with a checkpoint, and how it is trained on.
    budgets : of several tasks.
    """
    setting = Setting(
        msgspec.structs.replace(profile, precision="int8"),
        msgspec.structs.replace(schemes.find(scheme), reduce_range=reduce_range),
        method,
        max_drop,
        seed,
        tuning,
        budgets,
    )
    options: dict[str, Any] = {
        "host": dict(host),
        "threads": profile.threads,
        "scheme": scheme,
        "method": method,
        "reduce_range": reduce_range,
        "max_drop": None if math.isinf(max_drop) else max_drop,
        "seed": seed,
        **({"own_drops": budgets.own} if budgets.own else {}),
    }
    tools = {**place.tools(), **seam.find(profile.backend).fingerprint()}
    deadline = Deadline(time_budget)
    made = []
    before = "quantize"
    for rung in RUNGS:
        needs: tuple[str, ...] = ("export", "prepare", "calibrate", "verify:f32", before)
        run = _stage_function(rung, before, setting, deadline)
        if rung == "tune" and tuning is not None:
            needs, options = (*needs, "train"), {**options, "tuning": asdict(tuning)}
            tools = {**tools, **versions_of("torch", "onnxscript")}
        made.append(Stage(f"refine:{rung}", 5, needs, options, tools, run))
        before = f"refine:{rung}"
    return made


def final() -> str:
    """The stage whose artifact holds the model that is compiled as int8."""
    return f"refine:{RUNGS[-1]}"


def _stage_function(
    rung: str, before: str, setting: Setting, deadline: Deadline
) -> Callable[..., Mapping[str, Any]]:
    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        with tempfile.TemporaryDirectory() as scratch:
            ladder = Ladder(setting, inputs, before, deadline, ctx, Path(scratch))
            climbed = _climb(rung, ladder)
            variant = ladder.hand_on(out)
        rungs = [*ladder.rungs, climbed]
        return {
            "summary": _told(rungs, setting.max_drop) if rung == RUNGS[-1] else "",
            "rungs": msgspec.to_builtins(rungs),
            "variant": variant,
            "cut": climbed.cut,
        }

    return run


def _climb(rung: str, ladder: Ladder) -> Rung:
    """Try a remedy where the best model misses the budget and there is time."""
    before = ladder.found.drop_pt
    if ladder.held:
        why = f"{before:.1f} points lost before it, which is within the budget"
        return Rung(rung=rung, outcome="not needed", why=why)
    cut = False
    try:
        ladder.deadline.check()
        reason = REMEDIES[rung](ladder)
    except OutOfTime:
        cut, reason = True, ""
    tries = tuple(ladder.tries)
    if reason:
        return Rung(rung=rung, outcome="does not apply", why=reason)
    if not tries:
        why = f"the time budget of {ladder.deadline.seconds:g} s was spent"
        return Rung(rung=rung, outcome="no time", why=why, cut=cut)
    why = f"{before:.1f} points lost before it, {min(one.drop_pt for one in tries):.1f} after it"
    outcome: Literal["kept", "no better"] = "kept" if ladder.found in tries else "no better"
    return Rung(rung=rung, outcome=outcome, why=f"{why}; out of time" if cut else why, tries=tries, cut=cut)


def _told(rungs: Sequence[Rung], max_drop: float) -> str:
    """The rungs and the least that each lost on the ``select`` images, which one was needed, which had no time."""
    tried = [(rung, min(rung.tries, key=lambda one: one.loss)) for rung in rungs if rung.tries]
    steps = [f"{rung.rung}{_kept(one.kept)} {one.drop_pt:.1f}" for rung, one in tried]
    kept = [rung.rung for rung, _ in tried if rung.outcome == "kept"]
    verdict = "over the budget"
    if min(one.drop_pt for _, one in tried) <= max_drop:
        verdict = "within the budget" + (f" by {kept[-1]}" if len(tried) > 1 else "")
    late = [rung.rung for rung in rungs if rung.cut]
    said = f"points lost on {tried[0][1].n} select images: {', '.join(steps)}; {verdict}"
    return f"{said}; out of time in {', '.join(late)} (--time-budget)" if late else said


def _kept(kept: Sequence[str]) -> str:
    return f" ({counted(len(kept), 'layer')})" if kept else ""
