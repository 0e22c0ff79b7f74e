"""The recommendation: within the latency, by the probe, and among equals by time."""

from __future__ import annotations

import numpy as np

from edgetl.advise.recommend import Latency, Scored, recommend, score


def one(
    name: str,
    probe: float | None,
    ms: float | None,
    *,
    logme: float | None = None,
    nleep: float | None = None,
) -> Scored:
    """A candidate; what is not told agrees with its probe."""
    told = 0.0 if probe is None else probe
    return Scored(
        name=name,
        options=f"--model {name}",
        size=224,
        probe=probe,
        probe_ci95=None if probe is None else (probe - 0.03, probe + 0.03),
        log_likelihood=None if probe is None else -0.3,
        logme=told - 1 if logme is None else logme,
        nleep=told - 2 if nleep is None else nleep,
        latency=None if ms is None else Latency(p50_ms=ms, kind="measured"),
    )


def right(*scored: Scored) -> dict[str, np.ndarray]:
    return {s.name: np.arange(200) < round(200 * (s.probe or 0)) for s in scored}


BIG, SMALL, TOY = one("big", 0.96, 9.0), one("small", 0.955, 3.0), one("toy", 0.70, 0.5)
ALL = (BIG, SMALL, TOY)


def test_of_those_that_are_as_good_the_fastest_is_taken_and_the_gap_is_told() -> None:
    choice = recommend(ALL, right(*ALL), max_ms=None)
    assert choice is not None and choice.name == "small"
    assert "as good as that of big" in choice.reason and "95 % interval" in choice.reason


def test_a_limit_leaves_out_what_is_slower_and_what_nobody_timed() -> None:
    untimed = one("untimed", 0.99, None)
    choice = recommend([*ALL, untimed], right(*ALL, untimed), max_ms=1.0)
    assert choice is not None and choice.name == "toy"
    assert recommend(ALL, right(*ALL), max_ms=0.1) is None


def test_a_point_apart_is_as_good_whatever_floating_point_makes_of_it() -> None:
    best, close = one("best", 0.97, 5.0), one("close", 0.96, 1.0)
    choice = recommend((best, close), right(best, close), max_ms=None)
    assert choice is not None and choice.name == "close"


def test_accuracy_wins_over_time_where_it_is_more_than_a_point() -> None:
    choice = recommend((BIG, TOY), right(BIG, TOY), max_ms=None)
    assert choice is not None and choice.name == "big"


def test_without_any_latency_the_best_probe_is_taken() -> None:
    told = [one("a", 0.9, None), one("b", 0.8, None)]
    choice = recommend(told, right(*told), max_ms=None)
    assert choice is not None and choice.name == "a"


def test_two_scores_that_agree_outvote_the_third_and_its_gap_is_told() -> None:
    a, b = one("a", 0.90, 3.0, logme=0.1, nleep=-0.5), one("b", 0.85, 1.0, logme=0.2, nleep=-0.4)
    assert score((a, b))["b"] > score((a, b))["a"]
    slow = one("b", 0.85, 9.0, logme=0.2, nleep=-0.4)
    kept = recommend((a, slow), right(a, slow), max_ms=None)
    assert kept is not None and kept.name == "a"  # it is faster, and its probe is no worse
    choice = recommend((a, b), right(a, b), max_ms=None)
    assert choice is not None and choice.name == "b"
    assert "best mean rank over probe, LogME and NLEEP" in choice.reason
    assert "its probe is 5.0 points below a" in choice.reason


def test_a_score_is_the_share_that_is_beaten_and_a_draw_counts_half() -> None:
    assert score(ALL) == {"big": 5 / 6, "small": 0.5, "toy": 1 / 6}
    assert score((BIG,)) == {"big": 0.5}
    twins = (BIG, one("twin", 0.96, 1.0))
    assert score(twins) == {"big": 0.5, "twin": 0.5}


def test_without_a_probe_the_other_scores_rank() -> None:
    blind = (one("a", None, None, logme=0.1), one("b", None, None, logme=0.2))
    assert score(blind)["b"] > score(blind)["a"]
    choice = recommend(blind, right(*blind), max_ms=None)
    assert choice is not None and choice.name == "b"
    assert "its probe" not in choice.reason
