"""An engine of ours that is slower by a known share: it works on for so long behind each inference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgetl.bench import clock as clocks
from edgetl.bench.comparison import Contender, fresh
from edgetl.bench.harness import warm_up
from edgetl.bench.instance import open_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgetl.bench.gate import Draw
    from edgetl.bench.instance import Blocks, Pace

__all__ = ["drawing", "open_slowed", "slowed"]


def open_slowed(folder: str, share: float, cache: str | None = None) -> Callable[[], object]:
    """The opener: an inference, and a spin that takes ``share`` of what this instance took when it was warm."""
    once, clock = open_engine(folder, cache), clocks.system
    spin_ns = round(share * warm_up(once, clock).median_ns)

    def both() -> object:
        answer = once()
        end = clock() + spin_ns
        while clock() < end:
            pass
        return answer

    return both


def slowed(engine: Contender, share: float) -> Contender:
    """It in place of an engine of ours."""
    return Contender(opener=f"{__name__}:open_slowed", arguments={**engine.arguments, "share": share})


def drawing(share: float) -> Draw:
    """Fresh pairs in which every instance of the candidate is slower."""

    def draw(contenders: Mapping[str, Contender], pace: Pace, env: Mapping[str, str] | None) -> Blocks:
        given = {
            name: slowed(one, share) if name.startswith("candidate") else one
            for name, one in contenders.items()
        }
        path = str(Path(__file__).parent)
        return fresh(given, pace, {"PYTHONPATH": path, **(env or {})})

    return draw
