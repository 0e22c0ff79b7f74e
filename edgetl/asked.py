"""What was asked for, brought to one form, and refused where no build could come of it."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from edgetl.errors import InputError, did_you_mean
from edgetl.types import PERCENTILES, BuildSpec, LatencyBudget, Objective

__all__ = [
    "check",
    "choice",
    "deviation",
    "drop_budget",
    "drop_budgets",
    "latency_budget",
    "objective",
    "spec_of",
    "svg",
    "task_budget",
    "time_budget",
]

LEAST = {"epochs": 1, "batch_size": 1, "calib_samples": 1, "instances": 1, "seed": 0, "seeds": 1, "rank": 1}
LONGEST_NAME = 100
METRICS = Literal["recall", "precision", "f1", "balanced-accuracy"]
SECONDS = {"s": 1, "m": 60, "h": 3600}
TEXTS = ("data", "adapt", "devices_file", "weights", "batch", "out", "teacher", "teacher_weights")


def spec_of(**options: Any) -> BuildSpec:
    """A request from keyword arguments: paths and numbers are taken where the record has text, and budgets as
    ``"1%"``, ``"5ms@p90"`` and ``"30m"``.

    Raises
    ------
    InputError : an option is not known, or not of its kind.
    """
    for name in TEXTS:
        if isinstance(options.get(name), (Path, int)):
            options[name] = str(options[name])
    if isinstance(options.get("max_drop"), str):
        options["max_drop"] = drop_budget(options["max_drop"])
    if isinstance(options.get("max_latency"), str):
        options["max_latency"] = latency_budget(options["max_latency"])
    if isinstance(options.get("time_budget"), str):
        options["time_budget"] = time_budget(options["time_budget"])
    try:
        spec: BuildSpec = msgspec.convert(options, BuildSpec)
    except msgspec.ValidationError as error:
        raise InputError(
            f"edgetl.build: {error}", hint="the options are those of edgetl build --help"
        ) from error
    return spec


def check(spec: BuildSpec) -> None:
    """Refuse numbers and names that no build could use.

    Raises
    ------
    InputError : names the option, what it was, and what it takes.
    """
    for name, least in LEAST.items():
        if getattr(spec, name) < least:
            raise InputError(
                f"{_option(name)} {getattr(spec, name)} is below {least}", hint=f"{_option(name)} N"
            )
    if spec.lr is not None and not 0 < spec.lr < math.inf:
        raise InputError(f"--lr {spec.lr:g} is not a learning rate: it is above 0", hint="--lr 0.001")
    if spec.max_drop is not None and not spec.max_drop >= 0:
        raise InputError(
            f"--max-drop {spec.max_drop:g} is below 0", hint="--max-drop 1% is 1.0 point of top-1"
        )
    deviation(spec.std)
    if not 0 <= spec.time_budget < math.inf:
        raise InputError(
            f"--time-budget {spec.time_budget:g} s is not a time from 0 on", hint="--time-budget 30m"
        )
    if spec.name is not None:
        _check_name(spec.name)


def deviation(std: tuple[float, float, float] | None) -> None:
    """Refuse a standard deviation that nothing can be divided by.

    Raises
    ------
    InputError : one of them is not above 0.
    """
    if std is not None and not all(0 < value < math.inf for value in std):
        told = ",".join(f"{value:g}" for value in std)
        raise InputError(
            f"--std {told} is not a standard deviation: each is above 0",
            hint="--std 0.229,0.224,0.225 (one per channel, white is 1.0)",
        )


def choice(value: str, known: Collection[str], option: str) -> None:
    """Refuse a name that is none of those known.

    Raises
    ------
    InputError : names the option, the nearest name, and all of them.
    """
    if value not in known:
        raise InputError(
            f"{option} {value!r} is not known.{did_you_mean(value, known)}", hint=f"one of {', '.join(known)}"
        )


def _check_name(name: str) -> None:
    """A bundle's name is one folder below ``--out``, and not the link that points to the newest."""
    plain = name != "" and Path(name).name == name and not name.startswith(".")
    if not plain or name == "latest" or len(name) > LONGEST_NAME:
        found = name if len(name) <= LONGEST_NAME else f"{name[:20]}... ({len(name)} characters)"
        raise InputError(
            f"--name {found!r} is no name for a folder below --out",
            hint="letters and digits without a slash, not 'latest'; --out says where",
        )


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def drop_budget(text: str) -> float:
    """Points of top-1 from ``1%``, ``1``, ``0.5pt`` or ``none``.

    >>> drop_budget("1%"), drop_budget("none")
    (1.0, inf)
    """
    if text == "none":
        return math.inf
    try:
        value = float(text.removesuffix("%").removesuffix("pt").strip())
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise InputError(
            f"--max-drop {text!r} is not a budget from 0 to 100 points",
            hint="--max-drop 1% is 1.0 point of top-1; none lifts it",
        )
    return value


