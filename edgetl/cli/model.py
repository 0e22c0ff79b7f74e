"""Commands up to the quantized model: check, train, export, calibrate, quantize."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgetl.cli import data_options, options, options_adapt, progress, training, workers
from edgetl.cli.answer import give
from edgetl.cli.grouped import Paneled
from edgetl.home import cache_folder
from edgetl.words import counted

if TYPE_CHECKING:
    from edgetl.sources import CalibrationSource

__all__ = ["register"]

OnnxArgument = Annotated[
    Path, typer.Argument(metavar="MODEL.onnx", help="A float ONNX model, ours or anyone's.")
]
CalibData = Annotated[
    str | None,
    typer.Option(
        "--calib-data",
        metavar="DIR|CSV|demo",
        help="Pictures to calibrate with, labels are not needed; or .npy and .npz files, as the model takes them.",
    ),
]
SHOWN = 6
"""Names in a line."""


def _show(
    found: Mapping[str, Any], where: Path | None, *, as_json: bool, then: str = "", summary: str = ""
) -> None:
    if as_json:
        print(json.dumps({**found, **({"out": str(where)} if where else {})}, ensure_ascii=False))
        return
    if summary:
        print(f"  {summary}")
    for note in found.get("notes", ()):
        print(f"  note       {note}")
    if where is not None:
        print(f"  written to {where}")
    if then:
        print(f"  next       {then}")


def check(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DIR|CSV|SHARDS|demo", help="Class folders, a CSV with path,label, or tar shards."
        ),
    ],
    path_column: data_options.PathColumn = None,
    label_column: data_options.LabelColumn = None,
    role_column: data_options.RoleColumn = None,
    group_by: data_options.GroupBy = None,
    seed: options.Seed = 0,
    as_json: options.Json = False,
) -> None:
    """Check labelled pictures: unreadable ones, duplicates, leakage between roles, imbalance."""
    from edgetl import single

    reading = data_options.reading(path_column, label_column, role_column, group_by)
    report = single.check(data, reading, seed=seed, cache=cache_folder(), progress=progress.sink(quiet=True))
    give(report, as_json=as_json)


def train(
    data: options.Data,
    path_column: data_options.PathColumn = None,
    label_column: data_options.LabelColumn = None,
    role_column: data_options.RoleColumn = None,
    group_by: data_options.GroupBy = None,
    model: options.Model = "mobilenet_v2",
    weights: options.Weights = "DEFAULT",
    method: training.Method = "feature",
    rank: training.Rank = 8,
    teacher: training.Teacher = None,
    teacher_weights: training.TeacherWeights = "DEFAULT",
    kd_temperature: training.KdTemperature = None,
    seeds: training.Seeds = 1,
    adapt: options_adapt.Adapt = None,
    adapt_method: options_adapt.AdaptMethod = "adabn",
    mean: options.Mean = None,
    std: options.Std = None,
    imgsz: options.ImageSize = None,
    crop: options.Crop = None,
    epochs: training.Epochs = 30,
    batch_size: training.BatchSize = 32,
    lr: training.LearningRate = None,
    flip: training.Flip = True,
    augment: data_options.Augment = "default",
    imbalance: data_options.Imbalance = "auto",
    seed: options.Seed = 0,
    offline: options.Offline = False,
    out: options.Out = Path("checkpoint"),
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Fine-tune a backbone on labelled pictures; writes a checkpoint folder (safetensors and JSON)."""
    from edgetl import single
    from edgetl.types import BuildSpec

    spec = BuildSpec(
        data=data,
        path_column=path_column,
        label_column=data_options.label_columns(label_column),
        role_column=role_column,
        group_by=group_by,
        model=model,
        weights=weights,
        method=method,
        rank=rank,
        teacher=teacher,
        teacher_weights=teacher_weights,
        kd_temperature=kd_temperature,
        seeds=seeds,
        adapt=adapt,
        adapt_method=adapt_method,
        mean=options.triple(mean, "--mean"),
        std=options.triple(std, "--std"),
        image_size=imgsz,
        crop=options.crop_fraction(crop),
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        flip=flip,
        augment=augment,
        imbalance=imbalance,
        seed=seed,
        offline=offline,
    )
    sink = progress.sink(quiet=quiet or as_json)
    processes = workers.place(method, sink)
    found = single.train(spec, out, cache=cache_folder(), progress=sink, processes=processes)
    _show(found, out, as_json=as_json, then=f"edgetl export {out}")


def export(
    source: Annotated[Path, typer.Argument(metavar="CKPT|BUNDLE", help="Checkpoint folder, or a bundle.")],
    batch: options.Batch = "1",
    fused_head: options.FusedHead = False,
    out: options.Out = Path("model.onnx"),
    as_json: options.Json = False,
) -> None:
    """Export a checkpoint to ONNX with its preprocessing inside; parity is checked on real pictures."""
    from edgetl import single

    found = single.export(source, out, batch=batch, fused_head=fused_head)
    _show(
        found, out, as_json=as_json, then=f"edgetl quantize {out} --calib-data DIR", summary=found["summary"]
    )


