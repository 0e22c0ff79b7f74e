"""K5: the fused head's own sources on the CPU against float64, beside plain loops in FP32 that have the same types.

The errors are of probabilities, the largest of each head. Plain loops can be exact by luck, above all with one or two
classes, where twice nothing is nothing: so four units in the last place of 1 are allowed besides, as the tests do, and
how many heads need them is told.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # the sweep is that of the tests

from _results import Results, parser

from tests.kernels.on_host import compiled

K5 = "K5 fused head on the host build vs float64, worst error over twice that of plain loops"
HEADS = 600
SHARE = 4 * 2.0**-23
"""``kFloor`` of tests/kernels/host/sweep.cpp."""


def main() -> None:
    options = parser(__doc__).parse_args()
    results = Results("head_host", quick=options.quick)
    if shutil.which("g++") is None:
        results.row(K5, None, "ratio", target="<= 1", note="not measured: no g++ on PATH")
    else:
        judge(
            results,
            errors(["random", "0", "12"] if options.quick else ["random", "0", str(HEADS)], ["awkward"]),
        )
    results.write()


def errors(*sweeps: list[str]) -> dict[str, tuple[float, float]]:
    """Largest error of each head and of plain loops, by what the head is; ends the program where one is wrong."""
    found: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as place:
        program = compiled(Path(place), "sweep.cpp", "undefined")
        for words in sweeps:
            done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"{' '.join(words)}: {done.stderr or done.stdout}")
            for line in done.stdout.splitlines():
                head, told = line.rsplit(": ", 1)
                own, plain = map(float, told.split())
                found[f"{words[0]} {len(found)}: {head}"] = own, plain
    return found


def judge(results: Results, found: dict[str, tuple[float, float]]) -> None:
    """K5, and the same of each type of features."""
    results.keep("largest error of the head, of plain loops", found)
    beyond = sum(own > 2 * plain for own, plain in found.values())
    results.limit(
        K5,
        worst(found),
        "ratio",
        at_most=1,
        n=len(found),
        note=f"plus 4 units in the last place of 1, which {beyond} of {len(found)} heads need; "
        f"largest error {max(own for own, _ in found.values()):.2g} of a probability",
    )
    for number, name in enumerate(("FP32", "FP16", "INT8")):
        part = {head: both for head, both in found.items() if re.search(rf"dtypes {number} ", head)}
        own, plain = (max(both[side] for both in part.values()) for side in (0, 1))
        results.row(
            f"{name} features, largest error",
            own,
            "of a probability",
            n=len(part),
            note=f"plain loops {plain:.2g}",
        )


def worst(found: dict[str, tuple[float, float]]) -> float:
    """The largest error in units of what is allowed."""
    return max(own / (2 * plain + SHARE) for own, plain in found.values())


if __name__ == "__main__":
    main()