def drop_budgets(texts: Sequence[str]) -> tuple[float | None, dict[str, str]]:
    """What ``--max-drop`` says of all tasks, ``None`` where nothing, and of each that it names.

    Raises
    ------
    InputError : a budget is none, or one is given twice.
    """
    common, own = None, dict[str, str]()
    for text in texts:
        name, named, amount = text.rpartition("=")
        if (name in own) if named else (common is not None):
            raise InputError(
                f"--max-drop {text} comes after another one of the same",
                hint="one for all, and one for each TASK=",
            )
        if named:
            task_budget(
                name, amount, None
            )  # what it comes to hangs on the task; that it is a budget does not
            own[name] = amount
        else:
            common = drop_budget(text)
    return common, own


def task_budget(name: str, amount: str, spread: float | None) -> float:
    """Points that a task may lose.

    Parameters
    ----------
    amount : ``1%`` and ``1pt`` are points; a plain number is one too, and of a value one in its own unit; or ``none``.
    spread : of a value, what 100 points are in its unit; ``None`` for classes.

    >>> task_budget("kind", "1", None), task_budget("age", "0.5", 10.0), task_budget("age", "1%", 10.0)
    (1.0, 5.0, 1.0)
    """
    in_unit = spread is not None and amount != "none" and not amount.endswith(("%", "pt"))
    try:
        value = float(amount) if in_unit else drop_budget(amount)
    except (ValueError, InputError):
        value = -1.0
    if not value >= 0:
        raise InputError(
            f"--max-drop {name}={amount}: {amount!r} is not a budget from 0 on",
            hint=f"--max-drop {name}=1% is 1.0 point; of a value {name}=0.5 is in its own unit; none lifts it",
        )
    return 100 * value / spread if in_unit and spread is not None else value


def latency_budget(text: str) -> LatencyBudget:
    """A latency and its percentile from ``5ms``, ``5`` or ``5ms@p90``; the median where none is named.

    >>> latency_budget("5ms@p90")
    LatencyBudget(ms=5.0, at='p90')
    """
    amount, _, at = text.partition("@")
    try:
        ms = float(amount.removesuffix("ms").strip())
    except ValueError:
        ms = 0.0
    percentile = next((known for known in PERCENTILES if known == (at or "p50")), None)
    if not 0 < ms < math.inf or percentile is None:
        raise InputError(
            f"--max-latency {text!r} is not a latency above 0 in milliseconds and one of {', '.join(PERCENTILES)}",
            hint="--max-latency 5ms@p90; 5ms is the median",
        )
    return LatencyBudget(ms=ms, at=percentile)


def objective(text: str) -> Objective:
    """What a threshold is chosen for, from ``recall@0.95``, ``precision@0.9``, ``f1`` or ``balanced-accuracy``.

    >>> objective("recall@95%")
    Objective(metric='recall', at=0.95)
    """
    name, _, target = text.partition("@")
    forms = ("recall@0.95", "precision@0.9", "f1", "balanced-accuracy")
    metric = next((known for known in get_args(METRICS) if known == name), None)
    if metric is None:
        names = get_args(METRICS)
        raise InputError(
            f"--optimize {text!r} is not known.{did_you_mean(name, names)}", hint=f"one of {', '.join(forms)}"
        )
    if (metric in ("recall", "precision")) != bool(target):
        needs = "takes a least value" if not target else "takes no value"
        raise InputError(f"--optimize {text}: {metric} {needs}", hint=f"one of {', '.join(forms)}")
    if not target:
        return Objective(metric=metric)
    try:
        at = float(target.removesuffix("%")) / (100 if target.endswith("%") else 1)
    except ValueError:
        at = 0.0
    if not 0 < at <= 1:
        raise InputError(
            f"--optimize {text}: {target!r} is not a share above 0 and up to 1", hint=f"--optimize {forms[0]}"
        )
    return Objective(metric=metric, at=at)


def svg(picture: Path | None, option: str) -> None:
    """Refuse a picture's place whose name promises another format, or that has no folder; ``None`` is no picture."""
    if picture is None:
        return
    if picture.suffix != ".svg":
        better = picture.with_suffix(".svg") if picture.name else picture / "picture.svg"
        raise InputError(f"{option} {picture} is not an SVG file", hint=f"{option} {better}")
    if not picture.absolute().parent.is_dir():
        raise InputError(
            f"{option} {picture}: there is no folder {picture.parent}", hint=f"mkdir -p {picture.parent}"
        )


def time_budget(text: str, option: str = "--time-budget") -> float:
    """Seconds from ``90s``, ``30m``, ``1.5h``; ``option`` is named where it is no time.

    >>> time_budget("90s"), time_budget("30m"), time_budget("1.5h")
    (90.0, 1800.0, 5400.0)
    """
    try:
        value = float(text[:-1]) * SECONDS[text[-1:]]
    except (ValueError, KeyError):
        value = -1.0
    if not 0 <= value < math.inf:
        raise InputError(f"{option} {text!r} is not a time", hint=f"{option} 90s, 30m or 1h")
    return value
