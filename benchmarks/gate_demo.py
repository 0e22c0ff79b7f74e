"""``make gate-demo``: an engine against itself must pass, the same engine with 5 % planted must fail.

Exit 0 where both came out right. The engine is that of ``runs/latest``, or of the bundle that is named.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import _slowed

from edgetl import gating
from edgetl.bench.comparison import fresh
from edgetl.bench.gate import Draw, Rule
from edgetl.bench.limits import Limits
from edgetl.cli import progress

PLANTED, TOLERANCE = 0.05, 0.03
SECONDS = 600.0


def gated(bundle: Path, out: Path, draw: Draw) -> str:
    """The verdict over the bundle against itself, told as ``edgetl gate`` tells it."""
    rule = Rule(tolerance=TOLERANCE, seconds=SECONDS)
    found = gating.compare(
        [bundle], [bundle], rule, Limits(), out=out, progress=progress.sink(quiet=False), draw=draw
    )
    print("\n".join(found.lines), flush=True)
    return str(found.data["verdict"])


def main() -> int:
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("bundle", type=Path, nargs="?", default=Path("runs/latest"))
    made.add_argument("--out", type=Path, default=Path("runs/gate-demo"))
    options = made.parse_args()
    print("== unchanged: PASS is right", flush=True)
    unchanged = gated(options.bundle, options.out / "unchanged", fresh)
    print(f"== {100 * PLANTED:g} % slower: FAIL is right", flush=True)
    slower = gated(options.bundle, options.out / "slower", _slowed.drawing(PLANTED))
    return 0 if (unchanged, slower) == ("pass", "fail") else 1


if __name__ == "__main__":
    sys.exit(main())
