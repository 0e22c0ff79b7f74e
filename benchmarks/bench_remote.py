"""D1 and D2: a build that is finished on a device over SSH, against the same build here, and with its link cut.

The device is a real ``sshd`` on loopback with another home and an environment without torch (that of tests/remote).
D1 times whole builds of the demo data from an empty cache, by turns: the engine built, verified and timed on the
device by ``--host``, or by the same three commands here. The environment on the device is made once before, as it is
once for each release. D2 cuts every connection at a random moment of the part that is remote, each time another.
"""

from __future__ import annotations

import math
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # the device and the wire are those of the tests

from _results import Results, parser

import edgetl
from edgetl import digest, stats
from edgetl.pipeline import Silent
from edgetl.remote import build
from edgetl.remote.ssh import Options
from edgetl.types import BuildSpec
from tests.remote.cutting import Wire
from tests.remote.device import SSHD, Device

PAIRS = 6
CUTS = 20
STEPS = (("compile",), ("verify",), ("bench", "--duration", "1"))


def order(device: Device, port: int | None = None) -> build.Order:
    """To finish a bundle on the device."""
    return build.Order(
        hosts=(device.host,), options=Options(device.options(port)), steps=STEPS, delays_s=(0.2,) * 50
    )


def pending(place: Path) -> Path:
    """The demo's bundle from an empty cache, up to the engine."""
    spec = BuildSpec(
        data="demo", model="tiny", device="intel-cpu", hosts=("device",), out=str(place / "runs")
    )
    return edgetl.build(spec, cache=place / "cache").bundle


def remote(place: Path, device: Device) -> float:
    """Seconds of a whole build that is finished on the device."""
    begun = time.perf_counter()
    done = build.finish(pending(place), order(device), Silent())
    took = time.perf_counter() - begun
    if done[0].failure is not None:
        raise done[0].failure
    return took


def local(place: Path) -> float:
    """Seconds of the same with the same commands here."""
    begun = time.perf_counter()
    bundle = pending(place)
    for step, *options in STEPS:
        command = [sys.executable, "-m", "edgetl", step, str(bundle), "--json", *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def compare(results: Results, device: Device, scratch: Path, pairs: int) -> None:
    """D1."""
    logs, raw = [], []
    for number in range(pairs):
        seconds = {}
        for side in ("remote", "local") if number % 2 else ("local", "remote"):
            place = scratch / f"{side}-{number}"
            place.mkdir()
            seconds[side] = remote(place, device) if side == "remote" else local(place)
            shutil.rmtree(place)
        raw.append(seconds)
        logs.append(math.log(seconds["remote"] / seconds["local"]))
        print(f"pair {number + 1}: {seconds}", flush=True)
    results.keep("whole builds, seconds", raw)
    interval = stats.signed_rank_interval(logs) if len(logs) > 1 else None
    results.limit(
        "D1 remote over loopback, whole build",
        math.exp(stats.hodges_lehmann(logs)) if len(logs) > 1 else math.exp(logs[0]),
        "of the time here",
        at_most=1.15,
        n=pairs,
        ci95=None if interval is None else (math.exp(interval[0]), math.exp(interval[1])),
        note=f"median {statistics.median(row['local'] for row in raw):.0f} s here",
    )


def cut(results: Results, device: Device, scratch: Path, cuts: int) -> None:
    """D2."""
    whole = pending(scratch / "whole")
    begun = time.perf_counter()
    wanted = _finished(whole, device, scratch / "uncut", None)
    length = time.perf_counter() - begun
    rng, same, raw = random.Random(0), 0, []
    for number in range(cuts):
        moment = rng.uniform(0, length)
        found = _finished(whole, device, scratch / str(number), moment)
        raw.append({"moment_s": moment, "of_s": length, "same": found == wanted})
        same += found == wanted
        print(f"cut {number + 1} at {moment:.1f} of {length:.1f} s: {raw[-1]['same']}", flush=True)
    results.keep("cuts", raw)
    left = device.left_behind()
    results.row(
        "D2 link cuts that end whole, with the same digests",
        same,
        f"of {cuts}",
        n=cuts,
        target=f">= {cuts}",
        met=same == cuts and not left,
        note=f"{len(left)} processes left on the device",
    )


def _finished(whole: Path, device: Device, place: Path, moment: float | None) -> str | None:
    """The digest of model and engine of a copy that was finished on the device; ``None`` where it was not."""
    bundle = Path(shutil.copytree(whole, place / "bundle"))
    line = Wire(device.port)
    device.trust(line.port)
    timer = threading.Timer(moment or 0.0, line.cut)
    if moment is not None:
        timer.start()
    try:
        done = build.finish(bundle, order(device, line.port), Silent())
    finally:
        timer.cancel()
        line.close()
    if done[0].failure is not None:
        print(done[0].failure, flush=True)
        return None
    names = [name for name in digest.tree_files(bundle) if name.startswith(("engine/", "model."))]
    return digest.of_tree(bundle, names)[0]


def main() -> None:
    """Measure, and write the file."""
    options = parser(__doc__).parse_args()
    results = Results("remote", quick=options.quick, also=("openvino",))
    if not all(map(shutil.which, (SSHD, "ssh", "rsync"))):
        for name in ("D1", "D2"):
            results.row(
                name, None, "", note="not measured: no sshd or rsync (apt install openssh-server rsync)"
            )
        results.write()
        return
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["EDGETL_CACHE"] = str(Path(scratch) / "cache")
        device = Device(Path(scratch) / "device")
        try:
            begun = time.perf_counter()
            _finished(pending(Path(scratch) / "first"), device, Path(scratch) / "made", None)
            results.keep("first build there, with its environment, seconds", time.perf_counter() - begun)
            compare(results, device, Path(scratch), 1 if options.quick else PAIRS)
            cut(results, device, Path(scratch), 2 if options.quick else CUTS)
        finally:
            device.stop()
    results.write()


if __name__ == "__main__":
    main()
