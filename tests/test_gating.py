"""``edgetl gate`` over bundles: its files, its exit codes, and what it refuses to compare."""

from __future__ import annotations

import json
import math
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgetl import digest, gating
from edgetl.bench import limits
from edgetl.bench.activity import Activity
from edgetl.bench.comparison import Contender
from edgetl.bench.context import Context
from edgetl.bench.gate import Draw, Rule
from edgetl.bench.instance import Blocks, Pace
from edgetl.bench.limits import Held, Limits
from edgetl.bundles import Answer
from edgetl.errors import BackendError, EdgetlError, EnvironmentLacks, InputError, NotComparable
from edgetl.pipeline import Silent
from edgetl.runtime import bundle as format_of
from edgetl.runtime import open_bundle
from edgetl.types import LatencyBudget, LayerInfo
from tests import handmade
from tests.bench.gated import Machine


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle on ONNX Runtime."""
    root = tmp_path_factory.mktemp("gating")
    return handmade.write_bundle(
        root / "bundle", handmade.write_pictures(root / "data"), backend="onnxruntime"
    )


class Profiles:
    """What profiling would tell, without a process: four layers that scatter; of some engines one is slow."""

    def __init__(self, slow: Path | None = None, seed: int = 0) -> None:
        self.asked: list[Path] = []
        self._slow = slow
        self._rng = np.random.default_rng([13, seed])

    def __call__(self, folder: Path, env: object) -> list[LayerInfo]:
        """One profile."""
        self.asked.append(folder.parent)
        times = 100 * self._rng.lognormal(0, 0.03, 4)
        times[2] *= 1.5 if folder.parent == self._slow else 1.0
        return [
            LayerInfo(name=name, kind="Convolution", precision="u8", microseconds=float(us))
            for name, us in zip(("stem", "body", "middle", "head"), times)
        ]


def gated(place: Path, out: Path, draw: Draw, against: Path | None = None, **how: Any) -> Answer:
    """The bundle against itself, or against another baseline."""
    rule, bounds = how.pop("rule", Rule()), how.pop("bounds", Limits())
    return gating.compare(
        [place], [against or place], rule, bounds, out=out, progress=Silent(), draw=draw, **how
    )


def code(failure: EdgetlError | None) -> int:
    """The exit code of an answer."""
    return 0 if failure is None else failure.exit_code


def changed(place: Path, copy: Path, **fields: Any) -> Path:
    """A copy of a bundle whose engine's record says otherwise."""
    shutil.copytree(place, copy)
    record = copy / format_of.ENGINE
    engine = msgspec.structs.replace(open_bundle(copy).engine, **fields)
    record.write_bytes(digest.canonical_json(engine))
    return handmade.reseal(copy)


@pytest.mark.parametrize(("slower", "said", "exit_code"), [(1.0, "pass", 0), (1.08, "fail", 1)])
def test_the_files_say_what_the_exit_code_says(
    place: Path, tmp_path: Path, slower: float, said: str, exit_code: int
) -> None:
    out = tmp_path / "gate"
    found = gated(place, out, Machine(slower))
    assert code(found.failure) == exit_code
    assert sorted(file.name for file in out.iterdir()) == sorted(gating.FILES)
    told = json.loads((out / "gate.json").read_bytes())
    assert told["verdict"] == told["models"][0]["verdict"] == said
    assert told["exit_code"] == exit_code
    case = ElementTree.parse(out / "gate.xml").getroot().find(".//testcase")
    assert case is not None and (case.find("failure") is not None) == (said == "fail")
    assert said.upper() in (out / "gate.md").read_text()
    assert ElementTree.parse(out / "gate.svg").getroot().tag.endswith("svg")
    assert any(said.upper() in line for line in found.lines)


def test_a_fail_names_the_layers_and_what_changed_around_them(place: Path, tmp_path: Path) -> None:
    other = changed(place, tmp_path / "other", built_with={"onnxruntime": "1.0"}, config={"opt": "old"})
    found = gated(place, tmp_path / "gate", Machine(1.1), other)
    lines = "\n".join(found.lines)
    assert "version onnxruntime: 1.0 ->" in lines
    assert "option opt: old -> none" in lines
    assert found.data["models"][0]["layers"]


