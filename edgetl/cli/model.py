"""Commands up to the quantized model: check, train, export, calibrate, quantize."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgetl.cli import options, progress
from edgetl.home import cache_folder

if TYPE_CHECKING:
    from edgetl.single import CalibrationSource

__all__ = ["register"]

OnnxArgument = Annotated[
    Path, typer.Argument(metavar="MODEL.onnx", help="A float ONNX model, ours or anyone's.")
]
CalibData = Annotated[
    str | None,
    typer.Option(
        "--calib-data", metavar="DIR|CSV|demo", help="Pictures to calibrate with; labels are not needed."
    ),
]


def _show(
    found: Mapping[str, Any], where: Path | None, *, as_json: bool, then: str = "", summary: str = ""
) -> None:
    if as_json:
        print(json.dumps({**found, **({"out": str(where)} if where else {})}, ensure_ascii=False))
        return
    if summary:
        print(f"  {summary}")
    if where is not None:
        print(f"  written to {where}")
    if then:
        print(f"  next       {then}")


def check(
    data: Annotated[
        str, typer.Argument(metavar="DIR|CSV|demo", help="Class folders, or a CSV with path,label.")
    ],
    seed: options.Seed = 0,
    as_json: options.Json = False,
) -> None:
    """Check labelled pictures: unreadable ones, duplicates, leakage between roles, imbalance."""
    from edgetl import single

    report = single.check(data, seed=seed, cache=cache_folder(), progress=progress.sink(quiet=True))
    if as_json:
        print(json.dumps(report.data, ensure_ascii=False))
    else:
        print("\n".join(report.lines))


def train(
    data: options.Data,
    model: options.Model = "mobilenet_v2",
    weights: options.Weights = "DEFAULT",
    method: options.Method = "feature",
    mean: options.Mean = None,
    std: options.Std = None,
    imgsz: options.ImageSize = None,
    crop: options.Crop = None,
    epochs: options.Epochs = 30,
    batch_size: options.BatchSize = 32,
    lr: options.LearningRate = None,
    flip: options.Flip = True,
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
        model=model,
        weights=weights,
        method=method,
        mean=options.triple(mean, "--mean"),
        std=options.triple(std, "--std"),
        image_size=imgsz,
        crop=options.crop_fraction(crop),
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        flip=flip,
        seed=seed,
        offline=offline,
    )
    found = single.train(spec, out, cache=cache_folder(), progress=progress.sink(quiet=quiet or as_json))
    _show(found, out, as_json=as_json, then=f"edgetl export {out}")


def export(
    source: Annotated[Path, typer.Argument(metavar="CKPT|BUNDLE", help="Checkpoint folder, or a bundle.")],
    batch: options.Batch = "1",
    out: options.Out = Path("model.onnx"),
    as_json: options.Json = False,
) -> None:
    """Export a checkpoint to ONNX with its preprocessing inside; parity is checked on real pictures."""
    from edgetl import single

    found = single.export(source, out, batch=batch)
    _show(
        found, out, as_json=as_json, then=f"edgetl quantize {out} --calib-data DIR", summary=found["summary"]
    )


def _source(
    data: str | None, samples: int, seed: int, mean: str | None, std: str | None, crop: str | None
) -> CalibrationSource:
    """What to calibrate with, from the options."""
    from edgetl.errors import InputError
    from edgetl.single import CalibrationSource

    if data is None:
        raise InputError("calibration needs pictures like those in use", hint="--calib-data DIR")
    return CalibrationSource(
        data=data,
        samples=samples,
        seed=seed,
        mean=options.triple(mean, "--mean") or (0.485, 0.456, 0.406),
        std=options.triple(std, "--std") or (0.229, 0.224, 0.225),
        crop=options.crop_fraction(crop) or (1, 1),
        cache=cache_folder(),
    )


def calibrate(
    model: OnnxArgument,
    calib_data: CalibData = None,
    calib_samples: options.CalibSamples = 300,
    calib_method: options.CalibMethod = "default",
    mean: options.Mean = None,
    std: options.Std = None,
    crop: options.Crop = None,
    seed: options.Seed = 0,
    out: options.Out = Path("calibration"),
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Observe a float model on pictures; writes a statistics folder that quantize takes."""
    from edgetl import single

    found = single.calibrate(
        model,
        _source(calib_data, calib_samples, seed, mean, std, crop),
        calib_method,
        out,
        progress=progress.sink(quiet=quiet or as_json),
    )
    summary = "\n  warning: ".join([found["summary"], *found["warnings"]])
    _show(found, out, as_json=as_json, then=f"edgetl quantize {model} --stats {out}", summary=summary)


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
    calib_method: options.CalibMethod = "default",
    mean: options.Mean = None,
    std: options.Std = None,
    crop: options.Crop = None,
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
    source = None if stats is not None else _source(calib_data, calib_samples, seed, mean, std, crop)
    found = single.quantize(
        model,
        source,
        stats,
        calib_method,
        out,
        device=device,
        devices_file=devices,
        progress=progress.sink(quiet=quiet or as_json),
    )
    _show(
        found,
        out,
        as_json=as_json,
        then=f"edgetl compile {out} --device {device} --precision int8",
        summary=found["summary"],
    )


def register(app: typer.Typer) -> None:
    """Put the commands on the application."""
    app.command("check", rich_help_panel="Data and models")(check)
    app.command("train", rich_help_panel="Data and models")(train)
    app.command("export", rich_help_panel="Data and models")(export)
    app.command("calibrate", rich_help_panel="Data and models")(calibrate)
    app.command("quantize", rich_help_panel="Data and models")(quantize)
