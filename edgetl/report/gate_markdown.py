"""What a gate came to, as Markdown: for the summary of a CI job or a comment on a change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgetl.report.gate_lines import doubts, latency_rows

__all__ = ["page"]


def page(data: Mapping[str, Any]) -> str:
    """A table of all models, then what each rests on."""
    rule = data["rule"]
    parts = [
        f"## edgetl gate: {data['verdict'].upper()}",
        "",
        f"{rule['metric']}, tolerance {100 * rule['tolerance']:g} %, 95 % intervals that hold at every look.",
        "",
        f"| model | verdict | difference | interval | baseline {rule['metric']} | candidate {rule['metric']} | pairs |",
        "|---|---|---:|---|---:|---:|---:|",
        *(_row(model, rule["metric"]) for model in data["models"]),
    ]
    for model in data["models"]:
        parts += ["", f"### {_escaped(model['name'])}", "", f"{_escaped(model['sentence'])}.", ""]
        parts += [f"- {side}: {row}" for side, row in latency_rows(model)]
        parts += [f"- {_escaped(held['sentence'])}" for held in model["limits"]]
        parts += [f"- changed: {_escaped(change)}" for change in model["around"]]
        parts += [f"- doubt: {_escaped(doubt)}" for doubt in doubts(model, rule)]
        if model["layers"]:
            parts += ["", "<details><summary>layers that changed</summary>", ""]
            parts += [f"- {_escaped(layer)}" for layer in model["layers"]]
            parts += ["", "</details>"]
    if data["left_out"]:
        parts += ["", f"{data['left_out']} more were not measured."]
    return "\n".join([*parts, ""])


def _row(model: Mapping[str, Any], metric: str) -> str:
    interval = model["interval"]
    cells = [
        _escaped(model["name"]),
        f"**{model['verdict'].upper()}**",
        "n/a" if model["ratio"] is None else f"{100 * (model['ratio'] - 1):+.1f} %",
        "n/a" if interval is None else f"{100 * (interval[0] - 1):+.1f} to {100 * (interval[1] - 1):+.1f} %",
        *(_milliseconds(model["latency_ms"].get(side), metric) for side in ("baseline", "candidate")),
        str(model["pairs"]),
    ]
    return f"| {' | '.join(cells)} |"


def _milliseconds(found: Mapping[str, float | None] | None, metric: str) -> str:
    value = None if found is None else found[metric]
    return "n/a" if value is None else f"{value:.3f} ms"


def _escaped(text: str) -> str:
    """Text that Markdown and HTML leave as it is.

    >>> _escaped("a|b <c> _d_")
    'a\\\\|b &lt;c&gt; \\\\_d\\\\_'
    """
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{letter}" if letter in "\\`*_|[]#" else letter for letter in safe)
