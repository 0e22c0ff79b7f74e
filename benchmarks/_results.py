"""Writes ``benchmarks/results/<what>.json``: raw samples, and one row for each target of an issue.

A program makes one ``Results``, keeps raw samples in it, adds rows, and writes it at the end::

    results = Results("latency", quick=options.quick)
    results.keep("mobilenet_v2/int8", samples)
    results.ratio("A1 mobilenet_v2", ratio=0.93, ci95=(0.92, 0.94), instances=12, at_most=1.0)
    results.write()
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec

from edgetl import stats
from edgetl.bench import context

__all__ = ["FOLDER", "INSTANCES", "SCHEMA", "Results", "needed_data", "parser", "shared_data"]

SCHEMA = 1
FOLDER = Path(__file__).parent / "results"
INSTANCES = 12
"""Fresh engine instances a side below which a latency ratio is not judged."""
POINT_SLACK = 0.01
UPPER_SLACK = 0.03


class Results:
    """What one benchmark program found.

    Parameters
    ----------
    what : name of the file.
    quick : a smoke run: it is written as ``<what>.quick.json``, which git ignores, and judges nothing.
    also : further distributions (peers) whose versions belong to the result.
    threads : inference threads that every side was given; ``None`` leaves each vendor's default.
    """

    def __init__(
        self, what: str, *, quick: bool = False, also: Iterable[str] = (), threads: int | None = None
    ) -> None:
        self.what = what
        self.quick = quick
        self._context = {
            **msgspec.to_builtins(context.read(threads=threads, also=also)),
            "commit": _commit(),
            "date": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        self.commit: str | None = self._context["commit"]
        self._raw: dict[str, Any] = {}
        self._rows: list[dict[str, Any]] = []

    def keep(self, name: str, samples: Any) -> None:
        """Keep raw samples (JSON data or records) under a name."""
        self._raw[name] = msgspec.to_builtins(samples, str_keys=True)

    def row(
        self,
        what: str,
        value: float | None,
        unit: str,
        *,
        ci95: tuple[float, float] | None = None,
        n: int | None = None,
        target: str | None = None,
        met: bool | None = None,
        note: str = "",
    ) -> None:
        """Add one figure; ``met`` is ``None`` where nothing was aimed at or it was not measured here."""
        judged = None if self.quick else met
        self._rows.append(
            {
                "what": what,
                "value": value,
                "unit": unit,
                "ci95": list(ci95) if ci95 is not None else None,
                "n": n,
                "target": target,
                "met": judged,
                "note": note,
            }
        )
        spread = f" [{ci95[0]:.4g}, {ci95[1]:.4g}]" if ci95 is not None else ""
        shown = "n/a" if value is None else f"{value:.4g}"
        said = {True: "met", False: "NOT met", None: ""}[judged]
        print(f"{what}: {shown}{spread} {unit} {target or ''} {said} {note}".rstrip(), flush=True)

    def limit(self, what: str, value: float, unit: str, *, at_most: float, **rest: Any) -> None:
        """A figure that has to be at most a limit."""
        self.row(what, value, unit, target=f"<= {at_most}", met=value <= at_most, **rest)

    def ratio(
        self,
        what: str,
        *,
        ratio: float,
        ci95: tuple[float, float],
        instances: int,
        at_most: float,
        note: str = "",
    ) -> None:
        """A latency ratio: met when it is at most the limit + 0.01 and its interval ends below the limit + 0.03.

        Fewer than 12 fresh instances a side judge nothing.
        """
        met = ratio <= at_most + POINT_SLACK and ci95[1] < at_most + UPPER_SLACK
        if instances < INSTANCES:
            note = f"{note}; {instances} instances, {INSTANCES} needed to judge".lstrip("; ")
        self.row(
            what,
            ratio,
            "ratio",
            ci95=ci95,
            n=instances,
            target=f"<= {at_most}",
            met=met if instances >= INSTANCES else None,
            note=note,
        )

    def near_one(self, what: str, log_ratios: Sequence[float], *, within: float, note: str) -> None:
        """A ratio that has to be 1 but for a share: Hodges-Lehmann centre and interval of its log ratios."""
        ratio = math.exp(stats.hodges_lehmann(log_ratios))
        interval = stats.signed_rank_interval(log_ratios)
        self.row(
            what,
            ratio,
            "ratio",
            ci95=None if interval is None else (math.exp(interval[0]), math.exp(interval[1])),
            n=len(log_ratios),
            target=f"within {within:g} of 1",
            met=abs(ratio - 1) <= within,
            note=note,
        )

    def write(self, folder: Path = FOLDER) -> Path:
        """Write the file whole or not at all; returns where it is."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / (f"{self.what}.quick.json" if self.quick else f"{self.what}.json")
        body = {
            "schema": SCHEMA,
            "what": self.what,
            "context": self._context,
            "rows": self._rows,
            "raw": self._raw,
        }
        with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".partial", delete=False) as file:
            file.write(_readable(body))
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).chmod(0o644)
        Path(file.name).replace(path)
        print(f"wrote {path.name}", flush=True)
        return path


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark program has."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--quick", action="store_true", help="tiny settings: shows that the program works")
    return made


def shared_data() -> Path | None:
    """The folder of real data named by ``EDGETL_SHARED``, or ``None``."""
    place = os.environ.get("EDGETL_SHARED", "")
    return Path(place).resolve() / "data" if place and (Path(place) / "data").is_dir() else None


def needed_data() -> Path:
    """The folder of real data; ends the program where there is none."""
    data = shared_data()
    if data is None:
        sys.exit("EDGETL_SHARED does not name a folder with real data")
    return data


def _commit() -> str | None:
    """The commit that was measured, with ``+`` where tracked files differ from it."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", ":(top)edgetl", ":(top)calibration")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _readable(body: Mapping[str, Any]) -> str:
    """JSON that git can show: one line for each row and each list of samples."""
    rows = ",\n".join("    " + json.dumps(row, allow_nan=False) for row in body["rows"])
    raw = ",\n".join(
        f"    {json.dumps(name)}: {json.dumps(value, separators=(',', ':'), allow_nan=False)}"
        for name, value in body["raw"].items()
    )
    head = json.dumps({key: body[key] for key in ("schema", "what", "context")}, indent=2, allow_nan=False)
    return f'{head[:-2]},\n  "rows": [\n{rows}\n  ],\n  "raw": {{\n{raw}\n  }}\n}}\n'
