"""Intervals cover what they promise, and agree with scipy and with published figures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from edgetl import stats

counts = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(1, 400)).filter(
    lambda t: t[0] + t[1] <= t[2]
)
finite = st.floats(-1e6, 1e6)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_agrees_with_scipy(case: tuple[int, int]) -> None:
    successes, n = case
    expected = reference.binomtest(successes, n).proportion_ci(method="wilson")
    assert stats.wilson(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


@given(st.integers(1, 500), st.floats(0, 1e-9))
def test_wilson_of_nearly_all_or_nearly_none_stays_a_share(n: int, off: float) -> None:
    for successes in (n * (1 - off), n * off):
        low, high = stats.wilson(successes, n)
        assert 0 <= low < high <= 1


@given(counts)
def test_tango_holds_the_estimate_and_has_width(case: tuple[int, int, int]) -> None:
    losses, gains, n = case
    low, high = stats.tango(losses, gains, n)
    assert -1 <= low <= (losses - gains) / n <= high <= 1
    assert high - low > 0


@given(counts)
def test_tango_mirrors_when_losses_and_gains_change_places(case: tuple[int, int, int]) -> None:
    losses, gains, n = case
    low, high = stats.tango(losses, gains, n)
    assert stats.tango(gains, losses, n) == pytest.approx((-high, -low), abs=1e-9)


@pytest.mark.parametrize(
    ("losses", "gains", "n", "expected_pt"),
    [
        (0, 0, 122, (-3.05, 3.05)),
        (2, 1, 122, (-3.0, 5.1)),
        (0, 0, 700, (-0.55, 0.55)),
        (2, 1, 700, (-0.5, 0.9)),
        (11, 10, 700, (-1.2, 1.5)),
        (15, 15, 1000, (-1.1, 1.1)),
        (75, 75, 5000, (-0.5, 0.5)),
    ],
)
def test_tango_gives_the_widths_measured_before(
    losses: int, gains: int, n: int, expected_pt: tuple[float, float]
) -> None:
    found = [100 * end for end in stats.tango(losses, gains, n)]
    assert found == pytest.approx(expected_pt, abs=0.05)


@pytest.mark.parametrize(
    ("n", "lost", "gained", "at_least"),
    [(122, 0.01, 0.005, 0.985), (122, 0.03, 0.02, 0.94), (700, 0.01, 0.005, 0.94)],
)
def test_tango_covers_the_true_difference(n: int, lost: float, gained: float, at_least: float) -> None:
    draws = np.random.default_rng(7).multinomial(n, [lost, gained, 1 - lost - gained], size=2000)
    seen: dict[tuple[int, int], bool] = {}
    for losses, gains, _ in draws:
        if (losses, gains) not in seen:
            low, high = stats.tango(int(losses), int(gains), n)
            seen[losses, gains] = low <= lost - gained <= high
    assert np.mean([seen[losses, gains] for losses, gains, _ in draws]) >= at_least


@pytest.mark.parametrize("bad", [(1, 0, 0), (-1, 0, 5), (3, 3, 5)])
def test_impossible_counts_are_refused(bad: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="discordant"):
        stats.tango(*bad)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_binomial_test(losses: int, gains: int) -> None:
    expected = reference.binomtest(losses, losses + gains).pvalue if losses + gains else 1.0
    assert stats.mcnemar_exact(losses, gains) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_holds_for_counts_beyond_floats() -> None:
    assert 0 < stats.mcnemar_exact(2400, 2600) < 0.01


def test_images_needed_is_the_first_number_that_proves_the_budget() -> None:
    needed = stats.images_needed(1, 1, 122, 0.01)
    assert needed is not None
    scale = needed / 122
    assert stats.tango(scale, scale, needed)[1] < 0.01
    shorter = (needed - 1) / 122
    assert stats.tango(shorter, shorter, needed - 1)[1] >= 0.01


def test_no_number_of_images_proves_a_drop_over_the_budget() -> None:
    assert stats.images_needed(5, 0, 122, 0.01) is None


@given(st.sampled_from([0.5, 0.9, 0.99]))
def test_the_support_of_a_percentile_leaves_two_samples_beyond_it(q: float) -> None:
    n = stats.percentile_support(q)
    assert reference.binom.cdf(1, n, 1 - q) <= 0.01 < reference.binom.cdf(1, n - 1, 1 - q)


def test_loadgens_figures_for_p90_and_p99() -> None:
    assert [stats.percentile_support(q) for q in (0.9, 0.99)] == [64, 662]


@given(st.lists(finite, min_size=1, max_size=80), st.sampled_from([0.5, 0.9, 0.99]))
def test_an_order_statistic_interval_holds_the_sample_quantile(samples: list[float], q: float) -> None:
    interval = stats.quantile_interval(samples, q)
    if interval is not None:
        low, high = interval
        assert low in samples
        assert high in samples
        assert low <= stats.quantile(samples, q) <= high


@pytest.mark.parametrize(("n", "q"), [(20, 0.5), (200, 0.9), (700, 0.99)])
def test_an_order_statistic_interval_covers_the_true_quantile(n: int, q: float) -> None:
    draws = np.random.default_rng(3).exponential(size=(1000, n))
    truth = -math.log(1 - q)
    intervals = [stats.quantile_interval(draw, q) for draw in draws]
    assert np.mean([i is not None and i[0] <= truth <= i[1] for i in intervals]) >= 0.94


def test_too_few_samples_have_no_interval() -> None:
    assert stats.quantile_interval([1.0] * 20, 0.99) is None
    assert stats.quantile_interval([], 0.5) is None


@given(st.lists(finite, min_size=1, max_size=25), st.floats(-100, 100))
def test_hodges_lehmann_moves_with_the_values(values: list[float], shift: float) -> None:
    moved = stats.hodges_lehmann([v + shift for v in values])
    assert moved == pytest.approx(stats.hodges_lehmann(values) + shift, abs=1e-6)


def test_one_wild_instance_of_twelve_hardly_moves_the_centre() -> None:
    calm = [0.01 * k for k in range(-5, 6)]
    assert abs(stats.hodges_lehmann([*calm, 50.0])) < 0.02


def test_no_values_have_no_centre() -> None:
    with pytest.raises(ValueError, match="none"):
        stats.hodges_lehmann([])


@pytest.mark.parametrize("n", [3, 6, 12, 20])
def test_the_interval_of_the_centre_covers_it(n: int) -> None:
    draws = np.random.default_rng(n).normal(size=(1500, n))
    intervals = [stats.signed_rank_interval(draw) for draw in draws]
    covered = np.mean([i is not None and i[0] <= 0 <= i[1] for i in intervals])
    assert 0.935 <= covered <= 0.98


def test_the_signed_rank_quantile_is_the_published_one() -> None:
    """Hollander, Wolfe & Chicken, table A.4: P(T+ <= 13) = 0.0212 and P(T+ <= 14) = 0.0261 for n = 12."""
    values = [2.0**k for k in range(12)]
    means = sorted((a + b) / 2 for k, a in enumerate(values) for b in values[k:])
    assert stats.signed_rank_interval(values) == (means[13], means[-14])


def test_one_instance_has_no_interval() -> None:
    assert stats.signed_rank_interval([1.0]) is None


@given(st.integers(0, 20), st.integers(0, 20), st.integers(60, 200))
def test_a_mean_of_signs_has_the_interval_of_bonett_and_price(losses: int, gains: int, n: int) -> None:
    scores = [1.0] * losses + [-1.0] * gains + [0.0] * (n - losses - gains)
    p12, p21 = (losses + 1) / (n + 2), (gains + 1) / (n + 2)
    half = 1.959963984540054 * math.sqrt((p12 + p21 - (p12 - p21) ** 2) / (n + 2))
    (low, high), p = stats.mean_difference(scores)
    assert (low, high) == pytest.approx((p12 - p21 - half, p12 - p21 + half))
    assert (p < 0.05) == (low > 0 or high < 0)


def test_a_mean_of_scores_covers_what_it_promises() -> None:
    """Scores as corruptions give them: few images differ, by fifths, and most not at all."""
    rng = np.random.default_rng(0)
    values = np.arange(-5, 6) / 5
    for spread in ((0.01, 0.01), (0.06, 0.02), (0.2, 0.1)):
        chance = np.concatenate([np.full(5, spread[1] / 5), [1 - sum(spread)], np.full(5, spread[0] / 5)])
        truth = float(values @ chance)
        draws = rng.choice(values, p=chance, size=(1500, 150))
        held = [low <= truth <= high for (low, high), _ in map(stats.mean_difference, draws)]
        assert 0.93 <= np.mean(held) <= 1.0, spread
