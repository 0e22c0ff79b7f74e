"""Observing a graph: every sample, once, and nothing kept of it."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from edgetl.calibration import ranges

from edgetl.errors import InputError
from edgetl.quantize import graph as reading
from edgetl.quantize import groups
from edgetl.quantize.observe import RUNS, input_of, observe
from edgetl.quantize.plan import plan, tensors_to_observe
from edgetl.quantize.reads import Averages
from edgetl.quantize.schemes import SCHEMES
from edgetl.quantize.taps import Look, Taps
from edgetl.types import TensorSpec
from tests.quantize import graphs

Pixels = npt.NDArray[np.uint8]
N = 20


def grey(levels: Iterator[int] | range) -> Iterator[Pixels]:
    """One picture of one colour for each level."""
    return (np.full((1, graphs.SIDE, graphs.SIDE, 3), level, np.uint8) for level in levels)


def seen_levels(model: Path, pictures: Iterator[Pixels]) -> int:
    """How many different pictures of one colour the statistics of the first convolution's input tell of."""
    first = next(iter(observe(model, pictures).ranges.values()))
    assert first.bins is not None
    return int(np.count_nonzero(first.bins))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return graphs.write("residual", tmp_path_factory.mktemp("observe"))


def test_every_distinct_sample_is_seen(model: Path) -> None:
    assert seen_levels(model, grey(range(0, 10 * N, 10))) == N


def test_a_loader_that_repeats_one_sample_is_told_from_one_that_does_not(model: Path) -> None:
    assert seen_levels(model, grey(iter([100] * N))) == 1


def test_values_are_counted_once_for_each_sample(model: Path) -> None:
    progress: list[tuple[int, int]] = []
    stats = observe(
        model, grey(range(N)), total=N, on_progress=lambda done, total: progress.append((done, total))
    )
    assert progress == [(done, N) for done in range(1, N + 1)]
    assert {one.samples for one in stats.ranges.values()} == {N}
    assert next(iter(stats.ranges.values())).count == N * 3 * graphs.SIDE**2


def test_statistics_are_those_of_the_tensors_themselves(model: Path) -> None:
    pictures = list(graphs.pictures(4))
    first = next(iter(observe(model, pictures).ranges.values()))
    normalised = [p.astype(np.float32) * np.float32(1 / 64) - np.float32(2) for p in pictures]
    assert first.low == pytest.approx(min(float(x.min()) for x in normalised), abs=1e-6)
    assert first.high == pytest.approx(max(float(x.max()) for x in normalised), abs=1e-6)


def test_samples_are_asked_for_as_they_are_needed_and_let_go(model: Path) -> None:
    given: list[weakref.ref[Pixels]] = []

    def pictures() -> Iterator[Pixels]:
        for picture in grey(range(N)):
            assert sum(reference() is not None for reference in given) <= RUNS + 1
            given.append(weakref.ref(picture))
            yield picture

    observe(model, pictures())
    assert len(given) == N


def test_runs_with_large_outputs_are_looked_at_one_by_one(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    looks = Taps.looks

    def counted(self: Taps, arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, Look]:
        looked.append(len(next(iter(arrays.values()))))
        return looks(self, arrays)

    monkeypatch.setattr(Taps, "looks", counted)
    together = observe(model, grey(range(N)))
    monkeypatch.setattr(groups, "HELD_BYTES", 1)
    alone = observe(model, grey(range(N)))
    assert looked == [N] + [1] * N
    for name, stats in together.ranges.items():
        assert stats.bins is not None
        np.testing.assert_array_equal(stats.bins, alone.ranges[name].bins)


def test_runs_that_give_nothing_at_all_are_taken() -> None:
    held = groups.Groups(_Silent(), Averages([]), [], histogram=False)  # type: ignore[arg-type]
    held.add({"empty": np.zeros((1, 0), np.float32)}, 0)
    assert held.parts() == {}


class _Silent:
    """Taps of nothing."""

    def looks(self, arrays: object) -> dict[str, Look]:
        """None."""
        return {}


@pytest.mark.parametrize("method", ["default", *ranges.METHODS])
def test_extremes_alone_are_taken_where_the_method_needs_no_more(method: str, model: Path) -> None:
    stats = observe(model, graphs.pictures(2), method=method)
    assert {one.bins is not None for one in stats.ranges.values()} == {ranges.needs_histogram(method)}


def test_nan_is_named_with_the_tensor_and_the_sample(tmp_path: Path) -> None:
    b = graphs.Builder(pixels=False)
    inner = b.node("Exp", b.conv("input", 3, 8))
    model = b.save(tmp_path / "model.onnx", b.conv(inner, 8, 8))
    fine = np.zeros((1, 3, graphs.SIDE, graphs.SIDE), np.float32)
    with pytest.raises(InputError, match="sample 2") as caught:
        observe(model, [fine, fine, np.full_like(fine, np.nan)])
    assert caught.value.facts == {"tensor": "input", "sample": 2}
    with pytest.raises(InputError, match="sample 1") as caught:
        observe(model, [fine, np.full_like(fine, 1e6)])  # Exp overflows
    assert caught.value.facts == {"tensor": inner, "sample": 1}


def test_a_sample_of_another_shape_or_dtype_is_named_with_what_is_wanted(model: Path) -> None:
    fine = next(graphs.pictures(1))
    for wrong in (fine[:, :8], fine.astype(np.float32)):
        with pytest.raises(InputError, match="sample 1 is") as caught:
            observe(model, [fine, wrong])
        assert "uint8" in caught.value.problem
        assert str(list(wrong.shape)) in caught.value.problem


def test_no_sample_at_all_is_refused(model: Path) -> None:
    with pytest.raises(InputError, match="no image"):
        observe(model, [])


def test_the_input_is_told(model: Path) -> None:
    assert input_of(model) == TensorSpec(name="input", dtype="uint8", shape=(1, 16, 16, 3))


@pytest.mark.parametrize("case", graphs.CASES)
def test_every_tensor_that_any_scheme_quantizes_is_observed(case: str, tmp_path: Path) -> None:
    graph = reading.load(graphs.write(case, tmp_path))
    observed = tensors_to_observe(graph)
    assert len(set(observed)) == len(observed)
    for scheme in SCHEMES.values():
        for residual in ("both", "skip"):
            for ends in (True, False):
                variant = msgspec.structs.replace(
                    scheme, residual=residual, first_float=ends, last_float=ends
                )
                assert set(plan(graph, variant).pairs) <= set(observed)
