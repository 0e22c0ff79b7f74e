"""Axes of a picture: round numbers, units, and where a value stands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgetl.report import pictures

__all__ = ["Axis", "Plot", "axis_over", "ticks"]


@dataclass(frozen=True)
class Axis:
    """Where values stand between two places; ``log`` where ratios and not differences are to be seen."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The place of a value; outside the axis it is the nearer end."""
        low, high, here = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, here = math.log(low), math.log(high), math.log(here)
        return self.start + (self.end - self.start) * (here - low) / (high - low)

    def marks(self, most: int = 6) -> list[float]:
        """Round numbers on the axis."""
        if self.log:
            return _log_ticks(self.low, self.high)
        return ticks(self.low, self.high, most)


def axis_over(
    values: Sequence[float], start: float, end: float, *, log: bool = False, margin: float = 0.06
) -> Axis:
    """An axis with room around finite values; one of width where all are the same."""
    low, high = min(values), max(values)
    if log:
        reach = max(math.log(high / low) * margin, 0.02)
        return Axis(low * math.exp(-reach), high * math.exp(reach), start, end, log=True)
    reach = (high - low) * margin or abs(high) * 0.05 or 1.0
    return Axis(low - reach, high + reach, start, end)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """At most so many round numbers from ``low`` to ``high``.

    >>> ticks(0.0, 1.03, 6)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{place * step:.12g}") for place in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5)):
        found = [10.0**power * factor for power in powers for factor in factors]
        inside = [value for value in found if low <= value <= high]
        if len(inside) >= 3:
            return inside
    return ticks(low, high)


@dataclass(frozen=True)
class Plot:
    """An area with an axis below and one to the left."""

    x: Axis
    y: Axis

    def frame(self, x_label: str, y_label: str) -> str:
        """Grid, numbers and what the axes are of, with units."""
        left, right, bottom, top = self.x.start, self.x.end, self.y.start, self.y.end
        drawn = ""
        for value in self.y.marks():
            place = self.y.at(value)
            drawn += pictures.line(left, place, right, place, "grid")
            drawn += pictures.text(left - 6, place + 4, f"{value:g}", "soft", anchor="end")
        for value in self.x.marks():
            place = self.x.at(value)
            drawn += pictures.line(place, bottom, place, bottom + 4, "axis")
            drawn += pictures.text(place, bottom + 17, f"{value:g}", "soft", anchor="middle")
        drawn += pictures.line(left, bottom, right, bottom, "axis")
        drawn += pictures.text((left + right) / 2, bottom + 34, x_label, "soft", anchor="middle")
        return drawn + pictures.text(12, (bottom + top) / 2, y_label, "soft", anchor="middle", turned=True)
