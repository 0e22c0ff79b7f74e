"""bench: the candidates side by side, in fresh instances in fresh processes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from edgetl import digest
from edgetl.bench import use
from edgetl.bench.comparison import compare, of_engine
from edgetl.bench.instance import Pace
from edgetl.candidate import BASELINE
from edgetl.devices import Budgets
from edgetl.pipeline import Artifact, Context, Stage

__all__ = ["SAMPLES", "stage"]

SAMPLES = "latency.json"
MOST_SECONDS = 120.0
"""A verdict that is still open after so long stays "cannot tell", and the default precision ships."""

PACE = Pace(rounds=3, block_ms=40.0, least_runs=10)
"""Short blocks: the instances differ more than the blocks of one, so time is better spent on more of those. Twelve
instances of so many runs carry a p99."""


def stage(
    candidates: tuple[str, ...], host: Mapping[str, str], instances: int, session: str, budgets: Budgets
) -> Stage:
    """Compare every candidate with ``default``, and measure memory and power where there is a budget for them.

    Parameters
    ----------
    budgets : those that this host is held to.
    session : names the measuring session, so that no older measurement is taken for this one.
    """

    memory, power = budgets.mem_mib is not None, budgets.power_w is not None

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        contenders = {name: of_engine(inputs[f"compile:{name}"].path / "engine") for name in candidates}
        found = compare(
            contenders,
            baseline=BASELINE,
            instances=instances,
            seconds=MOST_SECONDS,
            until=[name for name in candidates if name not in ("f32", BASELINE)],  # f32 is there to be seen
            pace=PACE,
            on_progress=ctx.advance,
            seed=ctx.seed,
        )
        (out / SAMPLES).write_bytes(digest.canonical_json(found))
        ratios = {name: found.ratio(name) for name in candidates if name != BASELINE}
        return {
            "summary": f"interleaved, {len(found.instances)} fresh instances of each",
            "latency_ms": {name: found.latency_ms(name) for name in candidates},
            "versus_default": {name: msgspec.to_builtins(ratio) for name, ratio in ratios.items()},
            "use": {
                name: msgspec.to_builtins(use.measure(contender, memory=memory, power=power))
                for name, contender in contenders.items()
                if memory or power
            },
            "context": msgspec.to_builtins(found.context[0]),
        }

    needs = tuple(f"compile:{name}" for name in candidates)
    asked = {"memory": memory, "power": power}
    options = {"instances": instances, "session": session, "host": dict(host), **asked}
    return Stage("bench", 5, needs, options, {}, run)
