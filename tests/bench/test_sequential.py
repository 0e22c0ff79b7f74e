"""Looking again and again: how seldom it is wrong, and how soon it is right."""

from __future__ import annotations

import math
from itertools import islice

import numpy as np
import pytest

from edgetl.bench import sequential
from edgetl.bench.sequential import MISS, Course, Paired, Unpaired

TOLERANCE = 0.03
MOST = 62
SPREAD = 0.02


def course(rng: np.random.Generator, slower: float, *, models: int = 1, stored: int = 0) -> Course:
    """A gate over simulated pairs, one in twelve of them wild, until it knows or is tired of it."""
    values = (
        math.log(slower)
        + rng.normal(0, SPREAD, MOST)
        + rng.normal(0, 0.1, MOST) * (rng.random(MOST) < 1 / 12)
    )
    past = rng.normal(0, SPREAD / math.sqrt(2), stored)
    found = Course(TOLERANCE, models)
    for pairs in sequential.looks():
        if pairs > MOST or found.slower or found.held:
            return found
        drawn = values[:pairs].tolist()
        found.look(Unpaired(drawn, past.tolist()) if stored else Paired(drawn))
    raise AssertionError


def often(slower: float, said: str, runs: int = 400, **how: int) -> int:
    """Of so many gates, those that said it."""
    rng = np.random.default_rng([3, round(1000 * slower)])
    return sum(bool(getattr(course(rng, slower, **how), said)) for _ in range(runs))


@pytest.mark.parametrize("stored", [0, 30])
def test_at_the_tolerance_itself_fail_is_as_rare_as_promised(stored: int) -> None:
    limit = 400 * MISS
    assert often(1 + TOLERANCE, "slower", stored=stored) <= limit + 3 * math.sqrt(limit)
    assert often(1 + TOLERANCE + 1e-9, "held", stored=stored) <= limit + 3 * math.sqrt(limit)


def test_what_did_not_change_passes_and_never_fails() -> None:
    assert often(1.0, "slower") == 0
    assert often(1.0, "held") >= 380


@pytest.mark.parametrize(("slower", "least"), [(1.06, 340), (1.10, 398)])
def test_what_is_slower_fails(slower: float, least: int) -> None:
    assert often(slower, "slower") >= least
    assert often(slower, "held") == 0


def test_several_models_share_the_chance() -> None:
    assert often(1.043, "slower", models=5) < often(1.043, "slower")


def test_intervals_of_all_looks_hold_the_truth_at_once() -> None:
    rng = np.random.default_rng(8)
    missed = 0
    for _ in range(400):
        found = course(rng, 1.03)
        missed += not all(
            look.interval is None or look.interval[0] <= 1.03 <= look.interval[1] for look in found.looks
        )
    assert missed <= 400 * 2 * MISS + 3 * math.sqrt(400 * 2 * MISS)


def test_looks_spend_less_than_there_is() -> None:
    found = Course(TOLERANCE)
    values = np.random.default_rng(1).normal(0, SPREAD, 500)
    for pairs in islice(sequential.looks(), 10):
        found.look(Paired(values[:pairs].tolist()))
    assert sum(look.miss for look in found.looks) < MISS
    assert all(look.miss > 0 for look in found.looks)


def test_more_pairs_tell_more() -> None:
    widths = [sequential.half_width(SPREAD, pairs) for pairs in (1, 8, 12, 27, 62, 140)]
    assert widths[0] == widths[1]
    assert widths[1:] == sorted(widths[1:], reverse=True)
