"""The last block that a build prints, from the same data that ``--json`` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgetl.candidate import spoken
from edgetl.report import hosts, rivals, tasks, training

__all__ = ["accuracy_lines", "bytes_text", "lines", "table"]


def bytes_text(size: float) -> str:
    """A size with its unit, powers of ten.

    >>> bytes_text(6_100_000)
    '6.1 MB'
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size:.0f} B"


def _ms(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2f} ms"


def table(result: Mapping[str, Any]) -> list[str]:
    """One row a candidate: accuracy, latency, size, a remark; the shipped one is marked."""
    names = {name: spoken(name) for name in result["size_bytes"]}
    wide = max(12, *map(len, names.values()))
    shown = [(f"{heading:>{max(9, len(heading))}}", of) for heading, of in tasks.columns(result)]
    headings = " ".join(heading for heading, _ in shown)
    rows = [f"  {'':<{wide}} {headings} {'p50':>12} {'p90':>12} {'size':>10}"]
    for name, said in names.items():
        latency = result["latency_ms"].get(name) or {}
        mark = "▸" if result["shipped"].get("candidate") == name else " "
        phrase, *below = result["remarks"].get(name) or [""]
        figures = " ".join(f"{of[name]:>{len(heading)}}" for heading, of in shown)
        rows.append(
            f"{mark} {said:<{wide}} {figures} "
            f"{_ms(latency.get('p50')):>12} {_ms(latency.get('p90')):>12} "
            f"{bytes_text(result['size_bytes'][name]):>10}     {phrase}".rstrip()
        )
        rows += [f"  {'':<{wide}} {line}" for line in below]
    return rows


def accuracy_lines(result: Mapping[str, Any]) -> list[str]:
    """The drop against its budget, the class that fares worst, how scores rank, and what a threshold does."""
    accuracy = result["accuracy"]
    if accuracy.get("tasks"):
        return tasks.lines(accuracy)
    out = [f"  {accuracy['sentence']}"]
    if accuracy.get("worst_class"):
        out.append(f"  {accuracy['worst_class']}")
    out += [f"  {line}" for line in accuracy.get("ranking", ())]
    for number, line in enumerate(accuracy.get("decision", ())):
        out.append(f"  {'' if number else 'threshold':<9} {line}")
    return out


def lines(result: Mapping[str, Any], *, told: str = "") -> list[str]:
    """The whole block, first line to last.

    Parameters
    ----------
    told : what was printed before; a note that is part of it is not repeated.
    """
    pending = result.get("pending")
    out = [""]
    if pending:
        out += [f"  engine: pending · {pending['reason']}", ""]
    out += table(result)
    out += accuracy_lines(result)
    if result.get("adaptation"):
        out.append(f"  adapted {result['adaptation']['sentence']}")
        out += [f"  {'':<7} {line}" for line in result["adaptation"]["lines"]]
    if result["shipped"]["candidate"] != "default":  # else the row of what did not ship says it
        out.append(f"  shipped {spoken(result['shipped']['candidate'])}: {result['shipped']['reason']}")
    out += rivals.lines(result)
    out += training.lines(result)
    out += [f"  note    {note}" for note in result.get("notes", ()) if note not in told]
    out += hosts.lines(result["hosts"]) if result.get("hosts") else []
    out += ["", f"  bundle  {result['bundle']}   ({result['latest']})"]
    steps = pending["next"] if pending else result["next"]
    out += [f"  {'next' if index == 0 else '':<7} {step}" for index, step in enumerate(steps)]
    return out