def test_a_slow_layer_is_named_by_two_profiles_of_each_side_in_mirrored_order(
    place: Path, tmp_path: Path
) -> None:
    other = changed(place, tmp_path / "other", config={"opt": "old"})
    profiles = Profiles(slow=place)
    (told,) = gated(place, tmp_path / "gate", Machine(1.1), other, profile=profiles).data["models"][0][
        "layers"
    ]
    assert told.startswith("middle: ")
    assert profiles.asked == [other, place, place, other]


def test_where_no_layer_changed_none_is_named_though_profiles_scatter(place: Path, tmp_path: Path) -> None:
    other = changed(place, tmp_path / "other", config={"opt": "old"})
    (told,) = gated(place, tmp_path / "gate", Machine(1.1), other, profile=Profiles()).data["models"][0][
        "layers"
    ]
    assert "no layer differs beyond the scatter of its own profiles" in told


def test_an_engine_that_cannot_be_profiled_costs_the_layers_alone(place: Path, tmp_path: Path) -> None:
    def gone(folder: Path, env: object) -> list[LayerInfo]:
        raise BackendError("the profiler is gone")

    other = changed(place, tmp_path / "other", config={"opt": "old"})
    found = gated(place, tmp_path / "gate", Machine(1.1), other, profile=gone)
    assert found.data["models"][0]["layers"] == ["the layers cannot be told: the profiler is gone"]
    assert code(found.failure) == 1


def test_one_engine_on_both_sides_has_no_layer_that_changed(place: Path, tmp_path: Path) -> None:
    (told,) = gated(place, tmp_path / "gate", Machine(1.1)).data["models"][0]["layers"]
    assert "the same bytes" in told


def test_what_was_asked_for_another_thing_is_not_comparable(place: Path, tmp_path: Path) -> None:
    inputs = open_bundle(place).engine.inputs
    more = msgspec.structs.replace(inputs[0], shape=(4, *inputs[0].shape[1:]))
    other = changed(place, tmp_path / "other", inputs=(more, *inputs[1:]))
    machine = Machine()
    with pytest.raises(NotComparable, match="inputs") as caught:
        gated(place, tmp_path / "gate", machine, other)
    assert caught.value.exit_code == 4
    assert machine.drawn == 0


def test_a_gate_is_the_baseline_of_a_later_one_on_the_same_host_only(place: Path, tmp_path: Path) -> None:
    gated(place, tmp_path / "before", Machine(seed=1))
    before = tmp_path / "before/gate.json"
    assert code(gated(place, tmp_path / "again", Machine(seed=2), before).failure) in (0, 3)
    assert code(gated(place, tmp_path / "slower", Machine(1.1, seed=2), before).failure) == 1
    told = json.loads(before.read_bytes())
    told["models"][0]["measured"]["host"]["cpu"] = "another"
    before.write_text(json.dumps(told))
    with pytest.raises(NotComparable, match=r"cpu .* against another"):
        gated(place, tmp_path / "elsewhere", Machine(), before)


def test_a_gate_of_one_metric_is_no_baseline_of_another(place: Path, tmp_path: Path) -> None:
    for kept, asked, words in (
        ("p50", "p99", "an instance has 66 runs, p99 takes 662"),
        ("p99", "p50", "its blocks are of another length"),
    ):
        before = tmp_path / f"{kept}/gate.json"
        gated(place, before.parent, Machine(seed=1), rule=msgspec.convert({"metric": kept}, Rule))
        machine, rule = Machine(seed=2), msgspec.convert({"metric": asked}, Rule)
        with pytest.raises(NotComparable, match=words) as caught:
            gated(place, tmp_path / "gate", machine, before, rule=rule)
        assert caught.value.hint == f"store one with --metric {asked}"
        assert machine.drawn == 0
        rule = msgspec.convert({"metric": kept}, Rule)
        assert code(gated(place, tmp_path / "gate", machine, before, rule=rule).failure) in (0, 3)


