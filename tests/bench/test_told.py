"""What ``edgetl bench`` says of its figures: nothing without support, and every reason to doubt them."""

from __future__ import annotations

import msgspec
import pytest

from edgetl.bench import told
from edgetl.bench.context import Context
from edgetl.bench.measurement import Measurement

CALM = Context(cpu="Board X", usable_cores=4, load=0.3, governor="performance")


def measured(runs: int, *, steady: bool = True) -> Measurement:
    """So many runs of 2 ms."""
    return Measurement(
        what="engine", samples_ns=(2_000_000,) * runs, warm_up_runs=3, steady=steady, context=CALM
    )


@pytest.mark.parametrize(
    ("runs", "absent"), [(10, ["p50", "p90", "p99"]), (64, ["p99"]), (661, ["p99"]), (662, [])]
)
def test_a_percentile_without_support_is_na_with_the_runs_it_takes(runs: int, absent: list[str]) -> None:
    lines = told.table({"engine": measured(runs)})
    cells = lines[1].partition("engine alone")[2].replace(" ms", "").split()
    assert [name for name, cell in zip(("p50", "p90", "p99"), cells) if cell == "n/a"] == absent
    assert [line.split()[0] for line in lines[2:]] == absent
    if "p99" in absent:
        assert "p99 is n/a: it takes 662 runs (--iterations 662)" in lines[-1]


def test_a_calm_host_gives_no_reason_to_doubt() -> None:
    assert told.doubts({"engine": measured(64)}, CALM) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [({"load": 3.0}, "the load is 3.0 on 4 cores"), ({"governor": "powersave"}, "the governor is powersave")],
)
def test_a_host_that_disturbs_is_told(change: dict[str, object], words: str) -> None:
    (said,) = told.doubts({"engine": measured(64)}, msgspec.structs.replace(CALM, **change))
    assert words in said


def test_a_time_that_never_settled_is_told() -> None:
    (said,) = told.doubts({"frame": measured(64, steady=False)}, CALM)
    assert said == "frame to result: the time had not settled when the warm-up ended"


def test_the_host_is_told_and_what_could_not_be_read_is_left_out() -> None:
    text = "\n".join(told.context_lines(CALM))
    assert "Board X, 4 cores" in text
    assert "governor performance" in text
    assert "the vendor's default" in text
    assert "None" not in text
    assert "unknown CPU, " in told.context_lines(Context(cores=2))[0]
