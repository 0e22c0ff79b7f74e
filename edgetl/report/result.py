"""What a build came to, as one JSON object: what ``--json`` prints and ``results.json`` keeps."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgetl.candidate import backend_of, precision_of
from edgetl.devices import DeviceProfile
from edgetl.errors import EdgetlError, EnvironmentLacks, GateFailed, Inconclusive
from edgetl.ops.library import PLUGIN
from edgetl.pipeline import Artifact
from edgetl.report import rivals, training
from edgetl.tasks import Tasks, of_record
from edgetl.types import BuildSpec
from edgetl.words import counted

__all__ = ["REFERENCE_NOTE", "WAITING_NOTE", "Outcome", "assemble", "next_commands"]

WAITING_NOTE = "accuracy is that of ONNX Runtime on this host, a reference: the engine is not built yet"
REFERENCE_NOTE = (
    "accuracy is that of ONNX Runtime where it was built, a reference: "
    "edgetl verify BUNDLE --data DIR measures the engine's"
)
"""What a pending bundle says of its accuracy, and what it says once it has an engine."""

LIBRARY_STEP = (
    f"{PLUGIN}: edgetl compile builds it on the device where nvcc and TensorRT's headers are; or make kernels "
    "TENSORRT_INCLUDE=DIR on a host of its kind, and staticPlugins: FILE in the profile's options"
)
BLAMED = 3
"""Layers that a failure names."""


@dataclass(frozen=True)
class Outcome:
    """The data of a build, and why its answer is no (``None`` where it is yes)."""

    data: Mapping[str, Any]
    failure: EdgetlError | None


def assemble(
    spec: BuildSpec,
    profile: DeviceProfile,
    artifacts: Mapping[str, Artifact],
    candidates: Sequence[str],
    pending: Mapping[str, Any] | None,
    host_note: str,
) -> Outcome:
    """Collect the records of the stages into the summary's data, and judge it.

    Parameters
    ----------
    pending : ``{reason, next}`` where the engine is still to be built on the device, else ``None``.
    host_note : what this host is to the profile, or empty.
    """
    chosen = artifacts["select"].record
    timed = (
        artifacts["bench"].record
        if "bench" in artifacts
        else {"latency_ms": {}, "versus_default": {}, "use": {}}
    )
    executed = {
        name: artifacts[f"explain:{name}"].record for name in candidates if f"explain:{name}" in artifacts
    }
    sizes = {name: artifacts[f"compile:{name}"].record["size_bytes"] for name in candidates}
    shipped = chosen["shipped"]
    asked = of_record(artifacts["check"].record.get("tasks"))
    is_fused = spec.fused_head and (pending is not None or shipped != "f32")
    data = {
        "device": profile.name,
        "task": _task(asked),
        "model": spec.model,
        "method": spec.method,
        "training": training.facts(spec, artifacts),
        "shipped": {
            "candidate": shipped,
            "precision": precision_of(shipped),
            "backend": backend_of(shipped, profile.backend),
            "reason": chosen["reason"],
        },
        "accuracy": {**chosen["accuracy"], "reference_only": pending is not None},
        "operating_point": chosen["operating_point"],
        "worst_images": chosen["worst_images"],
        "outputs": [{"name": task.name, "kind": task.kind, "labels": list(task.labels)} for task in asked]
        or [
            {
                "name": "probabilities" if is_fused else "logits",
                "kind": "classes",
                "labels": artifacts["check"].record["classes"],
            }
        ],
        "latency_ms": timed["latency_ms"],
        "versus_default": timed["versus_default"],
        "use": timed["use"],
        "context": timed.get("context"),
        "select_images": chosen["select_images"],
        "candidates": rivals.rows(candidates, chosen, timed["latency_ms"], executed),
        "int8_time_share": executed["int8"]["int8_time_share"] if "int8" in executed else None,
        "int8_layer_share": executed["int8"]["int8_layer_share"] if "int8" in executed else None,
        "size_bytes": sizes,
        "ladder": _ladder(artifacts),
        "search": artifacts["search"].record["raced"] if "search" in artifacts else [],
        "fp16": _fp16(artifacts),
        "fused_head": _fused(artifacts) if is_fused else None,
        "kernels": _kernels(artifacts),
        "remarks": {name: _remark(name, executed.get(name), sizes, timed, chosen) for name in candidates},
        "stages": [
            {"name": name, **{key: artifact.record["_run"][key] for key in ("key", "cached", "seconds")}}
            for name, artifact in artifacts.items()
        ],
        "notes": _notes(artifacts, host_note, pending),
        **({"adaptation": _adaptation(artifacts)} if "gain" in artifacts else {}),
        **({"pending": _left(artifacts, pending)} if pending else {}),
    }
    return Outcome(data, _judge(spec, chosen, data))


def _task(asked: Tasks) -> str:
    """What the network does, in the field's words."""
    if not asked:
        return "classify"
    return "multi-task" if len(asked) > 1 else "regress"


