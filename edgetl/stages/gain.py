"""gain: what adaptation brought on the target, by compiled engines; and what it cost on the source."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl.backends import folder as folders
from edgetl.backends import seam
from edgetl.devices import DeviceProfile
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.stages import adapt, domain, prepare, verify
from edgetl.stages.backbone import versions_of
from edgetl.stages.compile import engine_of, profile_of
from edgetl.types import Role
from edgetl.verify.accuracy import PairedResult, logits_of, paired
from edgetl.verify.adaptation import Adaptation, judge

__all__ = ["NAME", "stage"]

NAME = "gain"
Floats = npt.NDArray[np.float32]


def stage(
    candidates: Sequence[str],
    profile: DeviceProfile,
    host: Mapping[str, str],
    batch: int | Literal["dynamic"],
    *,
    cast_first: bool,
) -> Stage:
    """Hold the adapted network's engines against the f32 engine of the network as it was trained.

    Parameters
    ----------
    candidates : what was compiled; the one that ships is measured, too.
    batch, cast_first : of the export.
    """

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        shipped = inputs["select"].record["shipped"]
        frames = inputs[domain.NAME]
        role: Role = "test" if frames.record["measured"] else "train"
        shown, tested = prepare.images(frames, role), prepare.images(inputs["prepare"], "test")
        total = 3 * len(shown) + len(tested)
        before, source_before = _unadapted(
            inputs["train"].path, profile, (shown, tested), batch, cast_first, ctx, total
        )
        done = len(shown) + len(tested)
        after = _answers(inputs["compile:f32"], profile_of("f32", profile), shown, ctx, done, total)
        last = _answers(
            inputs[f"compile:{shipped}"],
            profile_of(shipped, profile),
            shown,
            ctx,
            done + len(shown),
            total,
        )
        source = paired(
            prepare.labels(inputs["prepare"], "test"),
            source_before,
            verify.logits(inputs["verify:f32"], "test"),
        )
        told = _measured(frames, role, before, after, last)
        found = judge(
            Adaptation(
                method=inputs[adapt.NAME].record["method"],
                frames=inputs[adapt.NAME].record["frames"],
                changed=float((before.argmax(axis=1) != after.argmax(axis=1)).mean()),
                same_shipped=float((last.argmax(axis=1) == after.argmax(axis=1)).mean()),
                shipped=shipped,
                source=source,
                **told,
            )
        )
        return {"summary": found.sentence, **msgspec.to_builtins(found)}

    needs = ("train", domain.NAME, "prepare", adapt.NAME, "verify:f32", "select")
    compiled = tuple(f"compile:{name}" for name in candidates)
    options = {"threads": profile.threads, "host": dict(host), "batch": batch, "cast_first": cast_first}
    tools = {**versions_of("torch", "onnx", "onnxscript"), **seam.find(profile.backend).fingerprint()}
    return Stage(NAME, 1, (*needs, *compiled), options, tools, run)


def _measured(
    frames: Artifact, role: Role, before: Floats, after: Floats, shipped: Floats
) -> dict[str, PairedResult]:
    """The gain, and the shipped engine against f32, where there are labels."""
    if role == "train":
        return {}
    labels = prepare.labels(frames, role)
    return {"gain": paired(labels, before, after), "precision": paired(labels, after, shipped)}


def _unadapted(
    trained: Path,
    profile: DeviceProfile,
    pictures: tuple[npt.NDArray[Any], npt.NDArray[Any]],
    batch: int | Literal["dynamic"],
    cast_first: bool,
    ctx: Context,
    total: int,
) -> tuple[Floats, Floats]:
    """What the network as it was trained answers, as an f32 engine, for frames and for the source's test images."""
    from edgetl import export
    from edgetl.transfer import checkpoint

    net, record = checkpoint.load(trained)
    asked = profile_of("f32", profile)
    with tempfile.TemporaryDirectory() as scratch:
        model, folder = Path(scratch, "model.onnx"), Path(scratch, "engine")
        export.export_classifier(net, record.preprocess, model, batch=batch, cast_first=cast_first)
        folders.compile_into(model, asked, folder)
        session = seam.find(asked.backend).open(folders.read(folder), folder, asked)
        try:
            first = logits_of(session, pictures[0], on_progress=ctx.part(0, total))
            return first, logits_of(session, pictures[1], on_progress=ctx.part(len(first), total))
        finally:
            session.close()


def _answers(
    compiled: Artifact,
    asked: DeviceProfile,
    pictures: npt.NDArray[Any],
    ctx: Context,
    before: int,
    total: int,
) -> Floats:
    """Logits of an engine of this build."""
    engine, folder = engine_of(compiled)
    session = seam.find(asked.backend).open(engine, folder, asked)
    try:
        return logits_of(session, pictures, on_progress=ctx.part(before, total))
    finally:
        session.close()
