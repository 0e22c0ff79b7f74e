"""Draws kernels/fused_head.svg: how the head's bytes flow, and the floors of ``benchmarks/results/head.json``."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

from _results import FOLDER

Results = dict[str, Any]
"""A results file."""

OUT = Path(__file__).parent.parent / "kernels" / "fused_head.svg"
SHOWN = ("ResNet-50", "MobileNetV2")
WIDTH, LEFT, RIGHT = 960, 210, 800
FLOW, STEP, BAR = 316, 34, 11
"""Height of the flow, and of a board's two bars."""
STYLE = """
text { font: 14px sans-serif; fill: #1b2733 } .title { font-weight: bold } .small { font-size: 12px; fill: #55606b }
rect { stroke: #55606b; rx: 4 } .memory { fill: #e8ecf0 } .block { fill: #dcebfa } .shared { fill: #fff }
path { stroke: #1b2733; fill: none; marker-end: url(#tip) } .back { stroke-dasharray: 4 3 }
.first { fill: #2f6fb3; stroke: none } .second { fill: #e08a2c; stroke: none }
"""


def main() -> None:
    OUT.write_text(drawn(json.loads((FOLDER / "head.json").read_text(encoding="utf-8"))), encoding="utf-8")
    print(f"wrote {OUT.name}")


def drawn(results: Results) -> str:
    """The whole picture."""
    rows = floors(results)
    height = FLOW + 80 + STEP * len(rows)
    size = f'width="{WIDTH}" height="{height}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {size}>',
            f"<style>{STYLE}</style>",
            '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">',
            '<path d="M0 0 L8 4 L0 8" style="fill:#1b2733;marker-end:none"/></marker></defs>',
            f'<rect {size} style="fill:#fff;stroke:none"/>',
            flow(),
            bars(rows),
            "</svg>\n",
        ]
    )


def floors(results: Results) -> dict[str, list[float]]:
    """Microseconds of batch 1 of each Jetson, by network, the fastest board last."""
    kept = results["raw"]["byte floor in microseconds, by batch"]
    boards = dict.fromkeys(key.split(", ")[0] for key in kept if key.startswith("jetson"))
    found = {board: [kept[f"{board}, {name}"]["1"] for name in SHOWN] for board in boards}
    return dict(sorted(found.items(), key=lambda item: -item[1][0]))


def flow() -> str:
    """From memory through a block to the answer."""
    return "\n".join(
        [
            words(20, 28, "One launch: every block pools for itself, and takes a slice of the classes", "title"),
            box(20, 71, 170, 70, "memory", "features", "N x C x H x W"),
            box(20, 170, 170, 70, "memory", "weights, bias", "classes x C, once a tile"),
            box(250, 46, 330, 206, "block"),
            words(264, 66, "block: a slice of classes x 1 or 4 images", "small"),
            box(270, 78, 140, 56, "shared", "pool", "means, shared memory"),
            box(270, 178, 140, 56, "shared", "a warp a class", "dot products, FP32"),
            box(430, 178, 136, 56, "shared", "of the slice", "max, sum exp, top-k"),
            box(640, 178, 130, 56, "memory", "workspace", "a few kB, in L2"),
            box(640, 78, 130, 56, "block", "the last block", "merges the slices"),
            box(830, 78, 115, 56, "memory", "answer", "top-k, status"),
            arrow(190, 106, 268, 106), arrow(190, 206, 268, 206), arrow(340, 134, 340, 176), arrow(410, 206, 428, 206),
            arrow(566, 206, 638, 206), arrow(705, 178, 705, 136), arrow(770, 106, 828, 106),
            words(348, 160, "barrier", "small"), words(713, 160, "ticket", "small"),
            words(20, 286, "Blocks beyond the first find the features in L2, most likely; nothing between the layers "
                  "goes back to memory.", "small"),
        ]
    )  # fmt: skip


def bars(rows: dict[str, list[float]]) -> str:
    """Two bars a board; an axis would say no more than their figures."""
    scale = (RIGHT - LEFT) / max(max(values) for values in rows.values())
    told = "Floor at batch 1, FP16, 1000 classes: bytes / bandwidth of the data sheet, us (computed, not measured)"
    drawn = [words(20, FLOW + 20, told, "title")]
    for number, (name, kind) in enumerate(zip(SHOWN, ("first", "second"))):
        x = 20 + 130 * number
        drawn += [
            f'<rect x="{x}" y="{FLOW + 34}" width="12" height="12" class="{kind}"/>',
            words(x + 18, FLOW + 45, name),
        ]
    for number, (board, values) in enumerate(rows.items()):
        top = FLOW + 62 + STEP * number
        drawn.append(words(20, top + BAR + 4, board))
        for place, (value, kind) in enumerate(zip(values, ("first", "second"))):
            y, wide = top + place * (BAR + 2), value * scale
            drawn.append(f'<rect x="{LEFT}" y="{y}" width="{wide:.1f}" height="{BAR}" class="{kind}"/>')
            drawn.append(words(LEFT + wide + 6, y + BAR - 1, f"{value:.1f}", "small"))
    return "\n".join(drawn)


def box(x: int, y: int, wide: int, high: int, kind: str, *lines: str) -> str:
    """A rectangle with its lines in the middle."""
    kinds = "", "small"
    start = y + high / 2 - 9 * len(lines) + 14
    inside = [
        f'<text x="{x + wide / 2}" y="{start + 18 * number}" text-anchor="middle" class="{kinds[min(number, 1)]}">'
        f"{escape(line)}</text>"
        for number, line in enumerate(lines)
    ]
    return f'<rect x="{x}" y="{y}" width="{wide}" height="{high}" class="{kind}"/>' + "".join(inside)


def arrow(x: int, y: int, to_x: int, to_y: int) -> str:
    """A straight one."""
    return f'<path d="M{x} {y} L{to_x} {to_y}"/>'


def words(x: float, y: float, text: str, kind: str = "") -> str:
    """A line of text from its left end."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(text)}</text>'


if __name__ == "__main__":
    main()
