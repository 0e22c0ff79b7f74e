"""Writes the tables of README.md from ``benchmarks/results/*.json``, between the marks that name a file.

``python benchmarks/tables.py`` rewrites the README; ``--check`` says whether it is what the files give (exit 1 if not).
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

__all__ = ["render", "table"]

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"(<!-- results: (?P<names>[\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
JUDGED = re.compile(r"^[A-Z]\d+ ")


def render(text: str, folder: Path) -> str:
    """The README with each marked block made anew.

    Raises
    ------
    FileNotFoundError : a block names a results file that is not there.
    """

    def block(found: re.Match[str]) -> str:
        names = found["names"].split()
        bodies = [json.loads((folder / f"{name}.json").read_text()) for name in names]
        return f"{found[1]}{table(bodies)}{found[3]}"

    return BLOCK.sub(block, text)


def table(bodies: list[dict[str, Any]]) -> str:
    """Rows that a target judges, then on which machine and when they were measured."""
    lines = ["| what | measured | target | |", "|---|---|---|---|"]
    for body in bodies:
        for row in body["rows"]:
            if row["target"] and JUDGED.match(row["what"]):
                lines.append(f"| {row['what']} | {_value(row)} | {row['target']} | {_verdict(row)} |")
    days: dict[str, set[str]] = {}
    for body in bodies:
        days.setdefault(_machine(body["context"]), set()).add(body["context"]["date"][:10])
    measured = [f"Measured on {machine}, {' and '.join(sorted(on))}." for machine, on in days.items()]
    return "\n".join([*lines, "", *measured, ""])


def _value(row: dict[str, Any]) -> str:
    if row["value"] is None:
        return "not measured"
    low_high = row["ci95"]
    spread = f" [{_short(low_high[0])}, {_short(low_high[1])}]" if low_high else ""
    unit = "" if row["unit"] == "ratio" else f" {row['unit']}"
    return f"{_short(row['value'])}{spread}{unit}"


def _short(value: float) -> str:
    return f"{value:.3g}"


def _verdict(row: dict[str, Any]) -> str:
    said = {True: "met", False: "**missed**", None: "not judged"}[row["met"]]
    return f"{said} ({row['note']})" if row["note"] and row["met"] is not True else said


def _machine(context: dict[str, Any]) -> str:
    versions = context["versions"]
    tools = ", ".join(
        f"{name} {versions[name]}" for name in ("openvino", "onnxruntime") if versions.get(name)
    )
    cores = context["usable_cores"]
    isa = "/".join(context["isa"][-2:]) or "no vector extension known"
    return f"{context['cpu']} ({isa}), {cores} {'core' if cores == 1 else 'cores'}, {tools}"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument(
        "--check", action="store_true", help="change nothing; exit 1 where README.md differs"
    )
    readme = ROOT / "README.md"
    before = readme.read_text(encoding="utf-8")
    after = render(before, ROOT / "benchmarks/results")
    if options.parse_args().check:
        sys.exit(before != after)
    readme.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    main()
