"""Mirrored turns: what drifts with the machine cancels, what belongs to an engine stays."""

from __future__ import annotations

import statistics
from functools import partial
from itertools import repeat

from edgetl.bench.comparison import Comparison
from edgetl.bench.context import Context
from edgetl.bench.instance import Pace, alternate
from edgetl.testing import RecordedClock

MS = 1_000_000
QUICK = Pace(rounds=2, block_ms=20, warm_seconds=0.01)


def ratio_of_two(blocks: dict[str, list[list[int]]]) -> float:
    """The ratio b over a of two such instances."""
    return (
        Comparison(baseline="a", instances=(blocks, blocks), context=(Context(), Context())).ratio("b").ratio
    )


def test_each_has_two_blocks_a_turn_of_the_asked_length(clock: RecordedClock) -> None:
    calls = {"a": clock.call(repeat(2 * MS)), "b": clock.call(repeat(4 * MS))}
    blocks = alternate(calls, QUICK, clock)
    assert [len(block) for block in blocks["a"]] == [10] * 4
    assert [len(block) for block in blocks["b"]] == [8] * 4  # the least number of runs
    assert abs(ratio_of_two(blocks) - 2) < 1e-9


def test_the_order_is_mirrored(clock: RecordedClock) -> None:
    order: list[str] = []

    def call(name: str) -> None:
        clock.now += 2 * MS
        if not order or order[-1] != name:
            order.append(name)

    alternate({name: partial(call, name) for name in "abc"}, Pace(rounds=1, warm_seconds=0.01), clock)
    assert "".join(order) == "abc" + "abcba"


def test_a_machine_that_slows_down_steadily_makes_no_difference(clock: RecordedClock) -> None:
    def call() -> None:
        clock.now += int(2 * MS * (1 + clock.now / 1e9))

    blocks = alternate({"a": call, "b": call}, Pace(rounds=6, block_ms=20, warm_seconds=0.01), clock)
    medians = [statistics.median(block) for block in blocks["a"]]
    assert medians[-1] > 1.2 * medians[0]
    assert abs(ratio_of_two(blocks) - 1) < 0.02