def _ladder(artifacts: Mapping[str, Artifact]) -> list[Any]:
    """What was done to keep the accuracy of int8, rung by rung, as it did on the ``select`` images."""
    refined = [artifact for name, artifact in artifacts.items() if name.startswith("refine:")]
    return list(refined[-1].record["rungs"]) if refined else []


def _fp16(artifacts: Mapping[str, Artifact]) -> Mapping[str, Any] | None:
    """What has FP16 types in the strongly typed model, and what not and why; ``None`` where there is none."""
    if "halve" not in artifacts:
        return None
    return {key: value for key, value in artifacts["halve"].record.items() if key not in ("_run", "summary")}


def _adaptation(artifacts: Mapping[str, Artifact]) -> Mapping[str, Any]:
    """What it brought to adapt to target frames, by engines."""
    told = {key: value for key, value in artifacts["gain"].record.items() if key not in ("_run", "summary")}
    frames = artifacts["domain"].record
    return {**told, "digest": frames["digest"], "unreadable": frames["unreadable"]}


def _fused(artifacts: Mapping[str, Artifact]) -> Mapping[str, Any]:
    """What the one node stands for, and how far it is from the plain head, by the file of the model."""
    made = [artifact.record for name, artifact in artifacts.items() if name.startswith("fuse:")]
    left_out = ("_run", "file", "summary")
    return {record["file"]: {k: v for k, v in record.items() if k not in left_out} for record in made}


def _kernels(artifacts: Mapping[str, Artifact]) -> Mapping[str, Any] | None:
    """What the bundle brings for a device without a compiler, as ``kernels/kernels.json`` has it; ``None`` without."""
    if "kernels" not in artifacts:
        return None
    record = artifacts["kernels"].record
    return {key: value for key, value in record.items() if key not in ("_run", "summary")}


def _left(artifacts: Mapping[str, Artifact], pending: Mapping[str, Any]) -> dict[str, Any]:
    """What is left to do, the fused head's library included."""
    lacks = (_kernels(artifacts) or {}).get("lacks", {})
    steps = [LIBRARY_STEP] if PLUGIN in lacks else []
    return {**pending, "next": [*pending["next"], *steps]}


def _remark(
    name: str,
    executed: Mapping[str, Any] | None,
    sizes: Mapping[str, int],
    timed: Mapping[str, Any],
    chosen: Mapping[str, Any],
) -> list[str]:
    """What the table says of a candidate: a phrase for its row, then lines below it."""
    if executed is None:
        return []
    if precision_of(name) == "default":
        return [str(executed["executed"])]
    if precision_of(name) != "int8":
        return []
    share = executed["int8_time_share"]
    inside = "" if share is None else f"{100 * share:.0f} % of the time in INT8"
    if name != "int8" or precision_of(chosen["shipped"]) == "int8" or not timed["versus_default"]:
        return [inside]
    floats = ", ".join(f"{count} {kind}" for kind, count in sorted(executed["float_layers"].items()))
    layers = f"{inside}; in float: {floats or 'nothing'}; {counted(executed['reorders'], 'reorder')}"
    smaller = sizes["default"] / sizes["int8"]
    size = f"{smaller:.1f} times smaller" if smaller > 1 else f"{1 / smaller:.1f} times larger"
    return [
        f"not shipped: {chosen['reason']}",
        f"{layers} (edgetl inspect --precision int8 shows them)",
        f"--precision int8 ships it anyway ({size})",
    ]


