"""The ladder: a layer that INT8 ruins is found and mended, and nothing is tried that is not needed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import onnx
import pytest

from edgetl import digest, pipeline
from edgetl.cache import Cache
from edgetl.devices import DeviceProfile
from edgetl.pipeline import Artifact, Context, Silent, Stage
from edgetl.quantize import schemes
from edgetl.stages import calibrate, quantize, refine, verify
from edgetl.stages import compile as compile_stage
from edgetl.stages.ladder import Deadline, Ladder, Variant, variant_of
from tests.quantize import graphs
from tests.quantize.planted import network

Array = npt.NDArray[Any]
HOST = {"cpu": "a test"}
PROFILE = DeviceProfile(name="box", backend="openvino", device="CPU", scheme="openvino-cpu")
PICTURES = {"train": 64, "select": 200, "test": 4}
HOUR = 3600.0


def ladder(
    model: Path, cache: Path, *, max_drop: float, time_budget: float = HOUR, ctx: Context | None = None
) -> dict[str, Artifact]:
    """The stages of a build around a model, from its export to the last rung; float is right on every picture."""
    pictures = {role: np.concatenate(list(graphs.pictures(n, seed=n))) for role, n in PICTURES.items()}

    def export(inputs: object, out: Path, ctx: Context) -> dict[str, str]:
        (out / "model.onnx").write_bytes(model.read_bytes())
        return {}

    def prepare(inputs: object, out: Path, ctx: Context) -> dict[str, Any]:
        for role, images in pictures.items():
            labels = graphs.answers(model, [picture[None] for picture in images]).argmax(axis=1)
            np.save(out / f"{role}.npy", images)
            np.save(out / f"{role}.labels.npy", labels)
        return {"preprocess": {}}

    stages = [
        Stage("export", 1, (), {"model": digest.of_file(model)}, {}, export),
        Stage("prepare", 1, ("export",), {}, {}, prepare),
        compile_stage.stage("f32", PROFILE, HOST, source="export"),
        verify.stage("f32", PROFILE, HOST),
        calibrate.stage(64, "minmax", 0),
        quantize.stage("openvino-cpu", "minmax", reduce_range=True),
        *refine.stages(
            PROFILE,
            "openvino-cpu",
            "minmax",
            HOST,
            reduce_range=True,
            max_drop=max_drop,
            time_budget=time_budget,
            seed=0,
        ),
    ]
    return pipeline.run(stages, Cache(cache), ctx or Context())


def climbed(artifacts: dict[str, Artifact]) -> dict[str, dict[str, Any]]:
    """The rungs by name, as ``--json`` prints them."""
    found: list[dict[str, Any]] = artifacts[refine.final()].record["rungs"]
    return {rung["rung"]: rung for rung in found}


def outcomes(artifacts: dict[str, Artifact]) -> dict[str, str]:
    return {name: rung["outcome"] for name, rung in climbed(artifacts).items()}


def made_of(artifacts: dict[str, Artifact]) -> Variant:
    return variant_of(artifacts[refine.final()], artifacts["export"], artifacts["calibrate"])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The planted network, with and without a bound that forbids to equalise its layers, and a cache for all."""
    folder = tmp_path_factory.mktemp("ladder")
    network(folder / "planted.onnx", planted=True)
    network(folder / "bounded.onnx", planted=True, bounded=True)
    return folder


@pytest.fixture(scope="module")
def equalised(home: Path) -> dict[str, Artifact]:
    """The ladder on the planted network, with a budget of 5 points, judged on the engine."""
    return ladder(home / "planted.onnx", home / "engine", max_drop=5.0)


