"""The section of a page on the training: the teacher, the spread over seeds, what the transfer brought."""

from __future__ import annotations

from edgetl.report.html_facts import Facts, Spread
from edgetl.report.html_parts import Section, Table

__all__ = ["section"]


def section(facts: Facts) -> Section | None:
    """``None`` where the network was trained once, by the method asked for, without teacher and comparison."""
    told = facts.results.training
    lines, tables = [], []
    if told.picked is not None:
        lines.append(f"The method auto took {told.picked}: {told.why}.")
    if told.teacher is not None:
        lines.append(f"Teacher: {told.teacher.sentence}.")
    if told.seeds is not None:
        lines.append(f"{told.seeds.sentence}.")
        tables.append(_runs(told.seeds))
    if told.compare is not None:
        lines += [f"{sentence}." for sentence in told.compare.sentences]
    return Section("training", "Training", lines=lines, tables=tables) if lines else None


def _runs(spread: Spread) -> Table:
    """The seeds, the best on the select images first: that is how one was chosen."""
    ordered = sorted(spread.runs, key=lambda run: (-run.select_accuracy, run.select_loss))
    rows = [
        (
            f"{run.seed}{', ships' if run.seed == spread.chosen else ''}",
            f"{100 * run.select_accuracy:.1f}",
            f"{100 * run.test_accuracy:.1f}",
        )
        for run in ordered
    ]
    return Table(("seed", "select, %", "test in float, %"), rows, (1, 2))