def _notes(artifacts: Mapping[str, Artifact], host_note: str, pending: Mapping[str, Any] | None) -> list[str]:
    notes = [host_note] if host_note else []
    if pending:
        notes.append(WAITING_NOTE)
    for name, why in ((_kernels(artifacts) or {}).get("lacks", {})).items():
        notes.append(f"{name} is not in the bundle: {why}")
    notes += training.notes(artifacts)
    notes += list(artifacts["select"].record["notes"])
    if "calibrate" in artifacts:
        notes += list(artifacts["calibrate"].record["warnings"])
    return notes


def _judge(spec: BuildSpec, chosen: Mapping[str, Any], data: Mapping[str, Any]) -> EdgetlError | None:
    accuracy = data["accuracy"]
    if accuracy["verdict"] == "over":
        insist = "" if spec.precision == "auto" else "--precision auto, "
        return GateFailed(
            accuracy["sentence"],
            hint=f"{insist}more --calib-samples, more pictures, or a larger --max-drop; the bundle is kept to look at",
            drop_pt=accuracy["drop_pt"],
            budget_pt=accuracy["budget_pt"],
        )
    held = chosen["latency"].get(chosen["shipped"])
    failure = None if held is None else _judge_budgets(held, data, strict=spec.strict)
    if failure is not None:
        return failure
    if "pending" in data and spec.require_engine and not spec.hosts:  # a host is still to build it
        return EnvironmentLacks(data["pending"]["reason"], hint=data["pending"]["next"][0])
    if spec.strict and accuracy["verdict"] == "unproven":
        return Inconclusive(accuracy["sentence"], hint="more test images, or without --strict")
    return None


def _judge_budgets(held: Mapping[str, Any], data: Mapping[str, Any], *, strict: bool) -> EdgetlError | None:
    """Latency, memory and power; what is over ships all the same as the fastest that keeps the accuracy."""
    sentence = held["sentence"]
    if held["verdict"] == "over":
        return GateFailed(
            f"{sentence}, and no other candidate keeps every budget{_blamed(data) if held['slow'] else ''}",
            hint="a smaller --imgsz, another --model, or a larger budget; the bundle is kept to look at",
            candidates=data["candidates"],
        )
    if held["verdict"] == "unproven":
        return Inconclusive(f"a budget cannot be judged: {sentence}", hint="more --instances")
    if held["verdict"] == "unmeasured" and strict:
        return Inconclusive(f"a budget cannot be judged: {sentence}", hint="a sensor, or without --strict")
    return None


def _blamed(data: Mapping[str, Any]) -> str:
    """The layers that stand in the way: those that INT8 loses its accuracy in, and the slowest of what shipped."""
    slowest = data["candidates"][data["shipped"]["candidate"]]["slowest"][:BLAMED]
    times = ", ".join(f"{layer['name']} {100 * layer['share']:.0f} %" for layer in slowest)
    told = f"; most time goes to {times}" if times else ""
    kept = [one["kept"] for rung in data["ladder"] for one in rung["tries"]]
    worst: list[str] = max(kept, key=len, default=[])[:BLAMED]  # in the order of what each costs alone
    if worst and data["shipped"]["precision"] != "int8":
        told += f"; INT8 loses most in {', '.join(worst)}"
    return told


def next_commands(data: Mapping[str, Any]) -> list[str]:
    """What a user does with the bundle now."""
    if "pending" in data:
        return list(data["pending"]["next"])
    bundle = data["latest"]
    on_target = data.get("adaptation") is not None and data["adaptation"]["gain"] is not None
    tested = shlex.quote(data["adapt"] if on_target else data["data"])
    return [
        f"edgetl predict {bundle} photo.jpg",
        f"edgetl verify {bundle} --data {tested}",
        f"edgetl bench {bundle}",
    ]