@pytest.mark.parametrize("out", ["gate", "link"])
def test_a_stored_baseline_is_not_overwritten_by_the_gate_that_reads_it(
    place: Path, tmp_path: Path, out: str
) -> None:
    gated(place, tmp_path / "gate", Machine(seed=1))
    before = tmp_path / "gate/gate.json"
    kept = before.read_bytes()
    (tmp_path / "link").symlink_to("gate")
    machine = Machine(seed=2)
    with pytest.raises(InputError, match="would be overwritten"):
        gated(place, tmp_path / out, machine, before)
    assert before.read_bytes() == kept
    assert machine.drawn == 0


@pytest.mark.parametrize("inside", ["", "gate"])
def test_a_gate_writes_nothing_into_a_bundle(place: Path, tmp_path: Path, inside: str) -> None:
    bundle = Path(shutil.copytree(place, tmp_path / "bundle"))
    machine = Machine()
    with pytest.raises(InputError, match="is in the bundle"):
        gated(bundle, bundle / inside, machine)
    assert machine.drawn == 0
    assert open_bundle(bundle).manifest == open_bundle(place).manifest


@pytest.mark.parametrize(
    "break_it",
    ["not json", "no models", "a time of zero", "a negative time", "no times", "an empty block", "no blocks"],
)
def test_a_file_that_is_no_measurement_is_refused(place: Path, tmp_path: Path, break_it: str) -> None:
    gated(place, tmp_path / "before", Machine())
    before = tmp_path / "before/gate.json"
    told = json.loads(before.read_bytes())
    measured = told["models"][0]["measured"]
    if break_it == "no models":
        told["models"] = []
    elif break_it == "no times":
        measured["instances"] = []
    elif break_it == "an empty block":
        measured["instances"][3][2] = []
    elif break_it == "no blocks":
        measured["instances"][3] = []
    else:
        measured["instances"][0][0][0] = 0 if break_it == "a time of zero" else -5
    before.write_text("{" if break_it == "not json" else json.dumps(told))
    with pytest.raises(InputError):
        gated(place, tmp_path / "gate", Machine(), before)


def test_hard_limits_fail_whatever_the_comparison_says(place: Path, tmp_path: Path) -> None:
    bounds = Limits(latency=LatencyBudget(ms=1.0))
    found = gated(place, tmp_path / "gate", Machine(), bounds=bounds)
    assert found.data["models"][0]["verdict"] == "pass"
    assert code(found.failure) == 1
    assert "limit 1 ms: over" in "\n".join(found.lines)
    assert "over" in (tmp_path / "gate/gate.md").read_text()
    roomy = Limits(latency=LatencyBudget(ms=100.0))
    assert found.failure is not None
    assert gated(place, tmp_path / "roomy", Machine(), bounds=roomy).failure is None


def dying(after: int, error: BaseException) -> Draw:
    """A machine that ends early."""
    machine = Machine()

    def draw(*given: Any) -> Any:
        if machine.drawn == after:
            raise error
        return machine(*given)

    return draw


@pytest.mark.parametrize(
    ("error", "exit_code"), [(BackendError("the device is gone"), 5), (KeyboardInterrupt(), 130)]
)
def test_what_ended_early_is_written_and_marked(
    place: Path, tmp_path: Path, error: BaseException, exit_code: int
) -> None:
    found = gated(place, tmp_path / "gate", dying(14, error))
    assert code(found.failure) == exit_code
    told = json.loads((tmp_path / "gate/gate.json").read_bytes())
    assert told["verdict"] == "partial"
    assert told["models"][0]["pairs"] == 6
    assert "PARTIAL" in "\n".join(found.lines)


def test_an_engine_that_never_ran_is_its_own_error(place: Path, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="gone"):
        gated(place, tmp_path / "gate", dying(0, BackendError("the device is gone")))


