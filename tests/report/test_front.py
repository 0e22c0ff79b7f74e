"""The front holds those that nothing beats in both, and no others."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgetl.report.pictures_pareto import Point, front

SPOTS = st.lists(st.tuples(st.integers(1, 8), st.integers(0, 8)), min_size=1, max_size=20)
"""Few values, so that ties are common."""


def beats(one: Point, other: Point) -> bool:
    at_least = one.p50_ms <= other.p50_ms and one.accuracy >= other.accuracy
    return at_least and (one.p50_ms < other.p50_ms or one.accuracy > other.accuracy)


@given(SPOTS)
def test_nothing_beats_what_is_on_the_front_and_something_there_beats_or_equals_the_rest(
    spots: list[tuple[int, int]],
) -> None:
    points = [Point(str(n), ms, share / 8, (0, 1), 0, False) for n, (ms, share) in enumerate(spots)]
    kept = front(points)
    assert not any(beats(one, other) for one in points for other in kept)
    rest = [point for point in points if point not in kept]
    same = {(point.p50_ms, point.accuracy) for point in kept}
    assert all(
        (point.p50_ms, point.accuracy) in same or any(beats(one, point) for one in kept) for point in rest
    )
    speeds = [point.p50_ms for point in kept]
    assert speeds == sorted(set(speeds))
