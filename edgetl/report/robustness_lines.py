"""What corruptions came to, on a terminal."""

from __future__ import annotations

from edgetl.types import CorruptionCost, Robustness
from edgetl.words import counted

__all__ = ["lines", "ratio_text"]


def lines(found: Robustness) -> list[str]:
    """The clean drop, each corruption's mean over severities with the dearest first, both errors, and the answer."""
    clean = found.clean
    of = f"{found.n} images" if found.n == found.test_images else f"{found.n} of {found.test_images} images"
    levels = ",".join(map(str, found.severities))
    low, high = clean.drop_ci95_pt
    told = [
        f"  corrupted  {counted(len(found.costs), 'corruption')} at severity {levels} on {of}, "
        f"{found.candidate} against {found.reference}",
        f"             clean: {found.reference} {100 * clean.reference:.1f} %, "
        f"{found.candidate} {100 * clean.candidate:.1f} %, drop {clean.drop_pt:+.1f} points [{low:+.1f}, {high:+.1f}]",
        "",
        f"  {'mean of severities':<20} {found.reference:>8} {found.candidate:>8} {'drop':>6} "
        f"{'beyond the clean drop, 95 %':>29} {'p (Holm)':>9} {'CE':>6}",
        *(_row(cost) for cost in found.costs),
        "",
        f"  mCE        {ratio_text(found.mce_pct, found.mce_ci95_pct)}; relative mCE "
        f"{ratio_text(found.relative_mce_pct, found.relative_mce_ci95_pct)} (100 % is {found.reference})",
        f"  costs more {', '.join(found.costs_more) or 'nowhere that is shown'}",
        f"  answer     {found.sentence}",
    ]
    return told


def _row(cost: CorruptionCost) -> str:
    low, high = cost.extra_ci95_pt
    ce = "n/a" if cost.ce_pct is None else f"{cost.ce_pct:.0f} %"
    extra = f"{cost.extra_pt:+.1f} [{low:+.1f}, {high:+.1f}]"
    return (
        f"  {cost.corruption:<20} {100 * cost.reference:>6.1f} % {100 * cost.candidate:>6.1f} % {cost.drop_pt:>+6.1f} "
        f"{extra:>29} {cost.p_holm:>9.2g} {ce:>6}"
    )


def ratio_text(value: float | None, interval: tuple[float, float] | None) -> str:
    """A ratio of errors in percent, with its interval; why there is none where there is none."""
    if value is None or interval is None:
        return "n/a, f32 makes too few errors to divide by"
    return f"{value:.1f} % [{interval[0]:.1f}, {interval[1]:.1f}]"
