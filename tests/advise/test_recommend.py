"""The recommendation: within the latency, by the probe, and among equals by time."""

from __future__ import annotations

import numpy as np

from edgetl.advise.recommend import Latency, Scored, recommend, score


def one(name: str, probe: float, ms: float | None) -> Scored:
    return Scored(
        name=name,
        options=f"--model {name}",
        size=224,
        probe=probe,
        probe_ci95=(probe - 0.03, probe + 0.03),
        log_likelihood=-0.3,
        logme=0.1,
        nleep=-0.2,
        latency=None if ms is None else Latency(p50_ms=ms, kind="measured"),
    )


def right(*scored: Scored) -> dict[str, np.ndarray]:
    return {s.name: np.arange(200) < round(200 * (s.probe or 0)) for s in scored}


BIG, SMALL, TOY = one("big", 0.96, 9.0), one("small", 0.955, 3.0), one("toy", 0.70, 0.5)
ALL = (BIG, SMALL, TOY)


def test_of_those_that_are_as_good_the_fastest_is_taken_and_the_gap_is_told() -> None:
    choice = recommend(ALL, right(*ALL), max_ms=None)
    assert choice is not None and choice.name == "small"
    assert "as good as big" in choice.reason and "95 % interval" in choice.reason


def test_a_limit_leaves_out_what_is_slower_and_what_nobody_timed() -> None:
    untimed = one("untimed", 0.99, None)
    choice = recommend([*ALL, untimed], right(*ALL, untimed), max_ms=1.0)
    assert choice is not None and choice.name == "toy"
    assert recommend(ALL, right(*ALL), max_ms=0.1) is None


def test_accuracy_wins_over_time_where_it_is_more_than_a_point() -> None:
    choice = recommend((BIG, TOY), right(BIG, TOY), max_ms=None)
    assert choice is not None and choice.name == "big"


def test_without_any_latency_the_best_probe_is_taken() -> None:
    told = [one("a", 0.9, None), one("b", 0.8, None)]
    choice = recommend(told, right(*told), max_ms=None)
    assert choice is not None and choice.name == "a"


def test_what_could_not_be_probed_ranks_below_what_could() -> None:
    blind = Scored(
        name="blind",
        options="",
        size=64,
        probe=None,
        probe_ci95=None,
        log_likelihood=None,
        logme=5.0,
        nleep=0.0,
    )
    assert score(blind) < score(TOY)
