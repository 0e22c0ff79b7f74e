"""Pairs of instances as a real machine gives them, without a process: what the gate's tests draw."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from edgetl.bench import gate
from edgetl.bench.comparison import Contender
from edgetl.bench.instance import Blocks, Pace

MS = 1_000_000


class Machine:
    """Each instance is off by 1.5 % for its life, one in twenty by 6 % more, its blocks by 1 %.

    Parameters
    ----------
    slower : time of a candidate's instance over that of a baseline's. seed : of all that is drawn.
    """

    def __init__(self, slower: float = 1.0, seed: int = 0) -> None:
        self.slower = slower
        self.drawn = 0
        self._rng = np.random.default_rng([11, seed])

    def __call__(
        self, contenders: Mapping[str, Contender], pace: Pace, env: Mapping[str, str] | None
    ) -> Blocks:
        """One pair."""
        self.drawn += 1
        return {
            name: self._blocks(self.slower if name.startswith(gate.CANDIDATE) else 1.0, pace)
            for name in contenders
        }

    def _blocks(self, factor: float, pace: Pace) -> list[list[int]]:
        rng = self._rng
        own = math.exp(rng.normal(0, 0.015) + (0.06 if rng.random() < 0.05 else 0.0))
        return [
            [int(2 * MS * factor * own * math.exp(rng.normal(0, 0.01)))] * max(pace.least_runs, 1)
            for _ in range(2 * pace.rounds)
        ]
