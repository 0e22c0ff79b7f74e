"""What ``edgetl bench`` tells of an engine beside its times."""

from __future__ import annotations

from edgetl.bench.context import Context
from edgetl.bench.measurement import Measurement
from edgetl.bench.target import Timed
from edgetl.types import Engine

ENGINE = Engine(
    backend="tensorrt",
    device="GPU",
    precision="int8",
    files=("engine.plan",),
    source="",
    inputs=(),
    outputs=(),
)
HOST = Context(cpu="Board X", usable_cores=4)


def timed(facts: dict[str, str]) -> Timed:
    """An engine of so many runs."""
    one = Measurement(what="engine", samples_ns=(2_000_000,) * 64, warm_up_runs=3, steady=True, context=HOST)
    return Timed(ENGINE, HOST, facts, {"engine": one})


def test_how_the_inferences_were_run_is_told_to_people_and_to_programs() -> None:
    facts = {"launch": "graph", "trtexec": "graph on, spin on, transfers on"}
    found = timed(facts)
    assert found.data()["runs"] == facts
    assert "  launch     graph" in found.lines()
    assert "  trtexec    graph on, spin on, transfers on" in found.lines()


def test_a_session_with_nothing_to_choose_adds_no_line() -> None:
    assert len(timed({"launch": "graph"}).lines()) == len(timed({}).lines()) + 1
