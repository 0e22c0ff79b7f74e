"""An instance that was opened from a cache against one that was compiled afresh: is it as fast, and what it saves.

Comparisons and the gate open hundreds of instances, from a cache; what is deployed is often opened without one. Each
pair is one fresh process, as the gate times it, mobilenet_v2 INT8 as shipped.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import _shipped
from _results import Results, parser

from edgetl.bench.comparison import Contender, cached, fresh, log_ratio, of_engine
from edgetl.bench.gate import pace_of

PAIRS = 60
WITHIN = 0.01
CACHED, AFRESH = "from a cache", "compiled afresh"


def drawn(contenders: Mapping[str, Contender], rng: random.Random) -> tuple[float, float]:
    """Log ratio of the first to the second of a fresh pair, and seconds that its process took, timed blocks out."""
    order = rng.sample(list(contenders), 2)
    begun = time.perf_counter()
    blocks = fresh({name: contenders[name] for name in order}, pace_of("p50"))
    timed = sum(ns for each in blocks.values() for block in each for ns in block) / 1e9
    first, second = (blocks[name] for name in contenders)
    return log_ratio(first, second), time.perf_counter() - begun - timed


def main() -> None:
    options = parser(__doc__).parse_args()
    results = Results("opening", quick=options.quick)
    rng = random.Random(0)
    found: dict[str, list[tuple[float, float]]] = {"mixed": [], CACHED: [], AFRESH: []}
    with tempfile.TemporaryDirectory() as place:
        one = of_engine(_shipped.write(Path(place)) / "engine")
        with cached({CACHED: one}) as kept:
            pairs = {
                "mixed": {CACHED: kept[CACHED], AFRESH: one},
                CACHED: {"one": kept[CACHED], "other": kept[CACHED]},
                AFRESH: {"one": one, "other": one},
            }
            drawn(pairs[CACHED], rng)  # fills the cache
            for _ in range(2 if options.quick else PAIRS):
                for name, contenders in pairs.items():
                    found[name].append(drawn(contenders, rng))
    results.keep("log ratio of a pair, seconds to make it ready", found)
    results.near_one(
        "latency of an instance from a cache / compiled afresh",
        [log for log, _ in found["mixed"]],
        within=WITHIN,
        note="",
    )
    for name in (CACHED, AFRESH):
        spread = 1.4826 * statistics.median(abs(log) for log, _ in found[name])
        results.row(f"two instances {name} are apart by", 100 * spread, "%", n=len(found[name]))
        results.row(
            f"a pair {name} is ready after", statistics.median(spent for _, spent in found[name]), "s"
        )
    results.write()


if __name__ == "__main__":
    main()
