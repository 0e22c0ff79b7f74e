"""Pictures: well-formed whatever is written into them, with a finding, units, and marks that differ in grey."""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetl.report import (
    pictures,
    pictures_accuracy,
    pictures_axes,
    pictures_history,
    pictures_latency,
    pictures_layers,
    pictures_pareto,
    pictures_robustness,
)
from edgetl.report.pictures import Picture
from edgetl.types import Corrupted, CorruptionCost, LayerInfo, Robustness

HOSTILE = '</text></svg><script>alert("1")</script>&\x00\'"'
BLOCKS = {
    name: [
        [[round(1e6 * (place + block / 10)) for block in range(1, 9)] for _ in range(6)] for place in (1, 2)
    ]
    for name in ("f32", "default", "int8")
}


def layer(name: str, us: float = 10.0, precision: str = "u8") -> LayerInfo:
    """A layer that takes some time."""
    return LayerInfo(name=name, kind="Convolution", precision=precision, microseconds=us)


def history(word: str) -> Picture:
    """Three builds, of which one is another series."""
    dots = [pictures_history.Dot(word, 1.0 + n, (0.9 + n, 1.1 + n), n // 2) for n in range(3)]
    levels = [pictures_history.Level([0, 1], 1.5, 0, ""), pictures_history.Level([2], 3.0, 1, "+50 %")]
    return pictures_history.history(dots, levels, [word, "later"], word, word)


def pareto(word: str) -> Picture:
    """Two engines."""
    spots = [pictures_pareto.Point(word, 1.0 + n, 0.8 + n / 10, (0.7, 0.95), n, n == 0) for n in range(2)]
    return pictures_pareto.tradeoff(spots, [word, "B"], word)


def corruptions(word: str, count: int = 6, *, worse: bool = True) -> Picture:
    """Two engines under some corruptions, of which the first costs the second more."""

    def cell(name: str, severity: int) -> Corrupted:
        right, drop = 0.95 - 0.1 * severity, 4.0 * severity
        return Corrupted(
            corruption=name,
            severity=severity,
            reference=right,
            candidate=right - drop / 100,
            drop_pt=drop,
            drop_ci95_pt=(drop - 5, drop + 5),
            p_value=0.5,
        )

    def cost(name: str) -> CorruptionCost:
        return CorruptionCost(
            corruption=name,
            group="weather",
            reference=0.7,
            candidate=0.6,
            drop_pt=10.0,
            extra_pt=8.0,
            extra_ci95_pt=(2.0, 14.0),
            p_value=0.01,
            p_holm=0.02,
            ce_pct=133.0,
            relative_ce_pct=None,
        )

    names = [f"{word}{place}" for place in range(count)]
    found = Robustness(
        name=word,
        manifest="0" * 64,
        reference="f32",
        candidate=word,
        seed=0,
        n=100,
        test_images=120,
        severities=(1, 3, 5),
        clean=cell("clean", 0),
        cells=tuple(cell(name, severity) for name in names for severity in (1, 3, 5)),
        costs=tuple(map(cost, names)),
        mce_pct=133.0,
        mce_ci95_pct=(110.0, 150.0),
        relative_mce_pct=None,
        relative_mce_ci95_pct=None,
        costs_more=tuple(names[:1]) if worse else (),
        sentence=word,
    )
    return pictures_robustness.accuracy(found)


DRAWN: dict[str, Callable[[str], Picture]] = {
    "spread": lambda word: pictures_latency.spread({word: BLOCKS["int8"], "f32": BLOCKS["f32"]}, word),
    "over time": lambda word: pictures_latency.over_time({word: BLOCKS["int8"]}, word),
    "layers": lambda word: pictures_layers.slowest([layer(word), layer("b", 3.0, word)], word),
    "precision": lambda word: pictures_layers.by_precision({word: [layer("a", 1.0, word)]}, word),
    "sizes": lambda word: pictures_layers.sizes({word: 1000, "f32": 4000}, word),
    "shares": lambda word: pictures_accuracy.shares([(word, 0.9, (0.8, 0.95), True)], word, word, word),
    "drop": lambda word: pictures_accuracy.drop(0.5, (-1.0, 2.0), 1.0, word),
    "confusion": lambda word: pictures_accuracy.confusion([(0, 0, 3), (0, 1, 1), (1, 1, 4)], [word, "b"]),
    "pareto": pareto,
    "history": history,
    "corruptions": corruptions,
}


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
@pytest.mark.parametrize("word", ["int8", HOSTILE, "x" * 300, "蟻", ""])
def test_a_picture_is_well_formed_whatever_things_are_called(
    draw: Callable[[str], Picture], word: str
) -> None:
    picture = draw(word)
    for drawn in (
        picture.inline().replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1),
        picture.file(),
    ):
        root = ET.fromstring(drawn)
        assert not list(root.iter("{http://www.w3.org/2000/svg}script"))
        assert "nan" not in drawn.lower()


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_everything_drawn_lies_in_the_picture(draw: Callable[[str], Picture]) -> None:
    picture = draw("int8")
    marks = re.findall(r'\b(x|x1|x2|cx)="([-\d.]+)"', picture.body)
    assert marks
    assert all(-1 <= float(x) <= pictures.WIDTH + 1 for _, x in marks)
    heights = re.findall(r'\b(?:y|y1|y2|cy)="([-\d.]+)"', picture.body)
    assert all(-1 <= float(y) <= picture.height + 1 for y in heights)


@pytest.mark.parametrize("name", ["spread", "over time", "pareto", "history"])
def test_axes_have_units(name: str) -> None:
    assert ", ms" in DRAWN[name]("int8").body


def test_series_differ_without_colour() -> None:
    shapes = {re.sub(r'class="[^"]*"', "", pictures.marker(k, 50, 50)) for k in range(pictures.SERIES)}
    assert len(shapes) == pictures.SERIES
    assert len(set(pictures.DASHES)) == pictures.SERIES


def test_the_same_numbers_give_the_same_bytes() -> None:
    assert history("a").file() == history("a").file()


def test_the_title_of_a_latency_is_its_percentiles() -> None:
    blocks = {"int8": [[[round(1e6 * ms) for ms in (1.0, 1.0, 1.0, 2.0, 3.0)]]]}
    assert pictures_latency.spread(blocks, "int8").title.startswith(
        "Half of the runs of int8 take 1 ms or less"
    )


def test_instances_that_differ_are_said_to() -> None:
    assert "differ by" in pictures_latency.over_time(BLOCKS, "int8").title
    alike = {"int8": [[[1_000_000] * 5], [[1_010_000] * 5]]}
    assert "agree" in pictures_latency.over_time(alike, "int8").title


def test_runs_beyond_the_axis_are_counted() -> None:
    blocks = {"int8": [[[1_000_000] * 400 + [90_000_000]]]}
    assert "1 slower than" in pictures_latency.spread(blocks, "int8").note


def test_the_title_of_the_layers_says_how_many_take_half() -> None:
    layers = [layer("a", 60.0), *(layer(f"l{n}", 4.0) for n in range(10))]
    picture = pictures_layers.slowest(layers, "int8")
    assert picture.title == "1 of 11 layers of int8 takes 60 % of the time"


def test_layers_that_are_not_shown_are_counted() -> None:
    body = pictures_layers.slowest([layer(f"l{n}") for n in range(30)], "int8").body
    assert "and 18 others" in body


def test_the_most_confused_pair_is_the_title() -> None:
    cells = [(0, 0, 10), (0, 1, 3), (1, 1, 9), (1, 0, 1)]
    assert (
        pictures_accuracy.confusion(cells, ["ants", "bees"]).title
        == "ants is taken for bees most often: 3 of 13"
    )
    assert pictures_accuracy.confusion([(0, 0, 5)], ["ants", "bees"]).title == "No class is taken for another"


@given(
    st.lists(st.tuples(st.floats(0.01, 100), st.floats(0, 1)), min_size=1, max_size=12),
)
def test_nothing_beats_what_is_on_the_front_and_something_beats_the_rest(
    spots: list[tuple[float, float]],
) -> None:
    points = [
        pictures_pareto.Point(str(n), ms, share, (share, share), 0, False)
        for n, (ms, share) in enumerate(spots)
    ]
    front = pictures_pareto.front(points)
    for point in points:
        better = [
            other
            for other in points
            if other.p50_ms <= point.p50_ms
            and other.accuracy >= point.accuracy
            and (other.p50_ms, other.accuracy) != (point.p50_ms, point.accuracy)
        ]
        assert any((point.p50_ms, point.accuracy) == (kept.p50_ms, kept.accuracy) for kept in front) == (
            not better
        )


def spot(name: str, ms: float, share: float, spread: float = 0.05) -> pictures_pareto.Point:
    """An engine with its interval."""
    return pictures_pareto.Point(name, ms, share, (share - spread, share + spread), 0, name == "int8")


@pytest.mark.parametrize(
    ("points", "title"),
    [
        ([spot("int8", 1, 0.9), spot("f32", 2, 0.9)], "int8 is the fastest, and none is more accurate"),
        (
            [spot("int8", 1, 0.9), spot("f32", 2, 0.92)],
            "int8 and f32 are on the front: their intervals of accuracy overlap",
        ),
        (
            [spot("int8", 1, 0.7), spot("f32", 2, 0.9)],
            "int8 and f32 are on the front: more accuracy costs time",
        ),
        (
            [spot("int8", 1, 0.7), spot("f32", 2, 0.9), spot("default", 3, 0.8)],
            "int8 and f32 are on the front; 1 of 3 are beaten in both",
        ),
    ],
)
def test_the_title_of_the_tradeoff_claims_no_more_than_was_measured(
    points: list[pictures_pareto.Point], title: str
) -> None:
    assert pictures_pareto.tradeoff(points, (), "").title == title


def test_of_several_bundles_only_what_ships_is_named_in_the_picture() -> None:
    spots = [spot("A int8", 1, 0.9), spot("B f32", 4, 0.9)]
    assert "B f32<" in pictures_pareto.tradeoff(spots, (), "").body
    shipped = dataclasses.replace(spots[0], shipped=True)
    body = pictures_pareto.tradeoff([shipped, spots[1]], ["A", "B"], "").body
    assert "A int8</text>" in body
    assert "B f32</text>" not in body


def test_engines_of_other_images_have_no_front_in_common() -> None:
    spots = [pictures_pareto.Point("a", 1.0, 0.9, (0.8, 0.95), 0, True)] * 2
    assert 'class="front"' not in pictures_pareto.tradeoff(spots, (), "", comparable=False).body


@settings(deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 10))
def test_ticks_are_round_inside_and_few(low: float, span: float, most: int) -> None:
    found = pictures_axes.ticks(low, low + span, most)
    assert len(found) <= most + 1
    slack = 1e-6 * (abs(low) + span)
    assert all(low - slack <= value <= low + span + slack for value in found)


@pytest.mark.parametrize("count", [1, 4, 5, 19])
def test_every_corruption_has_a_plot_and_a_drop_that_is_proven_a_filled_dot(count: int) -> None:
    body = corruptions("int8", count).body
    assert body.count("stroke-dasharray") == count + 1  # the reference's curves, and its swatch
    filled, hollow = len(re.findall(r'class="f0"', body)), len(re.findall(r'class="s0" stroke-width', body))
    assert (filled, hollow) == (2 * count, 2 * count)  # severities 3 and 5; clean and severity 1


def test_the_title_says_where_it_costs_more_or_that_it_is_not_shown() -> None:
    assert corruptions("fog").title == "fog loses more than on clean images in fog0"
    assert (
        corruptions("fog", worse=False).title
        == "In none of 6 corruptions is fog shown to lose more than on clean images"
    )
