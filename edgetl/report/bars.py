"""A bar chart as SVG: no library, the same bytes for the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

__all__ = ["bars"]

_ROW, _LEFT, _BAR, _RIGHT, _TOP = 20, 300, 320, 120, 44


def bars(title: str, rows: Sequence[tuple[str, float, str]], *, note: str = "") -> str:
    """Horizontal bars, one a row.

    Parameters
    ----------
    rows : label, length (at least 0; the longest fills the width), and what is written behind the bar.
    note : a line below the title.
    """
    width, height = _LEFT + _BAR + _RIGHT, _TOP + _ROW * len(rows) + 12
    longest = max((length for _, length, _ in rows), default=0.0) or 1.0
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="18" font-size="14" fill="#1a1a1a">{escape(title)}</text>',
        f'<text x="12" y="34" fill="#5a5a5a">{escape(note)}</text>',
    ]
    for place, (label, length, told) in enumerate(rows):
        y = _TOP + place * _ROW
        reach = _BAR * length / longest
        parts += [
            f'<text x="{_LEFT - 8}" y="{y + 14}" text-anchor="end" fill="#1a1a1a">{escape(_short(label))}</text>',
            f'<rect x="{_LEFT}" y="{y + 3}" width="{reach:.1f}" height="{_ROW - 6}" fill="#2f6fb0"/>',
            f'<text x="{_LEFT + reach + 6:.1f}" y="{y + 14}" fill="#5a5a5a">{escape(told)}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def _short(label: str, most: int = 40) -> str:
    return label if len(label) <= most else f"{label[: most // 2 - 1]}…{label[-(most // 2) :]}"
