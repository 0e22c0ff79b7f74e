"""What it brought to adapt a network to another place, in figures and in words."""

from __future__ import annotations

from typing import Literal

import msgspec

from edgetl.candidate import spoken
from edgetl.types import Record
from edgetl.verify.accuracy import PairedResult
from edgetl.words import ADAPTATIONS

__all__ = ["Adaptation", "judge"]

Verdict = Literal["gain", "unproven", "negative", "unknown"]


class Adaptation(Record, frozen=True, kw_only=True):
    """A network before and after, by compiled engines.

    Attributes
    ----------
    method : how it was adapted. frames : what it was adapted to.
    gain : f32 before against f32 after, on labelled target frames that nothing was adapted to; its ``drop_pt`` is
        what was lost. ``None`` where no frame has a label.
    gain_pt, gain_ci95_pt : of ``gain``, in points of top-1 that were won.
    changed : share of target frames whose answer changed. same_shipped : share that what ships answers as f32 does.
    source : f32 before against what ships, on the test images of the labelled data.
    verdict : ``gain`` and ``negative`` are proven by the interval; ``unproven`` is neither; ``unknown`` without labels.
    """

    method: str
    frames: int
    shipped: str
    source: PairedResult
    changed: float
    same_shipped: float
    gain: PairedResult | None = None
    gain_pt: float | None = None
    gain_ci95_pt: tuple[float, float] | None = None
    verdict: Verdict = "unknown"
    sentence: str = ""
    lines: tuple[str, ...] = ()


def judge(found: Adaptation) -> Adaptation:
    """The same with its verdict, the sentence of it, and the lines below that sentence."""
    if found.gain is not None:
        low, high = found.gain.drop_ci95_pt
        found = msgspec.structs.replace(found, gain_pt=0.0 - found.gain.drop_pt, gain_ci95_pt=(-high, -low))
    found = msgspec.structs.replace(found, verdict=_verdict(found.gain_ci95_pt))
    return msgspec.structs.replace(found, sentence=_sentence(found), lines=tuple(_lines(found)))


def _verdict(won: tuple[float, float] | None) -> Verdict:
    if won is None:
        return "unknown"
    low, high = won
    if low > 0:
        return "gain"
    return "negative" if high < 0 else "unproven"


def _sentence(found: Adaptation) -> str:
    gain, name = found.gain, ADAPTATIONS[found.method]
    if gain is None or found.gain_ci95_pt is None:
        return (
            f"{name}: {100 * found.changed:.0f} % of the answers on target frames changed; "
            "without labels nobody can say whether for the better"
        )
    low, high = found.gain_ci95_pt
    told = (
        f"target {100 * gain.reference_accuracy:.1f} % before, {100 * gain.candidate_accuracy:.1f} % after: "
        f"{found.gain_pt:+.1f} points, 95 % interval [{low:+.1f}, {high:+.1f}], {gain.n} frames"
    )
    if found.verdict == "negative":
        return f"{name} made it worse (negative adaptation): {told}"
    return f"{name}: {told}" + ("; too few to tell it from nothing" if found.verdict == "unproven" else "")


def _lines(found: Adaptation) -> list[str]:
    lines = []
    if found.shipped != "f32":
        same = 100 * found.same_shipped
        lines.append(f"{spoken(found.shipped)} answers as f32 on {same:.1f} % of the target frames")
    told = (
        f"the labelled data's test images: {100 * found.source.reference_accuracy:.1f} % before, "
        f"{100 * found.source.candidate_accuracy:.1f} % now; this engine is for the target"
    )
    lines.append(told if found.gain is not None else f"accuracy is on {told}")
    if found.verdict == "negative":
        lines.append("without --adapt the engine would be better there; or try another --adapt-method")
    return lines
