"""Pictures as SVG, of our own making: the same bytes for the same numbers, light and dark, and told apart in grey.

A picture is drawn narrow, so that it can be read on a phone; on a wide screen two stand side by side. Colours are CSS
variables of ``STYLE``; each series also has a dash, a marker and a hatch of its own.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape as escaped_markup

__all__ = [
    "DEFS",
    "STYLE",
    "WIDTH",
    "Picture",
    "circle",
    "escape",
    "legend",
    "line",
    "marker",
    "path",
    "rect",
    "shortened",
    "swatch",
    "text",
]

WIDTH = 460
"""Of every picture, in its own units: about as many pixels on a screen."""
SERIES = 6
DASHES = ("", "6 3", "2 3", "8 3 2 3", "12 4", "1 4")
_LINE = 17
_CHARACTER = 6.4
"""Width of a character of the legend, about."""

STYLE = """
:root { --paper: #ffffff; --ink: #1b1f24; --soft: #57606a; --line: #d5dae0; --good: #0b6e4f; --bad: #b42318;
  --s0: #0b62a4; --s1: #c4510c; --s2: #1f8a70; --s3: #8e3b8a; --s4: #8a6d00; --s5: #5c6670; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171b; --ink: #e8eaed; --soft: #a2abb5; --line: #363c44;
  --good: #56d3a4; --bad: #ff8f80; --s0: #6cb6ff; --s1: #ffa066; --s2: #5fd7b5; --s3: #e39be0; --s4: #e6cf5c;
  --s5: #b3bcc6; } }
@media print { :root { --paper: #ffffff; --ink: #000000; --soft: #444444; --line: #bbbbbb; --good: #0b6e4f;
  --bad: #b42318; --s0: #0b62a4; --s1: #c4510c; --s2: #1f8a70; --s3: #8e3b8a; --s4: #8a6d00; --s5: #5c6670; } }
svg.picture { font: 12px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
svg.picture text { fill: var(--ink); } svg.picture text.soft { fill: var(--soft); }
svg.picture text.bold { font-weight: 600; } svg.picture text.title { font-size: 14px; font-weight: 600; }
svg.picture text.on { fill: var(--paper); } svg.picture text.bad { fill: var(--bad); font-weight: 600; }
svg.picture .grid { stroke: var(--line); stroke-width: 1; } svg.picture .axis { stroke: var(--soft); }
svg.picture .paper { fill: var(--paper); stroke: none; } svg.picture .limit { stroke: var(--bad); stroke-width: 1.5; }
svg.picture .front { stroke: var(--soft); stroke-width: 1.5; stroke-dasharray: 3 3; fill: none; }
svg.picture text.halo { paint-order: stroke; stroke: var(--paper); stroke-width: 3px; }
svg.picture .thin { stroke-width: 1; } svg.picture .thick { stroke-width: 2.5; }
""" + "".join(
    f"svg.picture .s{k} {{ stroke: var(--s{k}); fill: none; }} "
    f"svg.picture .f{k} {{ fill: var(--s{k}); stroke: var(--s{k}); }}\n"
    for k in range(SERIES)
)

_HATCHES = (
    "",
    '<path d="M0 8 L8 0 M-2 2 L2 -2 M6 10 L10 6" class="hatch"/>',
    '<path d="M4 0 V8" class="hatch"/>',
    '<path d="M0 0 L8 8 M-2 6 L2 10 M6 -2 L10 2" class="hatch"/>',
    '<path d="M0 4 H8" class="hatch"/>',
    '<circle cx="4" cy="4" r="1.6" class="dot"/>',
)
DEFS = (
    '<svg width="0" height="0" style="position:absolute" aria-hidden="true"><defs>'
    + "".join(
        f'<pattern id="hatch{k}" width="8" height="8" patternUnits="userSpaceOnUse">'
        f'<rect width="8" height="8" style="fill:var(--s{k});stroke:none"/>{mark}</pattern>'
        for k, mark in enumerate(_HATCHES)
    )
    + "</defs><style>.hatch{stroke:var(--paper);stroke-width:1.6;fill:none}.dot{fill:var(--paper)}</style></svg>"
)
"""The hatches, once for a page: pictures refer to them."""


_NO_XML = {
    code: "\ufffd"
    for code in (*range(32), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF)
    if chr(code) not in "\t\n\r"
}
"""Characters that no XML file may hold, not even escaped."""


def escape(content: str) -> str:
    """Text for an element or a quoted attribute."""
    return escaped_markup(content.translate(_NO_XML), {'"': "&quot;", "'": "&#39;"})


@dataclass(frozen=True)
class Picture:
    """A drawing without its title, which a page sets as text of its own.

    Attributes
    ----------
    title : the finding, one sentence. note : how to read it.
    height : in the units of ``WIDTH``. body : SVG elements, every text in them escaped.
    """

    title: str
    note: str
    height: float
    body: str

    def inline(self) -> str:
        """An ``svg`` element for a page that has ``STYLE`` and ``DEFS``."""
        return self._svg(0.0, "", "")

    def file(self) -> str:
        """A whole SVG file, with its title, its style and a ground."""
        lines = [(row, "title") for row in textwrap.wrap(self.title, 50)]
        lines += [(row, "soft") for row in textwrap.wrap(self.note, 68)]
        top = _LINE * len(lines) + 10.0
        head = "".join(text(10, 18 + _LINE * place, row, kind) for place, (row, kind) in enumerate(lines))
        ground = f'<rect width="{WIDTH}" height="{self.height + top:g}" class="paper"/>'
        return self._svg(
            top, f"<style>{STYLE}</style>{DEFS}{ground}{head}", ' xmlns="http://www.w3.org/2000/svg"'
        )

    def _svg(self, top: float, head: str, more: str) -> str:
        label = escape(f"{self.title}. {self.note}")
        return (
            f'<svg class="picture" role="img" viewBox="0 0 {WIDTH} {self.height + top:g}" aria-label="{label}"{more}>'
            f'{head}<g transform="translate(0 {top:g})">{self.body}</g></svg>\n'
        )


def text(
    x: float, y: float, content: str, kind: str = "", *, anchor: str = "start", turned: bool = False
) -> str:
    """A line of text; ``turned`` reads upwards."""
    turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}"{turn}>{escape(content)}</text>'
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str, *, dash: str = "") -> str:
    """A straight line."""
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"{dashed}/>'


def path(points: Iterable[tuple[float, float]], kind: str, *, dash: str = "") -> str:
    """A line through points."""
    drawn = " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<path d="M{drawn}" class="{kind}" fill="none"{dashed}/>' if drawn else ""


def rect(
    x: float, y: float, width: float, height: float, series: int, *, opacity: float = 1.0, told: str = ""
) -> str:
    """A box in the colour and the hatch of a series, or plain and faint; ``told`` shows under a pointer."""
    fill = f"url(#hatch{series % SERIES})" if opacity == 1.0 else f"var(--s{series % SERIES})"
    tip = f"<title>{escape(told)}</title>" if told else ""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.0):.1f}" height="{height:.1f}" '
        f'style="fill:{fill};fill-opacity:{opacity:.3g}">{tip}</rect>'
    )


def circle(x: float, y: float, radius: float, kind: str) -> str:
    """A dot."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" class="{kind}"/>'


def marker(
    series: int, x: float, y: float, *, size: float = 4.0, hollow: bool = False, told: str = ""
) -> str:
    """The mark of a series: a dot, a square, a triangle, a diamond, a cross, a triangle on its tip."""
    k = series % SERIES
    s = size
    shapes = (
        f"M{x - s:.1f} {y:.1f} a{s:g} {s:g} 0 1 0 {2 * s:g} 0 a{s:g} {s:g} 0 1 0 {-2 * s:g} 0 Z",
        f"M{x - s:.1f} {y - s:.1f} h{2 * s:g} v{2 * s:g} h{-2 * s:g} Z",
        f"M{x:.1f} {y - 1.2 * s:.1f} l{1.2 * s:g} {2.1 * s:g} h{-2.4 * s:g} Z",
        f"M{x:.1f} {y - 1.3 * s:.1f} l{1.3 * s:g} {1.3 * s:g} l{-1.3 * s:g} {1.3 * s:g} l{-1.3 * s:g} {-1.3 * s:g} Z",
        f"M{x - s:.1f} {y - s:.1f} l{2 * s:g} {2 * s:g} m0 {-2 * s:g} l{-2 * s:g} {2 * s:g}",
        f"M{x:.1f} {y + 1.2 * s:.1f} l{1.2 * s:g} {-2.1 * s:g} h{-2.4 * s:g} Z",
    )
    tip = f"<title>{escape(told)}</title>" if told else ""
    return f'<path d="{shapes[k]}" class="{"s" if hollow else "f"}{k}" stroke-width="1.5">{tip}</path>'


def swatch(series: int, x: float, y: float, kind: str) -> str:
    """What stands for a series in a legend: its ``line``, ``box`` or ``mark``."""
    if kind == "box":
        return rect(x, y - 9, 16, 10, series)
    dash = DASHES[series % SERIES]
    drawn = line(x, y - 4, x + 18, y - 4, f"s{series % SERIES} thick", dash=dash) if kind == "line" else ""
    return drawn + (marker(series, x + 9, y - 4) if kind == "mark" else "")


def legend(names: Sequence[tuple[str, int]], y: float, kind: str, *, left: float = 10.0) -> tuple[str, float]:
    """Names beside what stands for them, in as many rows as they take.

    Returns
    -------
    SVG elements, and the height that they take.
    """
    drawn, x, row = "", left, y
    for name, series in names:
        wide = 32 + _CHARACTER * len(name)
        if x > left and x + wide > WIDTH:
            x, row = left, row + _LINE
        drawn += swatch(series, x, row, kind) + text(x + 24, row, name)
        x += wide + 8
    return drawn, row - y + _LINE


def shortened(name: str, most: int) -> str:
    """A name with its middle left out where it is longer."""
    if len(name) <= most:
        return name
    head = 2 * (most - 1) // 3
    return f"{name[:head]}…{name[len(name) - (most - 1 - head) :]}"
