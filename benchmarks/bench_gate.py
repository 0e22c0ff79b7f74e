"""C1, C2: how often the gate cries wolf, and how often it hears one.

``--live N`` adds N gates of each kind to ``results/traces/gate.jsonl``: fresh processes on this machine, half of them
with another process that loads one core in bursts. A table over an hour or a week is filled that way. Each record keeps
what a gate reads of its pairs (block medians) and all runs of its first one, which is what gates that know no pairs
have. The rows count live gates, and gates that are replayed from the pairs of records up to the number aimed at: pairs
of one record's kind in a new order, no pair twice in a gate, on a clock that moves as the recorded gates' did.

The gate's constants were set on measurements that are not kept, before ``FROZEN``; every trace is younger.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import _shipped
import _slowed
from _results import FOLDER, Results, parser
from scipy.stats import binomtest, mannwhitneyu

from edgetl.bench import gate
from edgetl.bench.comparison import Contender, fresh, of_engine
from edgetl.bench.gate import BASELINE, CANDIDATE, Rule, Trial
from edgetl.bench.instance import Blocks

FROZEN = "0b85df5"
TRACES = FOLDER / "traces" / "gate.jsonl"
TOLERANCE = 0.03
SECONDS, QUICK = 180.0, 20.0
"""Budget of one gate, and of one in a smoke run, which may well end without an answer."""
TIMED = 60.0
KINDS = (0.0, 0.05, 0.10)
"""Shares by which the candidate is slower."""
ALL = 200
LEAST_LIVE = 60
BURSTS = """\
import random, time
rng = random.Random()
while True:
    end = time.perf_counter() + rng.uniform(0.2, 2.0)
    while time.perf_counter() < end:
        pass
    time.sleep(rng.uniform(0.2, 2.0))
