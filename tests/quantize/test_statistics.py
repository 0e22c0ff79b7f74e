"""The statistics file: it says what it is of, and nothing else is taken for it."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from edgetl.calibration.range_stats import RangeStats

from edgetl.errors import InputError
from edgetl.quantize import statistics
from edgetl.quantize.statistics import Statistics
from edgetl.types import Preprocess
from tests.quantize import graphs

PREPROCESS = Preprocess(height=16, width=16, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return graphs.write("conv-relu-conv", tmp_path)


@pytest.fixture
def stats() -> Statistics:
    rng = np.random.default_rng(0)
    made = {"a": RangeStats(), "b/c|d": RangeStats(), "e": RangeStats(histogram=False)}
    for one in made.values():
        one.update(rng.normal(size=(5, 3, 4, 4)).astype(np.float32))
    return Statistics(made, {"conv/1|x": rng.normal(size=(2, 9)), "a": rng.normal(size=(1, 4))})


@pytest.fixture
def saved(model: Path, stats: Statistics, tmp_path: Path) -> Path:
    folder = tmp_path / "stats"
    folder.mkdir()
    identity = statistics.identity(model, PREPROCESS, "d" * 64, [3, 1, 2], "default")
    statistics.save(stats, identity, folder)
    return folder


def test_what_was_saved_is_loaded(saved: Path, model: Path, stats: Statistics) -> None:
    loaded = statistics.load(saved, model=model)
    assert loaded.ranges.keys() == stats.ranges.keys()
    assert loaded.means.keys() == stats.means.keys()
    assert all(np.array_equal(loaded.means[name], mean) for name, mean in stats.means.items())
    for name, one in stats.ranges.items():
        before, after = one.to_arrays(), loaded.ranges[name].to_arrays()
        assert before.keys() == after.keys()
        assert all(np.array_equal(before[key], after[key]) for key in before)


def test_the_identity_is_kept(saved: Path, model: Path) -> None:
    told = statistics.load_identity(saved)
    assert told.samples == (3, 1, 2)
    assert told.method == "default"
    assert msgspec.convert(told.preprocess, Preprocess) == PREPROCESS
    statistics.check(told, statistics.identity(model, PREPROCESS, "d" * 64, [3, 1, 2], "minmax"))


def test_the_same_statistics_have_the_same_bytes(saved: Path, stats: Statistics) -> None:
    files = [path for path in sorted(saved.iterdir())]
    before = [path.read_bytes() for path in files]
    statistics.save(stats, statistics.load_identity(saved), saved)
    assert sorted(saved.iterdir()) == files, "nothing partial is left"
    assert [path.read_bytes() for path in files] == before


def test_statistics_of_another_model_are_stale(saved: Path, model: Path) -> None:
    graphs.write("residual", model.parent).replace(model)
    with pytest.raises(InputError, match="of another model"):
        statistics.load(saved, model=model)


@pytest.mark.parametrize(
    ("field", "value"),
    [("preprocess", {}), ("data", "e" * 64), ("samples", (1, 2, 3)), ("model", "f" * 64)],
)
def test_everything_that_differs_is_named(field: str, value: object, saved: Path) -> None:
    told = statistics.load_identity(saved)
    with pytest.raises(InputError, match=f"of another {field}") as caught:
        statistics.check(told, msgspec.structs.replace(told, **{field: value}))
    assert set(caught.value.facts) == {field}


def test_a_flipped_byte_is_found(saved: Path) -> None:
    numbers = saved / statistics.NUMBERS
    content = bytearray(numbers.read_bytes())
    content[len(content) // 2] ^= 1
    numbers.write_bytes(content)
    with pytest.raises(InputError, match="is not the file"):
        statistics.load(saved)


def test_a_missing_or_damaged_file_is_told(saved: Path, tmp_path: Path) -> None:
    (saved / statistics.NUMBERS).unlink()
    with pytest.raises(InputError, match=statistics.NUMBERS):
        statistics.load(saved)
    (saved / statistics.FACTS).write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="damaged"):
        statistics.load(saved)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="has no"):
        statistics.load(tmp_path / "empty")


def test_another_schema_is_refused(saved: Path) -> None:
    facts = saved / statistics.FACTS
    facts.write_text(json.dumps({**json.loads(facts.read_bytes()), "schema": 99}), encoding="utf-8")
    with pytest.raises(InputError, match="schema 99"):
        statistics.load(saved)
