"""Results by time: series that can be compared, changes in them, and files that a repository likes."""

from __future__ import annotations

import json
import random

import msgspec
import pytest

from edgetl.bench.fingerprint import Host, Subject
from edgetl.bench.history import Result, file_name, series, written
from edgetl.types import TensorSpec

INPUT = TensorSpec(name="input", dtype="uint8", shape=(1, 64, 64, 3))
SUBJECT = Subject(device="box", processor="CPU", inputs=(INPUT,), threads=None)
HOST = Host(
    cpu="a CPU",
    isa=("avx2",),
    cores=4,
    usable_cores=4,
    cpu_limit=None,
    governor="performance",
    power_mode=None,
    clocks_fixed=None,
    clock_mhz=None,
    versions={"openvino": "1.0"},
)


def result(number: int, ms: float, **changed: object) -> Result:
    """A build of some day: twelve fresh instances about a latency."""
    rng = random.Random(number)
    facts = {
        "name": "parts",
        "created": f"2026-01-{number + 1:02d}T00:00:00Z",
        "commit": f"{number:040x}",
        "manifest": f"{number:064x}",
        "model": "tiny",
        "candidate": "int8",
        "p50_ms": tuple(ms * rng.lognormvariate(0, 0.01) for _ in range(12)),
        "subject": SUBJECT,
        "host": HOST,
    }
    return Result(**(facts | changed))  # type: ignore[arg-type]


def test_a_step_is_found_at_the_build_that_brought_it() -> None:
    (one,) = series(result(day, 2.0 if day < 10 else 2.2) for day in range(20))
    (change,) = one.changes
    assert change.at == 10
    assert one.results[10].commit == f"{10:040x}"
    assert change.ratio == pytest.approx(1.1, abs=0.01)
    assert [(first, end) for first, end, _ in one.means_ms()] == [(0, 10), (10, 20)]


def test_order_is_that_of_time_and_a_result_given_twice_counts_once() -> None:
    given = [result(day, 2.0) for day in (3, 1, 2, 1, 3)]
    (one,) = series(given)
    assert [r.created for r in one.results] == sorted({r.created for r in given})


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"host": msgspec.structs.replace(HOST, versions={"openvino": "2.0"})},
            "versions openvino 2.0 against openvino 1.0",
        ),
        (
            {"host": msgspec.structs.replace(HOST, governor="powersave")},
            "governor powersave against performance",
        ),
        ({"host": msgspec.structs.replace(HOST, cpu="another")}, "cpu another against a CPU"),
        ({"subject": msgspec.structs.replace(SUBJECT, threads=2)}, "threads 2 against unknown"),
        (
            {
                "subject": msgspec.structs.replace(
                    SUBJECT, inputs=(msgspec.structs.replace(INPUT, shape=(8, 64, 64, 3)),)
                )
            },
            "8x64x64x3 against input uint8 1x64x64x3",
        ),
    ],
)
def test_another_host_or_question_is_another_series_and_it_is_said_why(
    changed: dict[str, object], words: str
) -> None:
    found = series(
        [*(result(day, 2.0) for day in range(5)), *(result(day, 3.0, **changed) for day in range(5, 10))]
    )
    assert [len(one.results) for one in found] == [5, 5]
    assert found[0].apart == ()
    assert words in "; ".join(found[1].apart)
    assert [one.changes for one in found] == [(), ()], "a step between two series is no change of either"


def test_bundles_of_another_name_or_device_are_not_held_against_each_other_at_all() -> None:
    board = msgspec.structs.replace(SUBJECT, device="board")
    found = series([result(0, 2.0), result(1, 2.0, name="others"), result(2, 2.0, subject=board)])
    assert [one.apart for one in found] == [(), (), ()]


def test_a_result_survives_its_file_and_every_value_has_a_line() -> None:
    one = result(0, 2.0)
    assert msgspec.json.decode(written(one), type=Result) == one
    assert written(one) == written(msgspec.json.decode(written(one), type=Result))
    lines = written(one).decode().splitlines()
    assert len(lines) > 30
    assert written(one).endswith(b"}\n")
    assert list(json.loads(written(one))) == sorted(json.loads(written(one)))


def test_a_file_name_stays_in_its_folder() -> None:
    board = msgspec.structs.replace(SUBJECT, device="a/b")
    name = file_name(result(0, 2.0, name="../../etc", subject=board))
    assert "/" not in name
    assert not name.startswith(".")
    assert name.endswith("-20260101000000-00000000.json")


def test_an_interval_takes_more_than_one_instance() -> None:
    assert result(0, 2.0, p50_ms=(2.0,)).interval() is None
    low, high = result(0, 2.0).interval() or (0.0, 0.0)
    assert low < result(0, 2.0).centre() < high
