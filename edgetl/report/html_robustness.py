"""The section of a page on corruptions: two engines over severity, and what quantization costs beyond clean images."""

from __future__ import annotations

from edgetl.report import pictures_robustness
from edgetl.report.html_parts import Section, Table
from edgetl.report.robustness_lines import ratio_text
from edgetl.types import CorruptionCost, Robustness

__all__ = ["section"]

KEY, HEADING = "corruptions", "In fog, in the dark, in noise"


def section(found: Robustness | None) -> Section:
    """What was measured, or what measures it."""
    if found is None:
        told = (
            "not measured: edgetl verify BUNDLE --data DIR --corruptions all --out FILE.json measures it, "
            "and edgetl report BUNDLE --corruptions FILE.json shows it here"
        )
        return Section(KEY, HEADING, missing=[told])
    heads = ("", found.reference, found.candidate, "drop", "beyond the clean drop, 95 %", "p (Holm)", "CE")
    table = Table(heads, [_row(cost) for cost in found.costs], (1, 2, 3, 4, 5, 6))
    mce = ratio_text(found.mce_pct, found.mce_ci95_pct)
    relative = ratio_text(found.relative_mce_pct, found.relative_mce_ci95_pct)
    lines = [
        f"{found.sentence}",
        f"mCE {mce}, relative mCE {relative}; 100 % is {found.reference}. Means over severities "
        f"{', '.join(map(str, found.severities))}, the dearest corruption first; drops in points of top-1.",
    ]
    return Section(KEY, HEADING, [pictures_robustness.accuracy(found)], lines, [table])


def _row(cost: CorruptionCost) -> tuple[str, ...]:
    low, high = cost.extra_ci95_pt
    return (
        cost.corruption.replace("_", " "),
        f"{100 * cost.reference:.1f} %",
        f"{100 * cost.candidate:.1f} %",
        f"{cost.drop_pt:+.1f}",
        f"{cost.extra_pt:+.1f} [{low:+.1f}, {high:+.1f}]",
        f"{cost.p_holm:.2g}",
        "n/a" if cost.ce_pct is None else f"{cost.ce_pct:.0f} %",
    )
