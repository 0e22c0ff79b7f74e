"""Names beside marks: none covers another name or a mark, and as many are there as have room."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from edgetl.report import pictures_pareto
from edgetl.report.pictures_names import RADIUS, Box, Named, placed
from edgetl.report.pictures_pareto import Point, tradeoff

PAPER = Box(0, 0, 400, 200)
MARKS = st.lists(
    st.builds(
        lambda x, y, length, bold: Named("n" * length, x, y, y + 20, y - 20, bold),
        st.floats(10, 390),
        st.floats(10, 190),
        st.integers(1, 20),
        st.booleans(),
    ),
    max_size=12,
)
CROWD = [
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "resnet18",
    "resnet50",
    "shufflenet_v2_x1_0",
]


@given(MARKS)
def test_no_name_covers_another_name_a_mark_or_what_is_taken(marks: list[Named]) -> None:
    taken = Box(150, 80, 250, 120)
    found = [box for box, _ in placed(marks, PAPER, [taken]).values()]
    assert all(PAPER.holds(box) for box in found)
    assert not any(one.meets(other) for one, other in combinations(found, 2))
    assert not any(box.meets(taken) for box in found)
    for one in marks:
        dot = Box(one.x - RADIUS, one.y - RADIUS, one.x + RADIUS, one.y + RADIUS)
        assert not any(box.meets(dot) for box in found)


def test_a_name_alone_stands_right_of_its_mark_or_left_where_the_picture_ends() -> None:
    for x, on_left in ((100.0, False), (380.0, True)):
        assert placed([Named("resnet18", x, 100, 110, 90)], PAPER)[0][1] is on_left


def test_candidates_that_lie_close_are_all_named_and_the_limit_stays_readable() -> None:
    points = [
        Point(name, 2.0 + 0.1 * place, 0.88 + 0.003 * place, (0.85, 0.91), 0, place == 2)
        for place, name in enumerate(CROWD)
    ]
    body = tradeoff(points, ("linear probe",), "", limit_ms=2.6).body
    assert all(f">{name}</text>" in body for name in CROWD)
    assert ">limit 2.6 ms</text>" in body


def test_a_picture_of_one_point_has_its_name() -> None:
    assert (
        ">f32</text>" in pictures_pareto.tradeoff([Point("f32", 1.0, 0.9, (0.8, 1.0), 0, True)], (), "").body
    )
