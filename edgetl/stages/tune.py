"""The last rung: the checkpoint is trained on for a while with INT8 in the loop, and exported again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx

from edgetl import isolate
from edgetl.stages.export import PARITY_IMAGES, in_parts
from edgetl.stages.ladder import Ladder, OutOfTime, Tuning
from edgetl.stages.together import MALLOC

__all__ = ["try_tuning"]

SHARE = 0.8
"""Of the time that is left, what training may take; the rest is for exporting, observing and judging."""


def try_tuning(ladder: Ladder) -> str:
    """The network trained to answer in INT8 as it does in float; a remedy of the ladder.

    Returns
    -------
    Why it does not apply, or empty.
    """
    setting, before = ladder.setting, ladder.best
    if setting.tuning is None:
        return "there is no checkpoint to train on"
    tuned = ladder.scratch / "tuned"
    tuned.mkdir()
    integers = {
        "activation": setting.scheme.activation,
        "symmetric": setting.scheme.symmetric,
        "reduce_range": setting.scheme.reduce_range,
        "method": before.method,
    }
    done, steps = isolate.call(
        "edgetl.transfer.qat:run_json",
        {
            "trained": str(ladder.inputs["train"].path),
            "prepared": str(ladder.inputs["prepare"].path),
            "out": str(tuned),
            "integers": integers,
            "flip": setting.tuning.flip,
            "seed": setting.seed,
            "seconds": SHARE * ladder.deadline.left,
            "threads": setting.tuning.threads,
        },
        env=MALLOC,
        on_tick=ladder.advance,
    )
    variant = ladder.recalibrate(_exported(ladder, tuned, setting.tuning))
    what = f"tuned for {done} steps"
    ladder.consider_with_first_method(variant, what)
    if before.kept and not ladder.held and _layers(variant.model) == _layers(ladder.exported):
        ladder.consider(replace(variant, kept=before.kept), f"{what}, {len(before.kept)} layers in float")
    if done < steps:
        raise OutOfTime
    return ""


def _exported(ladder: Ladder, tuned: Path, tuning: Tuning) -> Path:
    """The tuned network as ONNX, made the way that the exported one was."""
    from edgetl import export as exporter
    from edgetl import heads
    from edgetl.transfer import checkpoint

    net, record = checkpoint.load(tuned)
    model = ladder.scratch / "tuned.onnx"
    tasks = record.tasks or ()
    if tasks:
        exporter.export_network(net, record.preprocess, model, tasks, batch=tuning.batch)
    elif in_parts(tuning.method, tuning.batch):
        features = ladder.scratch / "features.onnx"
        exporter.export_features(net.body, record.preprocess, features, batch=tuning.batch)
        weight, bias = (part.detach().numpy() for part in (net.head.weight, net.head.bias))
        heads.with_head(features, weight, bias, model)
    else:
        exporter.export_classifier(net, record.preprocess, model, batch=tuning.batch)
    exporter.check_parity(net, record.preprocess, model, ladder.pictures("train")[:PARITY_IMAGES], tasks)
    return model


def _layers(model: Path) -> list[tuple[str, str]]:
    """Names and kinds of a model's nodes: equal where a layer has one name in both."""
    return [(node.name, node.op_type) for node in onnx.load(model).graph.node]
