"""The command that fails when, and only when, an engine got slower."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from edgetl.cli import options, progress
from edgetl.cli.answer import give
from edgetl.errors import InputError

__all__ = ["amount", "register", "share"]

_HELP = """
Hold an engine against a baseline: exit 0 where it is not slower, 1 where it is, 3 where the time does not tell.

\b
  edgetl gate runs/latest --baseline runs/parts/20261101T080000Z --tolerance 3%
  edgetl gate runs/latest --baseline stored/gate.json --metric p99 --max-latency 12ms@p99
  edgetl gate a b --baseline a-before --baseline b-before --time-budget 10m

Fresh instances of both, in fresh processes and in pairs, take turns until the interval of their ratio lies to one
side of the tolerance. Exit 4: the baseline is of another device, shape or host. --out has gate.json, JUnit XML,
Markdown and a picture; its gate.json can be the --baseline of a later gate.
"""
UNITS = {
    "--max-memory": {"MiB": 1.0, "GiB": 1024.0, "MB": 1e6 / 2**20, "GB": 1e9 / 2**20, "": 1.0},
    "--max-energy": {"mJ": 1.0, "J": 1000.0, "": 1.0},
}
"""By option, what each unit is in the one that is measured in; without a unit it is that."""


def gate(
    candidates: Annotated[
        list[Path], typer.Argument(metavar="CANDIDATE...", help="Bundle folders, or .tar files.")
    ],
    baseline: Annotated[
        list[Path],
        typer.Option(
            "--baseline",
            metavar="BUNDLE|gate.json",
            help="What it must not be slower than; once a candidate, in their order.",
        ),
    ],
    tolerance: Annotated[
        str, typer.Option("--tolerance", metavar="PERCENT", help="By so much it may be slower.")
    ] = "3%",
    metric: Annotated[
        str,
        typer.Option(
            "--metric",
            metavar="p50|p90|p99",
            help="What is compared; p90 takes 64 runs of every instance, p99 662.",
        ),
    ] = "p50",
    time_budget: Annotated[
        str,
        typer.Option(
            "--time-budget",
            metavar="TIME",
            help="Of each model, 90s, 10m or 1h: what is open then is exit 3.",
        ),
    ] = "5m",
    max_latency: Annotated[
        str | None,
        typer.Option(
            "--max-latency",
            metavar="MS[@p90]",
            help="Exit 1 where the engine takes longer: 5ms is the median, 12ms@p99 (default: no limit).",
        ),
    ] = None,
    max_memory: Annotated[
        str | None,
        typer.Option(
            "--max-memory",
            metavar="SIZE",
            help="Exit 1 where a process that runs it takes more of the host: 300MiB (default: no limit).",
        ),
    ] = None,
    max_energy: Annotated[
        str | None,
        typer.Option(
            "--max-energy",
            metavar="ENERGY",
            help="Exit 1 where one inference takes more: 15mJ (default: no limit).",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where to write the files.")] = Path(
        "gate"
    ),
    seed: Annotated[
        int, typer.Option("--seed", min=0, metavar="N", help="Of the order in which instances take turns.")
    ] = 0,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    from edgetl import asked, gating
    from edgetl.bench.gate import Rule
    from edgetl.bench.limits import Limits
    from edgetl.types import PERCENTILES

    asked.choice(metric, PERCENTILES, "--metric")
    found = gating.compare(
        candidates,
        baseline,
        Rule(
            tolerance=share(tolerance),
            metric=next(known for known in PERCENTILES if known == metric),
            seconds=asked.time_budget(time_budget),
            seed=seed,
        ),
        Limits(
            latency=None if max_latency is None else asked.latency_budget(max_latency),
            memory_mib=amount(max_memory, "--max-memory"),
            energy_mj=amount(max_energy, "--max-energy"),
        ),
        out=out,
        progress=progress.sink(quiet=quiet or as_json),
    )
    give(found, as_json=as_json)


def share(text: str) -> float:
    """A share from a percentage.

    >>> share("3%"), share("0.5")
    (0.03, 0.005)
    """
    try:
        value = float(text.removesuffix("%").strip()) / 100
    except ValueError:
        value = math.nan
    if not 0 < value <= 1:
        raise InputError(
            f"--tolerance {text!r} is not a percentage above 0 and up to 100", hint="--tolerance 3%"
        )
    return value


def amount(text: str | None, option: str) -> float | None:
    """A quantity with its unit, in the unit of ``UNITS`` that is 1; ``None`` where none was given.

    >>> amount("1GiB", "--max-memory"), amount("0.2J", "--max-energy")
    (1024.0, 200.0)
    """
    if text is None:
        return None
    number = text.rstrip("BGJMim ").strip()
    factor = UNITS[option].get(text.strip()[len(number) :].strip())
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if factor is None or not 0 < value < math.inf:
        units = ", ".join(filter(None, UNITS[option]))
        raise InputError(
            f"{option} {text!r} is not a number above 0 with one of {units}",
            hint=f"{option} {'300MiB' if option == '--max-memory' else '15mJ'}",
        )
    return value * factor


def register(app: typer.Typer) -> None:
    """Put the command on the application."""
    app.command("gate", help=_HELP, rich_help_panel="Main")(gate)
