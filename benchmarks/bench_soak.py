"""C6: one core is taken away for 10 s in a soak of 60 s; does the soak find it, and nothing else?

``edgetl bench --soak`` runs as its users run it; a program that spins is pinned to one core beside it. Every second
of every soak is kept.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import _shipped
from _results import Results, parser

from edgetl import stats

COUNT = 20
SECONDS, STOLEN = 60, 10
SLACK = 3.0
"""Seconds by which the ends of what was found may be off: a soak looks once a second."""
SPIN = """\
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
end = time.perf_counter() + float(sys.argv[2])
while time.perf_counter() < end:
    pass
"""


def soak(bundle: Path, seconds: int, stolen: int, after: float, core: int) -> dict[str, Any]:
    """Run one, with a core taken away so many seconds after its first; what it found, and when it was taken."""
    command = [sys.executable, "-m", "edgetl", "bench", str(bundle), "--soak", f"{seconds}s", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        time.sleep(after)
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", SPIN, str(core), str(stolen)], check=True)
        took = time.perf_counter() - begun
        told, _ = process.communicate()
        began = time.perf_counter() - seconds  # of the soak: starting takes longer than ending
    found = json.loads(told)
    return {
        "taken_s": [begun - began, begun - began + took],
        "slow": found["slow"],
        "disturbed": found["disturbed"],
        "verdict": found["verdict"],
        "p50_ns": [round(one["p50_ns"]) for one in found["measurement"]["seconds"]],
        "mean_ns": [round(one["mean_ns"]) for one in found["measurement"]["seconds"]],
        "others": [round(one["others"] or 0, 3) for one in found["measurement"]["seconds"]],
    }


def caught(run: dict[str, Any]) -> dict[str, Any] | None:
    """The period with these two ends that was told, with its cause; ``None``: there is none."""
    first, last = run["taken_s"]
    for one in (*run["slow"], *run["disturbed"]):
        if one["because"] and max(abs(one["from_s"] - first), abs(one["to_s"] - last)) <= SLACK:
            return dict(one)
    return None


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--count", type=int, default=COUNT, help="soaks, 20 for the target")
    options = made.parse_args()
    results = Results("soak", quick=options.quick)
    count, seconds, stolen = (1, 15, 4) if options.quick else (options.count, SECONDS, STOLEN)
    rng = random.Random(0)
    runs = []
    with tempfile.TemporaryDirectory() as place:
        bundle = _shipped.write(Path(place))
        for _ in range(count):
            after = rng.uniform(5, seconds - stolen - 3)
            runs.append(soak(bundle, seconds, stolen, after, core=rng.randrange(2)))
            first, last = runs[-1]["taken_s"]
            print(f"taken from {first:.1f} to {last:.1f} s: {caught(runs[-1])}", flush=True)
    results.keep("soaks", runs)
    found = [caught(run) for run in runs]
    hits = sum(one is not None for one in found)
    slowed = sum(one in run["slow"] for one, run in zip(found, runs))
    results.row(
        f"C6 one core stolen for {stolen} s in a soak of {seconds} s is found",
        hits / count,
        "share",
        ci95=stats.wilson(hits, count),
        n=count,
        target="20 of 20",
        met=hits == count if count >= COUNT else None,
        note="" if count >= COUNT else f"{hits} of {count} so far: --count {COUNT} judges",
    )
    results.row("of these, the engine was more than 10 % slower", slowed, "soaks", n=count)
    others = sum(len(run["slow"]) for run in runs) - slowed
    results.row("other slow periods in those soaks", others, "periods", n=count, note="the machine is shared")
    results.write()


if __name__ == "__main__":
    main()
