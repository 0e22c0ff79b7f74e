"""Pictures of accuracy: intervals, and which class is taken for which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgetl.report import pictures
from edgetl.report.pictures import WIDTH, Picture
from edgetl.report.pictures_axes import Axis, axis_over

__all__ = ["MOST_CLASSES", "Share", "confusion", "drop", "shares"]

LEFT, RIGHT, ROW = 130.0, WIDTH - 74.0, 22.0
MOST_CLASSES, NUMBERED = 40, 16
"""Of a drawn confusion matrix, and of one whose cells have room for a number."""

Share = tuple[str, float, tuple[float, float] | None, bool]
"""A name, a share from 0 to 1 with its interval, and whether it is the one to look at."""


def shares(rows: Sequence[Share], title: str, label: str, note: str) -> Picture:
    """A dot and its interval a row, in percent."""
    ends = [100 * value for _, share, interval, _ in rows for value in (interval or (share, share))]
    low = max(min(ends) - 2, 0.0)
    axis = Axis(
        low, max(ends) + (0.5 if max(ends) <= 99.5 else 0.0) if max(ends) > low else low + 1, LEFT, RIGHT
    )
    bottom = 8 + ROW * len(rows)
    drawn = _upright(axis, 4, bottom, label)
    for place, (name, share, interval, is_first) in enumerate(rows):
        y = 4 + ROW * (place + 0.5)
        low, high = interval or (share, share)
        drawn += pictures.text(
            LEFT - 10, y + 4, pictures.shortened(name, 18), "bold" if is_first else "", anchor="end"
        )
        drawn += pictures.line(
            axis.at(100 * low), y, axis.at(100 * high), y, "s0 thick" if is_first else "s5 thick"
        )
        told = f"{name}: {100 * share:.1f} %, 95 % interval [{100 * low:.1f}, {100 * high:.1f}]"
        drawn += pictures.marker(0 if is_first else 5, axis.at(100 * share), y, size=4.5, told=told)
        drawn += pictures.text(RIGHT + 12, y + 4, f"{100 * share:.1f} %", "bold" if is_first else "soft")
    return Picture(title, note, bottom + 40, drawn)


def drop(
    points: float,
    interval: tuple[float, float],
    budget: float | None,
    title: str,
    of: str = "points of top-1",
) -> Picture:
    """What was lost against f32, with its interval, against the budget; ``of`` is what it is counted in."""
    ends = [0.0, points, *interval, *([] if budget is None else [budget])]
    axis = axis_over(ends, 30.0, WIDTH - 30.0, margin=0.1)
    drawn = _upright(axis, 22, 66, f"{of} lost against f32")
    if budget is not None:
        place = axis.at(budget)
        drawn += pictures.line(place, 16, place, 66, "limit", dash="5 3")
        drawn += pictures.text(place, 12, f"budget {budget:.4g}", "bad", anchor="middle")
    drawn += pictures.line(axis.at(0.0), 22, axis.at(0.0), 66, "axis")
    drawn += pictures.line(axis.at(interval[0]), 44, axis.at(interval[1]), 44, "s0 thick")
    for end in interval:
        drawn += pictures.line(axis.at(end), 38, axis.at(end), 50, "s0 thick")
    drawn += pictures.marker(0, axis.at(points), 44, size=5, told=f"{points:+.2f} points")
    return Picture(title, "the dot is what was measured, the bar its 95 % interval", 104, drawn)


def confusion(cells: Sequence[tuple[int, int, int]], names: Sequence[str]) -> Picture:
    """A row for each class, a column for each answer; the darker, the larger the share of its row.

    Parameters
    ----------
    cells : (class, answer, pictures), those above zero. names : at most ``MOST_CLASSES``.
    """
    counts = {(label, answer): count for label, answer, count in cells}
    totals = {
        row: sum(count for (label, _), count in counts.items() if label == row) for row in range(len(names))
    }
    size = min((WIDTH - 110.0) / len(names), 72.0)
    left, top = 100.0, 20.0
    drawn = pictures.text(left, 12, "answered", "soft")
    for row, name in enumerate(names):
        y = top + size * row
        drawn += pictures.text(left - 6, y + size / 2 + 4, pictures.shortened(name, 14), anchor="end")
        for column in range(len(names)):
            count = counts.get((row, column), 0)
            drawn += _cell(
                left + size * column,
                y,
                size,
                count,
                totals[row],
                f"{name} answered as {names[column]}: {count} of {totals[row]}",
                numbered=len(names) <= NUMBERED,
            )
    bottom = top + size * len(names)
    for column, name in enumerate(names):
        x = left + size * (column + 0.5)
        drawn += pictures.text(x + 4, bottom + 8, pictures.shortened(name, 14), anchor="end", turned=True)
    deepest = max((min(len(name), 14) for name in names), default=1)
    return Picture(
        _confusion_title(counts, totals, names),
        "rows are the true classes, columns the answers; darker is a larger share of the row",
        bottom + 16 + 6.6 * deepest,
        drawn,
    )


def _cell(x: float, y: float, size: float, count: int, total: int, told: str, *, numbered: bool) -> str:
    share = count / total if total else 0.0
    drawn = pictures.rect(x + 0.5, y + 0.5, size - 1, size - 1, 0, opacity=0.06 + 0.9 * share, told=told)
    if numbered and count:
        drawn += pictures.text(
            x + size / 2, y + size / 2 + 4, str(count), "on" if share > 0.45 else "", anchor="middle"
        )
    return drawn


def _confusion_title(
    counts: Mapping[tuple[int, int], int], totals: Mapping[int, int], names: Sequence[str]
) -> str:
    wrong = {pair: count for pair, count in counts.items() if pair[0] != pair[1]}
    if not wrong:
        return "No class is taken for another"
    (label, answer), count = max(wrong.items(), key=lambda item: (item[1], -totals[item[0][0]]))
    if count == 1 and len(wrong) > 1:
        return f"{len(wrong)} pairs of classes are confused, none more than once"
    return f"{names[label]} is taken for {names[answer]} most often: {count} of {totals[label]}"


def _upright(axis: Axis, top: float, bottom: float, label: str) -> str:
    """A horizontal axis with lines up to the top."""
    drawn = ""
    for value in axis.marks(5):
        place = axis.at(value)
        drawn += pictures.line(place, top, place, bottom, "grid")
        drawn += pictures.text(place, bottom + 15, f"{value:g}", "soft", anchor="middle")
    drawn += pictures.line(axis.start, bottom, axis.end, bottom, "axis")
    return drawn + pictures.text((axis.start + axis.end) / 2, bottom + 32, label, "soft", anchor="middle")