@pytest.fixture
def defined(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge by what ONNX defines: an engine is a process and a compilation for each try."""

    def logits_of_model(model: Path, profile: object, pictures: Array) -> Array:
        return graphs.answers(model, [picture[None] for picture in pictures])

    monkeypatch.setattr("edgetl.stages.ladder.logits_of_model", logits_of_model)


@pytest.fixture
def kept(home: Path, defined: None) -> dict[str, Artifact]:
    """The ladder where layers cannot be equalised."""
    return ladder(home / "bounded.onnx", home / "cache", max_drop=5.0)


def test_a_planted_channel_is_found_and_equalised(equalised: dict[str, Artifact]) -> None:
    found = climbed(equalised)
    assert found["ranges"]["tries"][0]["drop_pt"] > 10, "the plant ruins INT8"
    assert min(one["drop_pt"] for one in found["method"]["tries"]) > 5.0, (
        "no range holds both kinds of channels"
    )
    assert found["equalise"]["outcome"] == "kept"
    assert min(one["drop_pt"] for one in found["equalise"]["tries"]) <= 5.0
    assert [found[name]["outcome"] for name in ("bias", "rounding", "float", "tune")] == ["not needed"] * 4
    assert "within the budget by equalise" in equalised[refine.final()].record["summary"]


def test_a_rung_says_what_was_lost_before_and_after(equalised: dict[str, Artifact]) -> None:
    found = climbed(equalised)["equalise"]
    best = min(found["tries"], key=lambda one: one["drop_pt"])
    assert f"{best['drop_pt']:.1f} after it" in found["why"]
    low, high = best["drop_ci95_pt"]
    assert low <= best["drop_pt"] <= high


def test_where_layers_cannot_be_equalised_the_one_to_blame_stays_in_float(kept: dict[str, Artifact]) -> None:
    found = climbed(kept)
    assert found["equalise"]["outcome"] == "does not apply"
    assert found["float"]["outcome"] == "kept"
    assert found["float"]["tries"][-1]["drop_pt"] <= 5.0
    assert made_of(kept).kept == ("conv_8",), "the layer that reads the channel, and no other"


def test_the_model_that_goes_on_is_the_one_that_won(kept: dict[str, Artifact]) -> None:
    proto = onnx.load(kept[refine.final()].path / "model.onnx")
    reader = next(node for node in proto.graph.node if node.name == "conv_8")
    made = {name: node.op_type for node in proto.graph.node for name in node.output}
    assert made.get(reader.input[0]) != "DequantizeLinear"


@pytest.mark.parametrize("case", ["equalised", "kept"])
def test_a_rung_tells_how_its_model_is_made_again(
    case: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    done = request.getfixturevalue(case)
    scheme = msgspec.structs.replace(schemes.find("openvino-cpu"), reduce_range=True)
    made_of(done).quantize(tmp_path / "again.onnx", scheme)
    assert (tmp_path / "again.onnx").read_bytes() == (done[refine.final()].path / "model.onnx").read_bytes()


def test_a_variant_takes_another_scheme_and_more_layers_in_float(
    equalised: dict[str, Artifact], tmp_path: Path
) -> None:
    variant = replace(made_of(equalised), kept=("conv_8",))
    report = variant.quantize(tmp_path / "other.onnx", schemes.find("tensorrt"))
    assert report.scheme == "tensorrt"
    assert [layer.name for layer in report.left_float] == ["conv_8"]


@pytest.mark.usefixtures("defined")
def test_nothing_is_tried_where_ranges_are_enough(tmp_path: Path) -> None:
    model = network(tmp_path / "model.onnx", planted=False)
    done = ladder(model, tmp_path / "cache", max_drop=5.0)
    assert outcomes(done) == {"ranges": "kept", **dict.fromkeys(refine.RUNGS, "not needed")}
    assert "within the budget" in done[refine.final()].record["summary"]
    assert (done[refine.final()].path / "model.onnx").read_bytes() == (
        done["quantize"].path / "model.onnx"
    ).read_bytes()


@pytest.mark.usefixtures("defined")
def test_a_budget_that_nothing_keeps_leaves_the_best_and_says_so(home: Path) -> None:
    done = ladder(home / "planted.onnx", home / "cache", max_drop=-100.0)
    found = climbed(done)
    assert found["float"]["tries"]
    assert found["tune"]["why"] == "there is no checkpoint to train on"
    assert "over the budget" in done[refine.final()].record["summary"]
    least = min(one["drop_pt"] for rung in found.values() for one in rung["tries"])
    assert least < found["ranges"]["tries"][0]["drop_pt"]


def cut(*given: object, **named: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.usefixtures("defined")
def test_a_ladder_that_was_killed_goes_on_at_its_rung(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("edgetl.stages.remedies.by_layer", cut)
        with pytest.raises(KeyboardInterrupt):
            ladder(home / "bounded.onnx", home / "cache", max_drop=4.9)
    done = ladder(home / "bounded.onnx", home / "cache", max_drop=4.9, time_budget=HOUR / 2)
    cached = {rung: done[f"refine:{rung}"].record["_run"]["cached"] for rung in refine.RUNGS}
    assert {rung for rung, whole in cached.items() if not whole} == {"float", "tune"}


@pytest.mark.usefixtures("defined")
def test_time_that_is_spent_skips_rungs_and_more_time_takes_them_up(home: Path) -> None:
    def climb(time_budget: float) -> dict[str, Artifact]:
        return ladder(home / "planted.onnx", home / "cache", max_drop=4.9, time_budget=time_budget)

    skipped = climb(0.0)
    assert outcomes(skipped) == {"ranges": "kept", **dict.fromkeys(refine.RUNGS, "no time")}
    assert "over the budget; out of time in method" in skipped[refine.final()].record["summary"]
    assert outcomes(climb(HOUR))["equalise"] == "kept"
    again = climb(0.0)
    assert all(again[f"refine:{rung}"].record["_run"]["cached"] for rung in refine.RUNGS), "all are whole"


@pytest.mark.usefixtures("defined")
def test_a_rung_that_runs_out_of_time_keeps_what_it_found(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock stands still until the equalised model is judged, then an hour has passed."""
    now = [0.0]
    consider = Ladder.consider

    def considered(self: Ladder, variant: Variant, what: str) -> bool:
        better = consider(self, variant, what)
        now[0] = 2 * HOUR if "equalised" in what else 0.0
        return better

    monkeypatch.setattr(Ladder, "consider", considered)
    monkeypatch.setattr("edgetl.stages.refine.Deadline", lambda seconds: Deadline(seconds, lambda: now[0]))
    done = ladder(home / "planted.onnx", home / "cache", max_drop=-50.0)
    found = climbed(done)
    assert found["equalise"]["outcome"] == "kept"
    assert found["equalise"]["cut"]
    assert outcomes(done)["rounding"] == outcomes(done)["float"] == "no time"


class Watching(Silent):
    """Keeps what a build tells those who watch."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def remarked(self, stage: str, text: str) -> None:
        self.told.append((stage, text))


@pytest.mark.usefixtures("defined")
def test_who_watches_sees_the_rung_the_drop_and_the_time_that_is_left(home: Path) -> None:
    watching = Watching()
    ladder(home / "planted.onnx", home / "cache", max_drop=4.8, ctx=Context(progress=watching))
    stage, text = watching.told[-1]
    assert stage == "refine:equalise"
    assert "equalised" in text and "points lost" in text
    assert re.search(r"\d+ (s|min) left", text)
