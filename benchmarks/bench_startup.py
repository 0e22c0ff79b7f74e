"""A9: how long ``edgetl --help`` and ``import edgetl.runtime`` take in a fresh process, and what they import."""

from __future__ import annotations

import subprocess
import sys

from _results import Results, parser

from edgetl import stats
from edgetl.bench import clock

RUNS = 31
QUICK_RUNS = 3
WARM_RUNS = 2
"""The first run after an installation compiles every module."""
HEAVY = ("torch", "torchvision", "onnx", "onnxruntime", "openvino", "scipy", "sklearn", "cv2")
FORBIDDEN = ("torch", "onnx")
CASES = {
    "python -c pass": (["-c", "pass"], "pass", None),
    "edgetl --help": (["-m", "edgetl", "--help"], "from edgetl.cli.main import main; main(['--help'])", 0.3),
    "import edgetl.runtime": (["-c", "import edgetl.runtime"], "import edgetl.runtime", 0.5),
}


def main() -> None:
    options = parser(__doc__).parse_args()
    results = Results("startup", quick=options.quick, also=("typer", "msgspec"))
    for what, (command, program, limit) in CASES.items():
        times = [_seconds(command) for _ in range(WARM_RUNS + (QUICK_RUNS if options.quick else RUNS))]
        kept = times[WARM_RUNS:]
        results.keep(what, kept)
        median = stats.quantile(kept, 0.5)
        loaded = _loaded(program)
        note = f"median of fresh processes; of the heavy packages imported: {', '.join(loaded) or 'none'}"
        if limit is None:
            results.row(what, median, "s", n=len(kept), note=note)
            continue
        results.row(
            f"A9 {what}",
            median,
            "s",
            n=len(kept),
            target=f"<= {limit} s, no torch, no onnx",
            met=median <= limit and not set(loaded) & set(FORBIDDEN),
            note=note,
        )
    results.write()


def _seconds(command: list[str]) -> float:
    begun = clock.system()
    subprocess.run([sys.executable, *command], stdout=subprocess.DEVNULL, check=True)
    return (clock.system() - begun) / 1e9


def _loaded(program: str) -> list[str]:
    """Which of the heavy packages a program imports."""
    told = subprocess.run(
        [sys.executable, "-c", f"import sys; {program}; print(*sys.modules, file=sys.stderr)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(set(HEAVY) & set(told.stderr.split()))


if __name__ == "__main__":
    main()
