"""What two measurements must share to be compared, and what they differ in."""

from __future__ import annotations

from typing import Any

import msgspec

from edgetl.bench.context import Context
from edgetl.types import Engine, Record, TensorSpec

__all__ = ["Host", "Subject", "differences", "host_of", "subject_of", "threads_of"]


class Subject(Record, frozen=True, kw_only=True):
    """What was asked of an engine: two that were asked for different things have no common measure.

    Attributes
    ----------
    device : the profile it was built for. processor : the vendor's device string.
    inputs : names, dtypes and shapes, the batch included. threads : where they were set.
    """

    device: str
    processor: str
    inputs: tuple[TensorSpec, ...]
    threads: int | None


class Host(Record, frozen=True, kw_only=True):
    """What a stored measurement was taken on: another host, another mode or another release is another measurement.

    Attributes
    ----------
    clock_mhz : ``None`` unless the clocks are fixed: others follow the load, and are compared by their governor.
    versions : of the tools that built the engine.
    """

    cpu: str | None
    isa: tuple[str, ...]
    cores: int | None
    usable_cores: int | None
    cpu_limit: float | None
    governor: str | None
    power_mode: str | None
    clocks_fixed: bool | None
    clock_mhz: float | None
    versions: dict[str, str]


def subject_of(device: str, engine: Engine) -> Subject:
    """The engine's side; ``device`` is the name of its profile."""
    return Subject(device=device, processor=engine.device, inputs=engine.inputs, threads=threads_of(engine))


def host_of(context: Context, engine: Engine) -> Host:
    """The host's side."""
    same = {name: getattr(context, name) for name in Host.__struct_fields__ if hasattr(context, name)}
    fixed = context.clock_mhz if context.clocks_fixed else None
    return Host(**{**same, "clock_mhz": fixed, "versions": dict(engine.built_with)})


def threads_of(engine: Engine) -> int | None:
    """Inference threads where they were set: each vendor has its own name for the option."""
    return next((int(value) for key, value in engine.config.items() if "threads" in key.lower()), None)


def differences(found: Record, expected: Record) -> list[str]:
    """What two records of one kind differ in, each in words; none where they can be compared."""
    pairs = zip(msgspec.structs.asdict(found).items(), msgspec.structs.asdict(expected).values())
    return [
        f"{name.replace('_', ' ')} {_shown(mine)} against {_shown(other)}"
        for (name, mine), other in pairs
        if mine != other
    ]


def _shown(value: Any) -> str:
    """A value in words.

    >>> _shown((TensorSpec(name="input", dtype="uint8", shape=(1, 64, 64, 3)),))
    'input uint8 1x64x64x3'
    """
    if value is None:
        return "unknown"
    if isinstance(value, dict):
        return ", ".join(f"{name} {version}" for name, version in sorted(value.items())) or "none"
    if isinstance(value, tuple):
        return ", ".join(_shown(one) for one in value) or "none"
    if isinstance(value, TensorSpec):
        return f"{value.name} {value.dtype} {'x'.join('any' if n is None else str(n) for n in value.shape)}"
    return f"{value:g}" if isinstance(value, float) else str(value)