def test_a_place_that_cannot_be_written_is_told_before_anything_is_measured(
    place: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    machine = Machine()
    with pytest.raises(EdgetlError):
        gated(place, tmp_path / "file/gate", machine)
    assert machine.drawn == 0


def test_a_disk_that_fills_up_costs_the_files_and_not_the_answer(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    found = gated(place, tmp_path / "gate", Machine())
    assert isinstance(found.failure, EnvironmentLacks)
    assert "PASS" in "\n".join(found.lines)
    assert "not written" in "\n".join(found.lines)
    assert list((tmp_path / "gate").iterdir()) == []


def test_each_candidate_takes_a_baseline(place: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 candidates and 1 baselines"):
        gating.compare(
            [place, place], [place], Rule(), Limits(), out=tmp_path, progress=Silent(), draw=Machine()
        )


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.inf, math.nan])
def test_a_gate_without_time_is_refused_before_anything_is_written(
    place: Path, tmp_path: Path, seconds: float
) -> None:
    rule, out = Rule(seconds=seconds), tmp_path / "gate"
    with pytest.raises(InputError, match="not a time above 0"):
        gating.compare([place], [place], rule, Limits(), out=out, progress=Silent(), draw=Machine())
    assert not out.exists()


def test_several_models_have_a_verdict_and_a_picture_each(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "gate"
    found = gating.compare(
        [place, place], [place, place], Rule(), Limits(), out=out, progress=Silent(), draw=Machine()
    )
    assert [model["verdict"] for model in found.data["models"]] == ["pass", "pass"]
    assert (out / "gate.2.svg").is_file()
    assert len(ElementTree.parse(out / "gate.xml").getroot().findall(".//testcase")) == 2


@pytest.mark.parametrize("in_limits", [False, True])
@pytest.mark.parametrize(
    ("error", "exit_code"), [(BackendError("the device is gone"), 5), (KeyboardInterrupt(), 130)]
)
def test_a_later_model_that_never_ran_leaves_the_verdicts_before_it(
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    in_limits: bool,
    error: BaseException,
    exit_code: int,
) -> None:
    bad = Path(shutil.copytree(place, tmp_path / "bad"))
    machine = Machine(1.1)

    def refuse(*contenders: Contender) -> None:
        if any(str(one.arguments["folder"]).startswith(str(bad)) for one in contenders):
            raise error

    def draw(contenders: Mapping[str, Contender], pace: Pace, env: Mapping[str, str] | None) -> Blocks:
        refuse(*contenders.values())
        return machine(contenders, pace, env)

    def measure(bounds: Limits, contender: Contender, env: object) -> list[Held]:
        refuse(contender)
        return []

    if in_limits:
        monkeypatch.setattr(limits, "measure", measure)
    found = gating.compare(
        [place, bad, place],
        [place] * 3,
        Rule(),
        Limits(),
        out=tmp_path / "gate",
        progress=Silent(),
        draw=draw,
    )
    assert code(found.failure) == exit_code
    told = json.loads((tmp_path / "gate/gate.json").read_bytes())
    assert [model["verdict"] for model in told["models"]] == ["fail", "partial"]
    assert told["models"][1]["pairs"] == 0
    assert told["left_out"] == 1
    cases = ElementTree.parse(tmp_path / "gate/gate.xml").getroot().findall(".//testcase")
    assert [case.find("failure") is not None for case in cases] == [True, False]
    assert cases[1].find("error") is not None
    assert "**FAIL**" in (tmp_path / "gate/gate.md").read_text()


@pytest.mark.parametrize("others", [0.0, 0.4])
def test_what_others_took_is_a_doubt_and_the_gates_own_processes_are_none(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: float
) -> None:
    readings = iter([(0.0, 0.0, 0.0), (100.0, 60.0, 60.0 - 100 * others)])
    monkeypatch.setattr(
        "edgetl.bench.activity.read",
        lambda: Activity(**dict(zip(("all_s", "busy_s", "own_s"), next(readings))), stolen_s=0.0),
    )
    monkeypatch.setattr("edgetl.bench.context.read", lambda **_: Context(load=9.0, usable_cores=2))
    found = gated(place, tmp_path / "out", Machine())
    told = [line for line in found.lines if "doubt" in line]
    assert any("other processes had 40 % of the processors" in line for line in told) == (others > 0)
    assert not any("load" in line for line in told)


def test_names_with_markup_in_them_stay_text(place: Path, tmp_path: Path) -> None:
    evil = shutil.copytree(place, tmp_path / "a<b>|c&d")
    found = gated(evil, tmp_path / "gate", Machine())
    assert found.failure is None
    ElementTree.parse(tmp_path / "gate/gate.xml")
    ElementTree.parse(tmp_path / "gate/gate.svg")
    assert "<b>" not in (tmp_path / "gate/gate.md").read_text()
