"""The search at work: models written once, timed against the plain one, judged by their engines' answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import onnx
import pytest

from edgetl.backends import folder as engines
from edgetl.backends.seam import Session
from edgetl.bench.comparison import Ratio, verdict
from edgetl.devices import DeviceProfile
from edgetl.quantize import observe, place, schemes
from edgetl.search import course
from edgetl.search.course import Course
from edgetl.search.placements import PLAIN, Placement
from tests.quantize import graphs
from tests.quantize.planted import network

PROFILE = DeviceProfile(name="box", backend="fake", device="CPU")
SCHEME = schemes.find("openvino-cpu")
ENDS = "first and last layer in float"


class Told:
    """A comparison whose figures are given."""

    def __init__(self, times: Mapping[str, float], names: Sequence[str]) -> None:
        self._times = {name: times.get(name, 1.0) for name in names if name != PLAIN}

    def versus(self) -> dict[str, Ratio]:
        found = {}
        for name, time in self._times.items():
            ci95 = (time - 0.005, time + 0.005)
            found[name] = Ratio(ratio=time, ci95=ci95, verdict=verdict(ci95), instances=8)
        return found


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, float]], list[int]]:
    """Let placements take so much of the plain one's time; the instances that each race was asked for."""

    def give(times: Mapping[str, float]) -> list[int]:
        asked: list[int] = []

        def compare(contenders: Mapping[str, Any], *, instances: int, **rest: Any) -> Told:
            asked.append(instances)
            assert rest["baseline"] == PLAIN
            return Told(times, list(contenders))

        monkeypatch.setattr(course, "compare", compare)
        return asked

    return give


def run(
    folder: Path, *, lost: Callable[[Session], float] = lambda session: 0.0, max_drop: float = 1.0
) -> tuple[Placement, Path, dict[str, Any], list[tuple[int, int]]]:
    """Search placements of a small network."""
    model = network(folder / "float.onnx", planted=False)
    onnx.save(onnx.shape_inference.infer_shapes(onnx.load(model)), model)  # the fake backend reads the shapes
    seen = observe.observe(model, graphs.pictures(4))
    default = folder / "default"
    engines.compile_into(model, msgspec.structs.replace(PROFILE, precision="default"), default)
    written: list[str] = []

    def quantize(placement: Placement, out: Path) -> Sequence[str]:
        written.append(placement.name)
        return place.quantize(model, seen, placement.scheme, "minmax", out, kept=set(placement.kept)).layers

    steps: list[tuple[int, int]] = []
    scratch = folder / "scratch"
    scratch.mkdir()
    found = Course(
        quantize, lost, default, PROFILE, scratch, on_progress=lambda *step: steps.append(step)
    ).run(SCHEME, max_drop)
    assert len(written) == len(set(written)), "each is written once"
    return found[0], found[1], {row.name: row for row in found[2]}, steps


def layers_in_float(model: Path) -> set[str]:
    graph = onnx.load(model).graph
    back = {name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    return {
        node.name for node in graph.node if node.op_type in ("Conv", "Gemm") and node.input[1] not in back
    }


def test_the_model_of_the_winner_is_given_back(
    tmp_path: Path, timed: Callable[[Mapping[str, float]], list[int]]
) -> None:
    asked = timed({ENDS: 0.9})
    best, model, rows, steps = run(tmp_path)
    assert best.name == ENDS
    assert layers_in_float(model) == set(best.kept)
    assert rows[ENDS].outcome == "kept"
    assert asked == [course.SCREENED, course.FINAL]
    assert all(done <= total for done, total in steps)


def test_without_a_faster_one_the_plain_model_stays(
    tmp_path: Path, timed: Callable[[Mapping[str, float]], list[int]]
) -> None:
    timed({})
    best, model, _, _ = run(tmp_path)
    assert best.name == PLAIN
    assert layers_in_float(model) == set()


def test_a_faster_engine_that_loses_too_much_is_left(
    tmp_path: Path, timed: Callable[[Mapping[str, float]], list[int]]
) -> None:
    timed({ENDS: 0.5, "symmetric activations": 0.9})
    answers = iter([0.5, 3.0, 1.0])  # the plain one, then the promising ones, the fastest first
    best, _, rows, _ = run(tmp_path, lost=lambda session: next(answers))
    assert best.name == "symmetric activations"
    assert rows[ENDS].outcome == "over the accuracy budget"


def test_where_the_plain_one_is_over_the_budget_nothing_may_be_worse(
    tmp_path: Path, timed: Callable[[Mapping[str, float]], list[int]]
) -> None:
    timed({ENDS: 0.9})
    answers = iter([4.0, 4.0])
    assert run(tmp_path, lost=lambda session: next(answers))[0].name == ENDS
