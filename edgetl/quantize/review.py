"""What a calibration says of itself: whether its samples were enough and distinct, and which tensors are odd."""

from __future__ import annotations

import numpy as np

from edgetl.quantize.statistics import Statistics
from edgetl.types import Record
from edgetl.words import counted

__all__ = ["Moving", "Review", "review"]

TENSORS = 0.9
"""Share of the tensors whose ranges are as stable as the summary says."""
TOO_MUCH = 0.10
"""Movement at which more samples are worth their time: 300 ImageNet pictures come to 0.04 on efficientnet_lite0."""
HALF_PRECISION = 65504.0
"""The largest number of FP16."""
SHOWN = 5


class Moving(Record, frozen=True, kw_only=True):
    """A tensor and by how much of its width its range would move with another draw of samples."""

    tensor: str
    share: float


class Review(Record, frozen=True, kw_only=True):
    """What was found.

    Attributes
    ----------
    samples, distinct : how many were seen, and how many of them differ.
    moves : share of the width by which nine ranges of ten would move at most with another draw of as many samples,
        and ``moves_median`` half of them; ``None`` where there were too few samples to tell. A range that is chosen
        by least error can move without harm where errors are alike: what moves little is settled, not the reverse.
    worst : the tensors that move most, the first most of all.
    constant : tensors that had one value throughout. beyond_half : tensors that do not fit FP16.
    warnings : what a user should read, one line each.
    """

    samples: int
    distinct: int
    moves: float | None
    moves_median: float | None
    worst: tuple[Moving, ...]
    constant: tuple[str, ...]
    beyond_half: tuple[str, ...]
    warnings: tuple[str, ...]

    def summary(self) -> str:
        """How stable the ranges are, in words."""
        return (
            "too few to tell how stable"
            if self.moves is None
            else f"ranges stable to {100 * self.moves:.1f} %"
        )


def review(stats: Statistics, available: int | None = None) -> Review:
    """Look through statistics that were just taken.

    Parameters
    ----------
    available : samples that there were to draw from, where that is known: none can be added to all of them.
    """
    samples = max((one.samples for one in stats.ranges.values()), default=0)
    told = {name: share for name, share in stats.moves.items() if share is not None}
    shares = np.array(list(told.values()))
    moves = float(np.quantile(shares, TENSORS)) if told else None
    worst = sorted(told.items(), key=lambda item: (-item[1], item[0]))[:SHOWN]
    constant = tuple(name for name, one in stats.ranges.items() if one.low == one.high)
    beyond = tuple(name for name, one in stats.ranges.items() if max(-one.low, one.high) > HALF_PRECISION)
    return Review(
        samples=samples,
        distinct=stats.distinct,
        moves=moves,
        moves_median=float(np.median(shares)) if told else None,
        worst=tuple(Moving(tensor=name, share=share) for name, share in worst),
        constant=constant,
        beyond_half=beyond,
        warnings=tuple(_warnings(samples, stats.distinct, moves, constant, beyond, available)),
    )


def _warnings(
    samples: int,
    distinct: int,
    moves: float | None,
    constant: tuple[str, ...],
    beyond: tuple[str, ...],
    available: int | None,
) -> list[str]:
    lines = []
    seen, one_value, large = (
        counted(count, what)
        for count, what in ((samples, "sample"), (len(constant), "tensor"), (len(beyond), "tensor"))
    )
    if samples > 1 and distinct == 1:
        lines.append(f"all {samples} samples are one: ranges are those of a single input")
    elif distinct < samples:
        lines.append(f"{samples - distinct} of {samples} samples are repeated: only {distinct} tell anything")
    if moves is None:
        lines.append(
            f"too few to tell how stable ranges are, {seen}: more pictures, or a larger --calib-samples"
        )
    elif moves > TOO_MUCH:
        more = 2 * samples if available is None else min(2 * samples, available)
        mend = f"--calib-samples {more}" if more > samples else f"more pictures, all {samples} were taken"
        lines.append(f"ranges still move by {100 * moves:.0f} %: {mend}")
    if constant:
        lines.append(
            f"{one_value} of one value throughout, the first {constant[0]!r}: "
            "a dead layer, or samples that are all alike"
        )
    if beyond:
        lines.append(f"{large} beyond FP16 (over 65504), the first {beyond[0]!r}")
    return lines
