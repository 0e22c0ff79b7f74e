"""gain: what adaptation brought on the target, by compiled engines; and what it cost on the source."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl.backends import seam
from edgetl.backends.seam import Session
from edgetl.devices import DeviceProfile
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.stages import adapt, domain, prepare
from edgetl.stages.backbone import versions_of
from edgetl.stages.compile import engine_of, profile_of
from edgetl.types import Role
from edgetl.verify.accuracy import logits_of, paired
from edgetl.verify.adaptation import Adaptation, judge

__all__ = ["NAME", "stage"]

NAME = "gain"
Pictures = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]


def stage(candidates: Sequence[str], profile: DeviceProfile, host: Mapping[str, str]) -> Stage:
    """Hold the engines of the adapted network against the f32 engine of the network as it was trained.

    Parameters
    ----------
    candidates : what was compiled; f32 and the one that ships are measured.
    """

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        shipped, frames = inputs["select"].record["shipped"], inputs[domain.NAME]
        role: Role = "test" if frames.record["measured"] else "train"
        shown, tested = prepare.images(frames, role), prepare.images(inputs["prepare"], "test")
        sides = {
            "before": lambda: _as_trained(inputs["train"].path, profile),
            "f32": lambda: _compiled(inputs["compile:f32"], profile_of("f32", profile)),
            "shipped": lambda: _compiled(inputs[f"compile:{shipped}"], profile_of(shipped, profile)),
        }
        answers = _answers(sides, shown, tested, ctx)
        target = {side: found[0] for side, found in answers.items()}
        tops = {side: logits.argmax(axis=1) for side, logits in target.items()}
        gain = paired(prepare.labels(frames, role), target["before"], target["f32"])
        source = prepare.labels(inputs["prepare"], "test")
        found = judge(
            Adaptation(
                method=inputs[adapt.NAME].record["method"],
                frames=inputs[adapt.NAME].record["frames"],
                shipped=shipped,
                source=paired(source, answers["before"][1], answers["shipped"][1]),
                changed=float((tops["before"] != tops["f32"]).mean()),
                same_shipped=float((tops["shipped"] == tops["f32"]).mean()),
                gain=gain if role == "test" else None,
            )
        )
        return {"summary": found.sentence, **msgspec.to_builtins(found)}

    compiled = tuple(f"compile:{name}" for name in candidates)
    needs = ("train", domain.NAME, "prepare", adapt.NAME, "select", *compiled)
    options = {"threads": profile.threads, "host": dict(host)}
    tools = {**versions_of("torch", "onnx", "onnxscript"), **seam.find(profile.backend).fingerprint()}
    return Stage(NAME, 1, needs, options, tools, run)


def _answers(
    sides: Mapping[str, Callable[[], Session]], shown: Pictures, tested: Pictures, ctx: Context
) -> dict[str, tuple[Floats, Floats]]:
    """Logits of each side's engine for target frames, and for the source's test images."""
    total, done = len(sides) * (len(shown) + len(tested)), 0
    found = {}
    for side, opened in sides.items():
        session = opened()
        try:
            first = logits_of(session, shown, on_progress=ctx.part(done, total))
            done += len(shown)
            found[side] = (first, logits_of(session, tested, on_progress=ctx.part(done, total)))
            done += len(tested)
        finally:
            session.close()
    return found


def _as_trained(trained: Path, profile: DeviceProfile) -> Session:
    """The f32 engine of a checkpoint."""
    from edgetl import export
    from edgetl.transfer import checkpoint

    net, record = checkpoint.load(trained)
    asked = profile_of("f32", profile)
    with tempfile.TemporaryDirectory() as scratch:
        model = Path(scratch, "model.onnx")
        export.export_classifier(
            net, record.preprocess, model, batch=1, cast_first=asked.backend == "tensorrt"
        )
        return seam.find(asked.backend).trial(model, asked)


def _compiled(compiled: Artifact, asked: DeviceProfile) -> Session:
    """An engine of this build."""
    engine, folder = engine_of(compiled)
    return seam.find(asked.backend).open(engine, folder, asked)
