"""Options that several commands share, each with its unit and default in its help, and how their text is read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from edgetl.errors import InputError

__all__ = [
    "BackendOption",
    "Batch",
    "CalibMethod",
    "CalibSamples",
    "CalibSelect",
    "Color",
    "Crop",
    "Data",
    "Device",
    "DevicesFile",
    "FixedBatch",
    "FixedSize",
    "FusedHead",
    "Hosts",
    "ImageSize",
    "InputMean",
    "InputStd",
    "Json",
    "MaxDrop",
    "MaxLatency",
    "Mean",
    "Model",
    "Offline",
    "Out",
    "Quiet",
    "Scale",
    "Seed",
    "SshConfig",
    "SshOption",
    "Std",
    "Strict",
    "TimeBudget",
    "Weights",
    "Wheelhouse",
    "crop_fraction",
    "drop_budgets",
    "height_and_width",
    "in_white",
    "settings",
    "triple",
]

Data = Annotated[
    str,
    typer.Option(
        "--data",
        metavar="DIR|CSV|SHARDS|demo",
        help="Labelled pictures: class folders, a CSV with path,label, or tar shards.",
    ),
]
Device = Annotated[
    str, typer.Option("--device", "-d", metavar="NAME", help="Device profile (edgetl devices lists them).")
]
DevicesFile = Annotated[
    Path | None,
    typer.Option(
        "--devices", metavar="FILE", help="Device profiles of your own, merged over the built-in ones."
    ),
]
BackendOption = Annotated[
    list[str] | None,
    typer.Option(
        "--backend-option",
        metavar="NAME=VALUE",
        help="For TensorRT, in trtexec's spelling: memPoolSize=workspace:1024, optShapes=input:8x224x224x3; "
        "may be repeated (default: the profile's).",
    ),
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="torchvision name, timm/NAME, tiny, or package.module:factory (edgetl models lists them).",
    ),
]
Weights = Annotated[
    str,
    typer.Option(
        "--weights",
        "-w",
        metavar="DEFAULT|FILE|none",
        help="Pretrained weights: DEFAULT downloads torchvision's, a .pth or .safetensors file, or none.",
    ),
]
Mean = Annotated[
    str | None,
    typer.Option(
        "--mean", metavar="R,G,B", help="Normalisation mean, white is 1.0 (default: the weights' own)."
    ),
]
Std = Annotated[
    str | None,
    typer.Option(
        "--std",
        metavar="R,G,B",
        help="Normalisation standard deviation, white is 1.0 (default: the weights' own).",
    ),
]
ImageSize = Annotated[
    int | None,
    typer.Option(
        "--imgsz",
        min=16,
        max=2048,
        metavar="PIXELS",
        help="Side of the engine's input in pixels (default: the model's own).",
    ),
]
Crop = Annotated[
    str | None,
    typer.Option(
        "--crop",
        metavar="N/D",
        help="Centre square kept, as a fraction of the short side, such as 7/8 or 0.875 (default: the model's own).",
    ),
]
FusedHead = Annotated[
    bool,
    typer.Option(
        "--fused-head",
        help="For TensorRT also write models whose pool, classifier, softmax and top-k are one node of a plugin.",
    ),
]
Batch = Annotated[str, typer.Option("--batch", metavar="N|dynamic", help="Batch size of the engine.")]
FixedBatch = Annotated[
    int | None,
    typer.Option("--batch", min=1, metavar="N", help="Make a batch that the model leaves open this number."),
]
FixedSize = Annotated[
    str | None,
    typer.Option(
        "--size", metavar="HxW", help="Make a height and width that the model leaves open these numbers."
    ),
]
Color = Annotated[
    str, typer.Option("--color", metavar="rgb|bgr", help="Order of the channels that the model takes.")
]
InputMean = Annotated[
    str | None,
    typer.Option("--mean", metavar="R,G,B", help="What a float model subtracts from pixels (see --scale)."),
]
InputStd = Annotated[
    str | None,
    typer.Option("--std", metavar="R,G,B", help="What it divides them by then (see --scale)."),
]
Scale = Annotated[
    str,
    typer.Option(
        "--scale",
        metavar="1/255|1",
        help="What pixels are multiplied by first: with 1, --mean and --std are in pixel values of 0 to 255.",
    ),
]
CalibSamples = Annotated[
    int,
    typer.Option("--calib-samples", min=1, metavar="N", help="Images from the train role to calibrate with."),
]
CalibSelect = Annotated[
    str,
    typer.Option(
        "--calib-select",
        metavar="stratified|coverage",
        help="How they are chosen: evenly over the classes, or so that none is far from a chosen one.",
    ),
]
HeldOut = Annotated[
    Path | None,
    typer.Option(
        "--held-out",
        metavar="DIR",
        help="Pictures that accuracy is measured on: those that are calibrated with, too, are told.",
    ),
]
CalibMethod = Annotated[
    str,
    typer.Option(
        "--calib-method",
        metavar="NAME",
        help="How ranges are made: default, minmax, average, percentile, percentile-99.999, entropy, mse.",
    ),
]
MaxDrop = Annotated[
    list[str] | None,
    typer.Option(
        "--max-drop",
        metavar="POINTS|TASK=AMOUNT",
        help="Accuracy budget: 1% is 1.0 point of top-1, or 1 % of a value's spread; none lifts it (default: the "
        "profile's or the bundle's). Of several tasks also TASK=0.5: points, or the value's own unit; repeatable.",
    ),
]
MaxLatency = Annotated[
    str | None,
    typer.Option(
        "--max-latency",
        metavar="MS[@p90]",
        help="Latency budget of the engine: 5ms is the median, 5ms@p90 the 90th percentile (default: the profile's).",
    ),
]
TimeBudget = Annotated[
    str,
    typer.Option(
        "--time-budget",
        metavar="TIME",
        help="Most that the ladder may take where INT8 misses the accuracy budget: 90s, 30m, 1h.",
    ),
]
Strict = Annotated[
    bool,
    typer.Option("--strict", help="Exit 3 where the drop is within the budget but not proven to be."),
]
Seed = Annotated[
    int, typer.Option("--seed", min=0, metavar="N", help="Seed of the splits, the sampling and the training.")
]
Offline = Annotated[bool, typer.Option("--offline", help="Never download anything.")]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else there.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the last block only.")]
Hosts = Annotated[
    list[str] | None,
    typer.Option(
        "--host", metavar="USER@HOST", help="A device reached over SSH, by key; may be repeated: all at once."
    ),
]
SshOption = Annotated[
    list[str] | None,
    typer.Option(
        "--ssh-option",
        metavar="KEY=VALUE",
        help="As after ssh -o, such as Port=2222 or IdentityFile=FILE; may be repeated.",
    ),
]
SshConfig = Annotated[
    Path | None,
    typer.Option(
        "--ssh-config", metavar="FILE", help="Configuration of ssh in place of the user's own (as ssh -F)."
    ),
]
Wheelhouse = Annotated[
    Path | None,
    typer.Option(
        "--wheelhouse",
        metavar="DIR",
        help="Wheels of numpy and the rest of the core, sent to a device that is offline (default: it uses its own).",
    ),
]
Out = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where to write.")]


def settings(given: list[str] | None) -> dict[str, str]:
    """Options of a backend by name.

    >>> settings(["memPoolSize=workspace:256", "versionCompatible=true"])
    {'memPoolSize': 'workspace:256', 'versionCompatible': 'true'}
    """
    found = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise InputError(
                f"--backend-option {text!r} is not NAME=VALUE", hint="memPoolSize=workspace:1024"
            )
        found[name] = value
    return found


def names(text: str | None) -> tuple[str, ...]:
    """Names separated by commas, with blanks or without; none where nothing is given.

    >>> names("resnet18, tiny,")
    ('resnet18', 'tiny')
    """
    return tuple(filter(None, map(str.strip, (text or "").split(","))))


def triple(text: str | None, option: str) -> tuple[float, float, float] | None:
    """Three numbers separated by commas; one number stands for all three.

    >>> triple("0.5", "--mean")
    (0.5, 0.5, 0.5)
    """
    if text is None:
        return None
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) == 1:
        values = values * 3
    if len(values) != 3 or not all(map(math.isfinite, values)):
        raise InputError(
            f"{option} {text!r} is not three numbers",
            hint=f"{option} 0.485,0.456,0.406 (one per channel, white is 1.0)",
        )
    return values[0], values[1], values[2]


def in_white(values: tuple[float, float, float] | None, scale: str) -> tuple[float, float, float] | None:
    """A mean or std, told for pixels times ``scale``, in units where white is 1.0.

    >>> in_white((127.5, 127.5, 127.5), "1")
    (0.5, 0.5, 0.5)
    """
    from fractions import Fraction

    try:
        factor = Fraction(scale)
    except (ValueError, ZeroDivisionError):
        factor = Fraction(0)
    if factor <= 0:
        raise InputError(f"--scale {scale!r} is not a number above 0", hint="--scale 1/255 or --scale 1")
    if values is None:
        return None
    red, green, blue = (float(value / (255 * factor)) for value in map(Fraction, values))
    return red, green, blue


def height_and_width(text: str | None) -> tuple[int, int] | None:
    """A size in pixels; one number stands for both.

    >>> height_and_width("240x320"), height_and_width("224")
    ((240, 320), (224, 224))
    """
    if text is None:
        return None
    parts = text.lower().split("x")
    if not all(part.isdecimal() and int(part) > 0 for part in parts) or len(parts) > 2:
        raise InputError(f"--size {text!r} is not a height and a width", hint="--size 240x320 or --size 224")
    return int(parts[0]), int(parts[-1])


def crop_fraction(text: str | None) -> tuple[int, int] | None:
    """A fraction of the short side, exact.

    >>> crop_fraction("0.875")
    (7, 8)
    """
    if text is None:
        return None
    from fractions import Fraction

    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        value = Fraction(0)
    if not 0 < value <= 1:
        raise InputError(
            f"--crop {text!r} is not a fraction above 0 and up to 1", hint="--crop 7/8 or --crop 0.875"
        )
    return value.numerator, value.denominator


def drop_budgets(texts: list[str] | None) -> tuple[float | None, dict[str, str]]:
    """Points of all tasks together, ``None`` where none were given, and what single tasks were given.

    >>> drop_budgets(["1%", "age=0.5"]), drop_budgets(None)
    ((1.0, {'age': '0.5'}), (None, {}))
    """
    from edgetl import asked

    return asked.drop_budgets(texts or ())