"""
Gate = dict[str, Any]


def main() -> None:
    made = parser(__doc__)
    made.add_argument(
        "--live", type=int, default=0, help="gates of each kind to add, before the rows are made"
    )
    options = made.parse_args()
    results = Results("gate", quick=options.quick)
    with tempfile.TemporaryDirectory() as place:
        traces = Path(place) / "gate.jsonl" if options.quick else TRACES
        count, seconds = (1, QUICK) if options.quick else (options.live, SECONDS)
        _record(traces, count, seconds, Path(place))
        _rows(results, [json.loads(line) for line in traces.read_text().splitlines()])
    results.write()


def _record(traces: Path, count: int, seconds: float, place: Path) -> None:
    """Append live gates, each as soon as it is over."""
    traces.parent.mkdir(exist_ok=True)
    traces.touch()
    before = len(traces.read_text().splitlines())
    bundle = _shipped.write(place) if count else place
    for number in range(before, before + count * len(KINDS)):
        share, loaded = KINDS[number % len(KINDS)], number // len(KINDS) % 2 == 1
        with _load(loaded):
            trial = _live(bundle / "engine", share, Rule(tolerance=TOLERANCE, seconds=seconds, seed=number))
        found = _kept(trial, share, loaded=loaded)
        print(f"{share:.0%} slower, {'loaded' if loaded else 'quiet'}: {found['said']}", flush=True)
        with traces.open("a") as file:
            file.write(json.dumps(found) + "\n")


def _live(engine: Path, share: float, rule: Rule) -> Trial:
    one = of_engine(engine)
    return gate.run(one, one, rule, draw=_slowed.drawing(share) if share else fresh)


@contextmanager
def _load(wanted: bool) -> Iterator[None]:
    """Another process that takes one core in bursts, where it is wanted."""
    if not wanted:
        yield
        return
    with subprocess.Popen([sys.executable, "-c", BURSTS]) as process:
        try:
            yield
        finally:
            process.kill()


def _kept(trial: Trial, share: float, *, loaded: bool) -> Gate:
    first = trial.pairs[0] if trial.pairs else {}
    return {
        "frozen": FROZEN,
        "slower": share,
        "loaded": loaded,
        "said": gate.judge([trial])[0].said,
        "seconds": round(trial.seconds, 1),
        "timed_s": round(trial.timed_seconds(), 2),
        "pairs": [
            {
                side: [round(statistics.median(block)) for block in pair[side]]
                for side in (CANDIDATE, BASELINE)
            }
            for pair in trial.pairs
        ],
        "runs": {side: [ns for block in blocks for ns in block] for side, blocks in first.items()},
    }


def _rows(results: Results, traces: Sequence[Gate]) -> None:
    for share in KINDS:
        live = [one for one in traces if one["slower"] == share]
        judged = [one["said"] for one in live] + _replayed(live, share)
        fails, n = judged.count("fail"), len(judged)
        exact = binomtest(fails, n).proportion_ci(method="exact") if n else None
        enough = len(live) >= LEAST_LIVE and n >= ALL
        late = sum(one["timed_s"] > TIMED for one in live)
        note = f"{len(live)} live, {judged[: len(live)].count('fail')} of them FAIL" + (
            f", {late} beyond {TIMED:.0f} s of timed blocks; starts of processes took "
            f"{statistics.median(one['seconds'] - one['timed_s'] for one in live):.0f} s"
            if live
            else ""
        )
        name = "C1 false alarms" if not share else f"C2 planted {share:.0%}, caught"
        aimed, met = (
            ("<= 0.01", fails <= 0.01 * n)
            if not share
            else (
                f">= {0.95 if share == 0.05 else 0.995}",
                fails >= (0.95 if share == 0.05 else 0.995) * n and not late,
            )
        )
        results.row(
            name,
            fails / n if n else None,
            "share",
            ci95=None if exact is None else (float(exact.low), float(exact.high)),
            n=n,
            target=aimed,
            met=met if enough else None,
            note=note if enough else f"{note}; {LEAST_LIVE} live ones judge",
        )
        for peer, alarm in PEERS.items():
            told = sum(alarm(one["runs"][CANDIDATE], one["runs"][BASELINE]) for one in live if one["runs"])
            results.row(f"{name}, {peer}", told / len(live) if live else None, "share", n=len(live))


def _replayed(live: Sequence[Gate], share: float) -> list[str]:
    """Verdicts of gates over the recorded pairs, up to ``ALL`` with the live ones."""
    rng = random.Random(int(1000 * share))
    said: list[str] = []
    of_load = {loaded: [one for one in live if one["loaded"] == loaded] for loaded in (False, True)}
    for number in range(max(ALL - len(live), 0)):
        recorded = of_load[number % 2 == 1]
        pool = [pair for one in recorded for pair in one["pairs"]]
        if len(pool) < 2 * gate.ITSELF:
            return said
        rng.shuffle(pool)
        seconds = sum(one["seconds"] for one in recorded)
        replay = _Replay(pool, seconds / (len(pool) + gate.ITSELF * len(recorded)))
        rule = Rule(tolerance=TOLERANCE, seconds=SECONDS)
        nobody = Contender(opener="nobody:opens")
        trial = gate.run(nobody, nobody, rule, draw=replay.draw, clock=replay.clock)
        said.append(gate.judge([trial])[0].said)
    return said


class _Replay:
    """Recorded pairs in order, each of which takes ``seconds``; those of an engine with itself decide nothing."""

    def __init__(self, pool: Sequence[Mapping[str, Sequence[int]]], seconds: float) -> None:
        self._left = iter(pool)
        self._pair_ns = round(1e9 * seconds)
        self._now = 0

    def clock(self) -> int:
        return self._now

    def draw(self, contenders: Mapping[str, Contender], *_: object) -> Blocks:
        self._now += self._pair_ns
        if set(contenders) != {CANDIDATE, BASELINE}:
            return {name: [[1]] * (2 * gate.ROUNDS) for name in contenders}
        pair = next(self._left, None)
        if pair is None:
            raise OSError("no recorded pair is left")
        return {side: [[ns] for ns in pair[side]] for side in contenders}


def _means_of_20(candidate: Sequence[int], baseline: Sequence[int]) -> bool:
    return statistics.mean(candidate[:20]) > (1 + TOLERANCE) * statistics.mean(baseline[:20])


def _mann_whitney(candidate: Sequence[int], baseline: Sequence[int]) -> bool:
    raised = [(1 + TOLERANCE) * ns for ns in baseline]
    return bool(mannwhitneyu(candidate, raised, alternative="greater").pvalue < 0.025)


def _asv(candidate: Sequence[int], baseline: Sequence[int]) -> bool:
    """As asv's ``compare`` decides: medians apart by a factor, and a Mann-Whitney test below 0.002."""
    apart = statistics.median(candidate) > (1 + TOLERANCE) * statistics.median(baseline)
    return apart and bool(mannwhitneyu(candidate, baseline, alternative="two-sided").pvalue < 0.002)


PEERS: dict[str, Callable[[Sequence[int], Sequence[int]], bool]] = {
    "asv's way": _asv,
    "Mann-Whitney": _mann_whitney,
    "mean of 20": _means_of_20,
}


if __name__ == "__main__":
    main()
