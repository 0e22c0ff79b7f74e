"""What the linter found, and what it knows, as lines for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgetl.quantize.lint.rules import LEVELS, Finding, Rule
from edgetl.words import counted

__all__ = ["findings_lines", "legend", "table_lines", "verdict"]

SHOWN = 3
"""Nodes named of each rule; ``--json`` names all of them."""


def findings_lines(found: Sequence[Finding]) -> list[str]:
    """Each broken rule once, with the first nodes that break it, what mends it and who says so."""
    lines: list[str] = []
    for number in dict.fromkeys(finding.rule.number for finding in found):
        same = [finding for finding in found if finding.rule.number == number]
        rule = same[0].rule
        lines.append(f"  {rule.level:<8} {number:<4} {rule.says}")
        lines += [f"  {'':<13} {finding.node}: {finding.problem}" for finding in same[:SHOWN]]
        if len(same) > SHOWN:
            lines.append(f"  {'':<13} and {len(same) - SHOWN} more (--json lists them)")
        lines += [f"  {'':<13} mend: {rule.mend}", f"  {'':<13} source: {rule.source}"]
    return lines


def verdict(name: str, target: str, found: Sequence[Finding], held: int) -> str:
    """One line: what is broken, and how many rules were looked at."""
    count = {level: sum(finding.rule.level == level for finding in found) for level in ("error", "warning")}
    if not found:
        return f"{name} keeps the {held} rules of {target} that a graph can break"
    broken = len({finding.rule.number for finding in found})
    return (
        f"{name} for {target}: {counted(count['error'], 'error')}, {counted(count['warning'], 'warning')}; "
        f"{broken} of {held} rules broken"
    )


def table_lines(rules: Mapping[str, Rule], checked: frozenset[str]) -> list[str]:
    """Every rule of a target: its number, its level, what it says."""
    return [
        f"  {rule.number:<4} {rule.level if number in checked or rule.level in ('build', 'unchecked') else '-':<9} "
        f"{rule.says}"
        for number, rule in rules.items()
    ]


def legend() -> list[str]:
    """What the levels mean."""
    return [f"  {level:<9} {meaning}" for level, meaning in LEVELS.items()]
