"""The picture of a gate: how both sides are spread, and every pair with the interval against the tolerance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgetl.report import pictures, pictures_latency
from edgetl.report.pictures import WIDTH, Picture
from edgetl.report.pictures_axes import Axis, axis_over

__all__ = ["picture"]

LEFT, RIGHT = 20.0, WIDTH - 20.0
TOP, DOTS, BAR = 40.0, 110.0, 24.0
"""Where the dots of the pairs begin, the height that they have, and that of the interval below them."""
WORDS = {"pass": "PASS", "fail": "FAIL", "inconclusive": "INCONCLUSIVE", "partial": "ENDED EARLY"}


def picture(model: Mapping[str, Any], rule: Mapping[str, Any]) -> Picture:
    """Of one model of ``gate.json``; what was not measured is left out."""
    body, height = "", 0.0
    blocks = {
        "baseline": model["baseline_instances"],
        "candidate": model["measured"]["instances"],
    }
    blocks = {side: instances for side, instances in blocks.items() if instances}
    if "candidate" in blocks:
        drawn = pictures_latency.spread(blocks, "candidate")
        body, height = drawn.body, drawn.height
    if model["ratios"] or model["interval"]:
        body += f'<g transform="translate(0 {height:g})">{_pairs(model, rule)}</g>'
        height += TOP + DOTS + BAR + 52
    title = f"{WORDS[model['verdict']]}: {model['name']}, {model['sentence']}"
    note = (
        "above: all runs of all fresh instances; below: each dot is one pair of fresh instances, in the order they "
        "were measured, the bar is the interval"
    )
    return Picture(title, note, height, body)


def _pairs(model: Mapping[str, Any], rule: Mapping[str, Any]) -> str:
    """Differences in percent from left to right, the first pair on top."""
    limit = 100 * rule["tolerance"]
    found = [_percent(ratio) for ratio in model["ratios"]]
    interval = [_percent(bound) for bound in model["interval"] or ()]
    axis = axis_over([0.0, limit, *found, *interval], LEFT, RIGHT)
    bottom = TOP + DOTS + BAR
    drawn = _frame(axis, bottom, rule["metric"])
    drawn += pictures.line(axis.at(limit), TOP - 6, axis.at(limit), bottom, "limit")
    near_right = axis.at(limit) > (LEFT + RIGHT) / 2
    drawn += pictures.text(
        axis.at(limit), TOP - 12, f"tolerance {limit:g} %", "bad", anchor="end" if near_right else "start"
    )
    for place, value in enumerate(found):
        y = TOP + DOTS * (place + 0.5) / len(found)
        told = f"pair {place + 1}: {value:+.2f} %"
        drawn += pictures.marker(1, axis.at(value), y, size=2.6, told=told)
    return drawn + _bar(axis, interval, _percent(model["ratio"]) if model["ratio"] else None)


def _frame(axis: Axis, bottom: float, metric: str) -> str:
    drawn = ""
    for value in axis.marks():
        place = axis.at(value)
        drawn += pictures.line(place, TOP - 6, place, bottom, "grid")
        drawn += pictures.text(place, bottom + 17, f"{value:+g}" if value else "0", "soft", anchor="middle")
    drawn += pictures.line(axis.at(0.0), TOP - 6, axis.at(0.0), bottom, "axis")
    drawn += pictures.line(LEFT, bottom, RIGHT, bottom, "axis")
    label = f"{metric} of the candidate above that of the baseline, %"
    return drawn + pictures.text((LEFT + RIGHT) / 2, bottom + 36, label, "soft", anchor="middle")


def _bar(axis: Axis, interval: Sequence[float], centre: float | None) -> str:
    """The interval with its ends, and a diamond at the estimate."""
    y = TOP + DOTS + BAR / 2
    drawn = ""
    if interval:
        low, high = (axis.at(value) for value in interval)
        drawn += pictures.line(low, y, high, y, "s1 thick")
        drawn += "".join(pictures.line(x, y - 5, x, y + 5, "s1 thick") for x in (low, high))
    return drawn if centre is None else drawn + pictures.marker(3, axis.at(centre), y, size=4)


def _percent(ratio: float) -> float:
    return 100 * (ratio - 1)
