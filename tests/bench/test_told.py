"""What ``edgetl bench`` says of its figures: nothing without support, and every reason to doubt them."""

from __future__ import annotations

import re

import msgspec
import numpy as np
import pytest

from edgetl.bench import told
from edgetl.bench.activity import Shares
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


def test_the_load_of_the_minute_before_is_no_doubt_where_what_others_took_is_known() -> None:
    calm = msgspec.structs.replace(measured(64), shares=Shares(others=0.0, stolen=0.0))
    busy = msgspec.structs.replace(measured(64), shares=Shares(others=0.4, stolen=0.0))
    loaded = msgspec.structs.replace(CALM, load=9.0)
    assert told.doubts({"engine": calm}, loaded) == []
    (said,) = told.doubts({"engine": busy}, loaded)
    assert "other processes had 40 % of the processors" in said


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


def series(samples_ns: list[int], **more: object) -> Measurement:
    """A measurement of these runs."""
    one = Measurement(what="engine", samples_ns=tuple(samples_ns), warm_up_runs=3, steady=True, context=CALM)
    return msgspec.structs.replace(one, **more)


def noise(n: int) -> list[int]:
    """Independent runs of 2 ms, one percent apart."""
    return [int(2_000_000 * x) for x in np.random.default_rng(0).normal(1, 0.01, n)]


def test_independent_runs_give_no_reason_to_doubt() -> None:
    assert told.doubts({"engine": series(noise(700))}, CALM) == []


def test_a_time_that_rises_while_it_is_measured_is_told() -> None:
    rising = [int(ns * (1 + 0.0001 * k)) for k, ns in enumerate(noise(700))]
    said = told.doubts({"engine": series(rising)}, CALM)
    assert any(re.search(r"it rose by [67] % while it was measured", one) for one in said)
    assert any("times too narrow" in one for one in said), "its interval takes the runs for independent"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"shares": Shares(others=0.31, stolen=0.0)}, "other processes had 31 % of the processors"),
        ({"shares": Shares(others=0.0, stolen=0.12)}, "the hypervisor took 12 % of the processors"),
        ({"wild": ("logits",)}, "it answers NaN or infinity in logits"),
        ({"partial": "interrupted"}, "partial, interrupted: 700 runs were kept"),
        (
            {"after": msgspec.structs.replace(CALM, throttle={"core": 4})},
            "throttling was counted meanwhile, by core",
        ),
        ({"after": msgspec.structs.replace(CALM, clock_mhz=900.0)}, "the clock fell from 1500 to 900 MHz"),
    ],
)
def test_what_happened_meanwhile_is_told(more: dict[str, object], words: str) -> None:
    before = msgspec.structs.replace(CALM, throttle={"core": 3}, clock_mhz=1500.0)
    (said,) = told.doubts({"engine": series(noise(700), context=before, **more)}, CALM)
    assert words in said


def test_the_devices_own_time_has_a_row_of_its_own() -> None:
    lines = told.table({"engine": series(noise(700), device_ns=(1_500_000,) * 700)})
    assert lines[2].split()[:4] == ["on", "the", "device", "1.500"]


def test_stages_are_on_one_line_in_their_order() -> None:
    line = told.stages_line({"preprocess": series([600_000] * 9), "compute": series([2_000_000] * 9)})
    assert line == "  stages     preprocess 0.600, compute 2.000 ms, medians of 9 frames"
