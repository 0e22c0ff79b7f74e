"""What a build came to: the one JSON object, its verdict, and the block that is printed from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgetl.devices import DeviceProfile
from edgetl.errors import EdgetlError, EnvironmentLacks, GateFailed, Inconclusive
from edgetl.pipeline import Artifact
from edgetl.report import summary
from edgetl.report.result import Outcome, assemble, next_commands
from edgetl.types import BuildSpec

HERE = DeviceProfile(name="local", backend="openvino", device="CPU")
PENDING = {"reason": "built on the board", "next": ["copy it", "trtexec ..."]}
ALL = ("f32", "default", "int8")


def records(**changed: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What the stages of a good build leave, with single values changed by stage."""
    accuracy = {
        "fp32": 0.942,
        "default": 0.942,
        "int8": 0.939,
        "shipped": 0.939,
        "n": 412,
        "drop_pt": 0.24,
        "drop_ci95_pt": [-0.6, 1.1],
        "budget_pt": 1.0,
        "verdict": "unproven",
        "sentence": "drop 0.24 points: within, unproven",
        "worst_class": "worst class ants",
    }
    found: dict[str, dict[str, Any]] = {
        "check": {"classes": ["ants", "bees"], "warnings": ["two look alike"]},
        "backbone": {},
        "train": {"training": {}},
        "bench": {
            "latency_ms": {name: {"p50": 2.0, "p90": 2.1, "p99": None, "n": 70} for name in ALL},
            "versus_default": {"int8": {"ratio": 0.9, "ci95": [0.88, 0.92], "verdict": "faster"}},
            "use": {},
            "context": {"cpu": "a CPU"},
        },
        "select": {
            "shipped": "int8",
            "reason": "the fastest",
            "accuracy": accuracy,
            "select_drop_pt": {"f32": 0.0, "default": 0.0, "int8": 0.3},
            "select_images": 36,
            "operating_point": None,
            "notes": [],
            "worst_images": [],
            "latency": {},
        },
        **{f"compile:{name}": {"size_bytes": 1_800_000 if name == "int8" else 6_100_000} for name in ALL},
        **{
            f"explain:{name}": {
                "executed": "bf16",
                "int8_time_share": 0.91,
                "int8_layer_share": 0.8,
                "reorders": 3,
                "float_layers": {"Pooling": 1},
                "slowest": [{"name": "stem", "kind": "Convolution", "precision": "u8", "share": 0.4}],
            }
            for name in ALL
        },
    }
    for stage, values in changed.items():
        found[stage] = {**found[stage], **values}
    return found


def outcome(
    spec: BuildSpec | None = None,
    profile: DeviceProfile = HERE,
    pending: dict[str, Any] | None = None,
    accuracy: dict[str, Any] | None = None,
    **changed: dict[str, Any],
) -> Outcome:
    made = records(**changed)
    made["select"]["accuracy"] = {**made["select"]["accuracy"], **(accuracy or {})}
    candidates = ("f32", "int8") if pending else ALL
    left = {"bench", "compile:default", *(f"explain:{name}" for name in ALL)} if pending else set()
    run = {"key": "k", "cached": False, "seconds": 1.0}
    artifacts = {
        name: Artifact(Path(), {**record, "_run": run}, "0")
        for name, record in made.items()
        if name not in left
    }
    return assemble(spec or BuildSpec(data="parts"), profile, artifacts, candidates, pending, "")


def text(found: Outcome) -> str:
    where = {"bundle": "runs/parts/1", "latest": "runs/latest", "data": "parts"}
    shown = {**found.data, **where}
    return "\n".join(summary.lines({**shown, "next": next_commands(shown)}))


def test_a_good_build_says_what_ships_why_and_what_to_do_next() -> None:
    found = outcome()
    assert found.failure is None
    assert found.data["int8_time_share"] == 0.91
    assert found.data["size_bytes"] == {"f32": 6_100_000, "default": 6_100_000, "int8": 1_800_000}
    shown = text(found)
    assert "▸ int8" in shown
    assert "91 % of the time in INT8" in shown
    assert "bf16" in shown
    assert "two look alike" in shown
    assert "edgetl predict runs/latest photo.jpg" in shown


@pytest.mark.parametrize(
    ("gain", "words"), [({"n": 400}, "--data './the city'"), (None, "--data 'shards-{00..09}.tar'")]
)
def test_the_next_command_judges_where_accuracy_was_measured_and_can_be_pasted(
    gain: dict[str, Any] | None, words: str
) -> None:
    places = {"latest": "runs/latest", "data": "shards-{00..09}.tar", "adapt": "./the city"}
    assert f"edgetl verify runs/latest {words}" in next_commands({**places, "adaptation": {"gain": gain}})


def test_int8_that_does_not_ship_says_the_reason_the_layers_in_float_and_how_to_insist() -> None:
    shown = text(outcome(select={"shipped": "default", "reason": "int8 is 7 % slower"}))
    assert "▸ default" in shown
    assert "not shipped: int8 is 7 % slower" in shown
    assert "1 Pooling" in shown
    assert "3 reorders" in shown
    assert "--precision int8 ships it anyway (3.4 times smaller)" in shown


def test_what_auto_took_and_why_is_in_the_last_block() -> None:
    why = "fine-tuning brings nothing: 91.7 % against 94.4 % of the linear probe on 36 select images"
    assert f"auto    took feature: {why}" in text(
        outcome(train={"training": {"picked": "feature", "why": why}})
    )


