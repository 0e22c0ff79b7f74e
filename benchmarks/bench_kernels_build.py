"""K4: every kernel for every architecture that the toolkit knows: registers, spills, shared memory, occupancy.

CMake builds ``kernels/`` as `make kernels` does. A spill, like a warning, fails it with the kernel's name. Occupancy is
theoretical: what registers, shared memory and threads leave room for. Nothing runs.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from _ptxas import LIMITS, Usage, readable, resident_warps, threads_of, usages
from _results import Results, parser

ROOT = Path(__file__).parents[1]
KERNELS = ROOT / "kernels"
QUICK = "87"


def main() -> None:
    options = parser(__doc__).parse_args()
    results = Results("kernels_build", quick=options.quick)
    lacking = [name for name in ("nvcc", "cmake") if shutil.which(name) is None]
    if lacking:
        note = f"not measured: no {' and no '.join(lacking)} on PATH"
        results.row("K4 spills, all kernels", None, "bytes", target="<= 0", note=note)
        results.write()
        return
    words = build(QUICK if options.quick else "")
    found = usages(words)
    names = readable({usage.kernel for usage in found})
    report(results, found, names, bounds())
    results.write()


def build(architectures: str) -> str:
    """What the compiler said of a build from the first file on; ends the program where it refused."""
    place = (
        ROOT / "build" / "kernels-reported"
    )  # another set of architectures would stay in that of `make kernels`
    for line in run(
        "cmake", "-S", KERNELS, "-B", place, f"-DEDGETL_ARCHITECTURES={architectures}"
    ).splitlines():
        if "left out" in line:
            print(line)
    return run("cmake", "--build", place, "--clean-first", "--parallel")


def run(*command: object) -> str:
    """All that a program said; where it failed, this one ends with what is wrong."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    words = done.stdout + done.stderr
    if done.returncode:
        sys.exit("\n".join(spilled(words) or refused(words)) or words)
    return words


def spilled(words: str) -> list[str]:
    """A line for each kernel without registers enough."""
    found = [usage for usage in usages(words) if usage.spill_bytes]
    names = readable({usage.kernel for usage in found})
    return [
        f"{names[u.kernel]} spills {u.spill_bytes} bytes of registers on sm_{u.architecture}" for u in found
    ]


def refused(words: str) -> list[str]:
    """The lines that name an error."""
    return [line for line in words.splitlines() if re.search(r"\b(?:[Ee]rror|fatal)\b", line)]


def bounds() -> dict[str, int]:
    """Threads of a block by kernel, as the sources bound them."""
    found: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as place:
        for source in sorted((KERNELS / "csrc").glob("*.cu")):
            ptx = Path(place) / f"{source.stem}.ptx"
            run("nvcc", f"--options-file={KERNELS / 'nvcc.options'}", f"-I{KERNELS / 'include'}", "-arch=sm_87",
                "-ptx", "-o", ptx, source)  # fmt: skip
            threads = threads_of(ptx.read_text())
            names = readable(threads)
            found.update({names[name]: count for name, count in threads.items()})
    return found


def report(results: Results, found: list[Usage], names: dict[str, str], threads: dict[str, int]) -> None:
    """One row for spills, one for each kernel's lowest occupancy; all of them are kept."""
    architectures = sorted({usage.architecture for usage in found}, key=int)
    results.limit(
        "K4 spills, all kernels",
        sum(usage.spill_bytes for usage in found),
        "bytes",
        at_most=0,
        n=len(found),
        note=f"{len(set(names.values()))} kernels, sm_{', sm_'.join(architectures)}; nvcc {release()}",
    )
    kept = sorted(
        (described(usage, names[usage.kernel], threads) for usage in found),
        key=lambda row: (row["kernel"], int(row["architecture"])),
    )
    results.keep("kernels", kept)
    for name, rows in groupby(kept, key=lambda row: str(row["kernel"])):
        worst = min(rows, key=lambda row: float(row["occupancy"]))
        results.row(
            f"{name}, lowest occupancy",
            worst["occupancy"],
            "of the warps",
            note=f"sm_{worst['architecture']}: {worst['registers']} registers, {worst['shared_bytes']} B shared, "
            f"{worst['threads']} threads",
        )


def described(usage: Usage, name: str, threads: dict[str, int]) -> dict[str, Any]:
    """A kernel on one architecture, with what a multiprocessor holds of it."""
    limits = LIMITS[usage.architecture]
    warps = resident_warps(usage, threads[name], limits)
    return {
        **asdict(usage),
        "kernel": name,
        "threads": threads[name],
        "resident_warps": warps,
        "occupancy": round(warps / limits.warps, 4),
    }


def release() -> str:
    """Of the toolkit."""
    found = re.search(r"V([\d.]+)", run("nvcc", "--version"))
    return found[1] if found else "unknown"


if __name__ == "__main__":
    main()
