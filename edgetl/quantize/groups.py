"""Statistics of a stream of runs, dealt into the groups that tell how stable ranges are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl.calibration import stability
from edgetl.calibration.range_stats import RangeStats, Seen
from edgetl.errors import InputError
from edgetl.quantize.reads import Averages
from edgetl.quantize.taps import Taps

__all__ = ["Groups"]

Array = npt.NDArray[Any]

HELD = 64
"""Runs that are looked at together: one call of numpy for all costs little more than for one."""
HELD_BYTES = 1 << 26
"""Of the outputs of these runs, at most: fewer runs of a network whose activations come out whole."""


class Groups:
    """What runs showed of every activation, in ``stability.GROUPS`` statistics each.

    Parameters
    ----------
    averages : told of every run, too. names : of the activations whose range is wanted.
    """

    def __init__(self, taps: Taps, averages: Averages, names: Sequence[str], *, histogram: bool) -> None:
        self._taps = taps
        self._averages = averages
        self._parts = {
            name: [RangeStats(histogram=histogram) for _ in range(stability.GROUPS)] for name in names
        }
        self._dealt = stability.deal()
        self._held: list[tuple[int, Mapping[str, Array]]] = []

    def add(self, arrays: Mapping[str, Array], first: int) -> None:
        """Add a run's outputs; its first sample has this number.

        Raises
        ------
        InputError : NaN or infinity in one of the last ``HELD`` runs.
        """
        if self._held and not _alike(self._held[0][1], arrays):
            self._look()
        self._held.append((first, arrays))
        size = len(self._held) * sum(array.nbytes for array in arrays.values())
        if len(self._held) == HELD or size >= HELD_BYTES:
            self._look()

    def parts(self) -> dict[str, list[RangeStats]]:
        """The statistics of each activation, a group at a time; all runs are in them."""
        self._look()
        return self._parts

    def _look(self) -> None:
        """Look at the runs that are held, and let them go."""
        held, self._held = self._held, []
        if not held:
            return
        looks = self._taps.looks(_stacked([arrays for _, arrays in held]))
        self._averages.update(looks, len(held))
        dealt = np.array([next(self._dealt) for _ in held])
        firsts = [first for first, _ in held]
        for name, parts in self._parts.items():
            seen = looks[name].seen
            assert seen is not None
            each = len(seen.lows) // len(held)
            of_row = np.repeat(dealt, each)
            for group in np.unique(dealt):
                rows = np.flatnonzero(of_row == group)
                _add(parts[group], seen, rows, name, [firsts[row // each] + row % each for row in rows])


def _alike(run: Mapping[str, Array], other: Mapping[str, Array]) -> bool:
    """Whether two runs can be looked at together: outputs of one shape, with an axis for the samples."""
    return all(array.ndim > 1 and array.shape == other[name].shape for name, array in run.items())


def _stacked(runs: Sequence[Mapping[str, Array]]) -> Mapping[str, Array]:
    first, *others = runs
    return (
        {name: np.concatenate([first[name], *(run[name] for run in others)]) for name in first}
        if others
        else first
    )


def _add(part: RangeStats, seen: Seen, rows: npt.NDArray[np.intp], name: str, samples: Sequence[int]) -> None:
    """Add rows of what was seen, which are of these samples."""
    before = part.samples
    try:
        part.add(Seen(seen.lows[rows], seen.highs[rows], seen.counted[rows], seen.size))
    except InputError as error:
        sample = int(samples[int(str(error.facts["sample"])) - before])
        raise InputError(
            f"tensor {name!r} has NaN or infinity for sample {sample}", tensor=name, sample=sample
        ) from error