def _source(
    data: str | None,
    samples: int,
    seed: int,
    *,
    mean: str | None,
    std: str | None,
    scale: str,
    color: str,
    crop: str | None,
    select: str,
    held_out: Path | None,
) -> CalibrationSource:
    """What to calibrate with, from the options."""
    from edgetl.errors import InputError
    from edgetl.sources import CalibrationSource

    if data is None:
        raise InputError("calibration needs pictures like those in use", hint="--calib-data DIR")
    if color not in ("rgb", "bgr"):
        raise InputError(f"--color {color!r} is not known", hint="--color rgb or --color bgr")
    return CalibrationSource(
        data=data,
        samples=samples,
        seed=seed,
        cache=cache_folder(),
        mean=options.in_white(options.triple(mean, "--mean"), scale),
        std=options.in_white(options.triple(std, "--std"), scale),
        color="bgr" if color == "bgr" else "rgb",
        crop=options.crop_fraction(crop) or (1, 1),
        select=select,
        held_out=held_out,
    )


def _warn(found: Mapping[str, Any]) -> None:
    for line in found["warnings"]:
        print(f"warning: {line}", file=sys.stderr)


def calibrate(
    model: OnnxArgument,
    calib_data: CalibData = None,
    calib_samples: options.CalibSamples = 300,
    calib_select: options.CalibSelect = "stratified",
    calib_method: options.CalibMethod = "default",
    mean: options.InputMean = None,
    std: options.InputStd = None,
    scale: options.Scale = "1/255",
    color: options.Color = "rgb",
    crop: options.Crop = None,
    batch: options.FixedBatch = None,
    size: options.FixedSize = None,
    held_out: options.HeldOut = None,
    seed: options.Seed = 0,
    out: options.Out = Path("calibration"),
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Observe a float model on pictures; writes a statistics folder that quantize takes."""
    from edgetl import single

    found = single.calibrate(
        model,
        _source(
            calib_data,
            calib_samples,
            seed,
            mean=mean,
            std=std,
            scale=scale,
            color=color,
            crop=crop,
            select=calib_select,
            held_out=held_out,
        ),
        calib_method,
        out,
        shape=single.Shape(batch, options.height_and_width(size)),
        progress=progress.sink(quiet=quiet or as_json),
    )
    _warn(found)
    _show(
        found, out, as_json=as_json, then=f"edgetl quantize {model} --stats {out}", summary=found["summary"]
    )


def quantize(
    model: OnnxArgument,
    calib_data: CalibData = None,
    stats: Annotated[
        Path | None,
        typer.Option(
            "--stats", metavar="DIR", help="Statistics that edgetl calibrate wrote, instead of --calib-data."
        ),
    ] = None,
    device: options.Device = "local",
    devices: options.DevicesFile = None,
    calib_samples: options.CalibSamples = 300,
    calib_select: options.CalibSelect = "stratified",
    calib_method: options.CalibMethod = "default",
    mean: options.InputMean = None,
    std: options.InputStd = None,
    scale: options.Scale = "1/255",
    color: options.Color = "rgb",
    crop: options.Crop = None,
    batch: options.FixedBatch = None,
    size: options.FixedSize = None,
    held_out: options.HeldOut = None,
    seed: options.Seed = 0,
    out: options.Out = Path("model.int8.onnx"),
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Quantize a float ONNX model to INT8 (Q/DQ), by the rules of the device it is for."""
    from edgetl import single
    from edgetl.errors import InputError

    if (calib_data is None) == (stats is None):
        raise InputError(
            "quantize takes one of --calib-data and --stats",
            hint="--calib-data DIR with pictures like those in use",
        )
    source = None
    if stats is None:
        source = _source(
            calib_data,
            calib_samples,
            seed,
            mean=mean,
            std=std,
            scale=scale,
            color=color,
            crop=crop,
            select=calib_select,
            held_out=held_out,
        )
    found = single.quantize(
        model,
        source,
        stats,
        calib_method,
        out,
        shape=single.Shape(batch, options.height_and_width(size)),
        device=device,
        devices_file=devices,
        progress=progress.sink(quiet=quiet or as_json),
    )
    _warn(found)
    _show(
        found,
        out,
        as_json=as_json,
        then=f"edgetl compile {out} --device {device} --precision int8",
        summary="\n  ".join([found["summary"], *_left_in_float(found)]),
    )


def _left_in_float(found: Mapping[str, Any]) -> list[str]:
    """What is not in integers, a line for each reason."""
    reasons: dict[str, list[str]] = {}
    for layer in found["left_float"]:
        reasons.setdefault(layer["reason"], []).append(layer["name"])
    lines = [
        f"in float   {counted(len(names), 'layer')}, {reason}: {_first(names)}"
        for reason, names in reasons.items()
    ]
    operators = found["float_operators"]
    control = {name: count for name, count in operators.items() if name in ("If", "Loop", "Scan")}
    for named, why in (
        (control, "what is inside is left as it is"),
        ({k: v for k, v in operators.items() if k not in control}, f"{found['scheme']} has no INT8 for them"),
    ):
        if named:
            lines.append(f"in float   {_first([f'{n} {name}' for name, n in named.items()])}: {why}")
    return lines


def _first(names: Sequence[str]) -> str:
    """The first few names."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def register(app: typer.Typer) -> None:
    """Put the commands on the application."""
    app.command("check", rich_help_panel="Data and models")(check)
    app.command("train", cls=Paneled, rich_help_panel="Data and models")(train)
    app.command("export", rich_help_panel="Data and models")(export)
    app.command("calibrate", rich_help_panel="Data and models")(calibrate)
    app.command("quantize", rich_help_panel="Data and models")(quantize)