def test_int8_that_is_larger_is_not_called_smaller() -> None:
    sizes: dict[str, Any] = {
        f"compile:{name}": {"size_bytes": 50_000 if name == "int8" else 25_000} for name in ALL
    }
    shown = text(outcome(select={"shipped": "default", "reason": "int8 is 7 % slower"}, **sizes))
    assert "--precision int8 ships it anyway (2.0 times larger)" in shown


def test_over_the_accuracy_budget_the_answer_is_no() -> None:
    found = outcome(accuracy={"verdict": "over", "drop_pt": 2.0})
    assert isinstance(found.failure, GateFailed)


def test_an_unproven_drop_is_inconclusive_for_those_who_ask() -> None:
    strict = BuildSpec(data="parts", strict=True)
    assert isinstance(outcome(strict).failure, Inconclusive)
    assert outcome(strict, accuracy={"verdict": "proven"}).failure is None


def latency_verdicts(int8: str) -> dict[str, Any]:
    """What the select stage says of the latency budget, by candidate."""
    over = {"verdict": "over", "sentence": "p90 9.00 ms, budget 5 ms: over", "slow": True}
    return {
        "f32": over,
        "default": over,
        "int8": {"verdict": int8, "sentence": f"p90 told, budget 5 ms: {int8}", "slow": int8 == "over"},
    }


def test_a_latency_budget_that_is_kept_is_shown_for_every_candidate() -> None:
    found = outcome(select={"latency": latency_verdicts("within")})
    assert found.failure is None
    shown = text(found)
    assert "drop 0.3 points on 36 select images; p90 told, budget 5 ms: within" in shown
    assert shown.count("p90 9.00 ms, budget 5 ms: over") == 2


def test_over_the_latency_budget_the_answer_is_no_and_the_layers_to_blame_are_named() -> None:
    found = outcome(select={"latency": latency_verdicts("over")})
    assert isinstance(found.failure, GateFailed)
    assert "stem 40 %" in found.failure.problem
    assert found.failure.facts["candidates"] == found.data["candidates"]
    assert set(found.data["candidates"]) == set(ALL)


def test_over_the_memory_budget_the_answer_is_no_and_no_layer_is_blamed() -> None:
    over = {"verdict": "over", "sentence": "memory 107 MiB, budget 40 MiB: over", "slow": False}
    found = outcome(select={"latency": dict.fromkeys(ALL, over)})
    assert isinstance(found.failure, GateFailed)
    assert "memory 107 MiB, budget 40 MiB: over" in found.failure.problem
    assert "stem" not in found.failure.problem


def test_a_power_that_no_sensor_measures_fails_only_those_who_ask_for_proof() -> None:
    said = {"verdict": "unmeasured", "sentence": "power: no source, budget 5 W not judged", "slow": False}
    held = {"latency": dict.fromkeys(ALL, said)}
    assert outcome(select=held).failure is None
    assert "power: no source" in text(outcome(select=held))
    assert isinstance(outcome(BuildSpec(data="parts", strict=True), select=held).failure, Inconclusive)


def test_where_int8_is_fast_enough_and_too_wrong_its_worst_layers_are_named_too() -> None:
    tries = [{"kept": ["conv_3"]}, {"kept": ["conv_3", "conv_1"]}]
    made = records(select={"shipped": "default", "latency": latency_verdicts("over")})
    made["refine:float"] = {"rungs": [{"rung": "float", "tries": tries}]}
    run = {"key": "k", "cached": False, "seconds": 1.0}
    artifacts = {name: Artifact(Path(), {**record, "_run": run}, "0") for name, record in made.items()}
    found = assemble(BuildSpec(data="parts"), HERE, artifacts, ALL, None, "")
    assert found.failure is not None
    assert "INT8 loses most in conv_3, conv_1" in found.failure.problem


def test_a_latency_that_cannot_be_told_is_inconclusive_not_kept() -> None:
    assert isinstance(outcome(select={"latency": latency_verdicts("unproven")}).failure, Inconclusive)


def test_a_candidate_of_another_backend_ships_under_its_backend() -> None:
    made = records(select={"shipped": "int8@onnxruntime", "reason": "the fastest"})
    made["select"]["select_drop_pt"]["int8@onnxruntime"] = 0.1
    made |= {f"{stage}:int8@onnxruntime": made[f"{stage}:int8"] for stage in ("compile", "explain")}
    run = {"key": "k", "cached": False, "seconds": 1.0}
    artifacts = {name: Artifact(Path(), {**record, "_run": run}, "0") for name, record in made.items()}
    found = assemble(BuildSpec(data="parts"), HERE, artifacts, (*ALL, "int8@onnxruntime"), None, "")
    shipped = found.data["shipped"]
    assert (shipped["candidate"], shipped["precision"], shipped["backend"]) == (
        "int8@onnxruntime",
        "int8",
        "onnxruntime",
    )
    assert "▸ int8 on onnxruntime" in text(found)


@pytest.mark.parametrize(("required", "expected"), [(False, type(None)), (True, EnvironmentLacks)])
def test_a_pending_engine_is_said_first_and_fails_only_where_it_is_required(
    required: bool, expected: type[EdgetlError | None]
) -> None:
    found = outcome(BuildSpec(data="parts", require_engine=required), pending=PENDING)
    assert isinstance(found.failure, expected)
    shown = text(found)
    assert shown.split("\n")[1] == "  engine: pending · built on the board"
    assert "trtexec" in shown
    assert "a reference" in shown
