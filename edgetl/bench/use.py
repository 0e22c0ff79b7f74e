"""What an engine takes besides time: memory of the host and power, each measured in a fresh process of its own."""

from __future__ import annotations

import msgspec

from edgetl import isolate
from edgetl.bench.comparison import Contender
from edgetl.bench.energy import Energy
from edgetl.types import Record

__all__ = ["Use", "measure"]

POWER_SECONDS = 3.0


class Use(Record, frozen=True, kw_only=True):
    """What was measured; ``None`` where it was not asked for, or the host has no source of it.

    Attributes
    ----------
    memory_mib : most resident memory of a process that opens and runs the engine, Python included.
    power_w : mean while inferences run back to back, of the rail that feeds the whole.
    power_source : which sensor and rail that is; empty without one.
    """

    memory_mib: float | None = None
    power_w: float | None = None
    power_source: str = ""


def measure(contender: Contender, *, memory: bool, power: bool) -> Use:
    """Run an engine for each figure that is asked for.

    Raises
    ------
    EdgetlError : the engine cannot be opened or died; what it said.
    """
    named = {"opener": contender.opener, "arguments": contender.arguments}
    mib = isolate.call("edgetl.bench.instance:footprint", named) if memory else None
    found = None
    if power:
        told = isolate.call("edgetl.bench.instance:energy_use", {**named, "seconds": POWER_SECONDS})
        found = None if told is None else msgspec.convert(told, Energy)
    if found is None or found.total is None:
        return Use(memory_mib=mib)
    return Use(
        memory_mib=mib, power_w=found.watts[found.total], power_source=f"{found.source}: {found.total}"
    )
