"""Options of a TensorRT build, spelled as trtexec spells them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from edgetl.errors import InputError, did_you_mean
from edgetl.types import Record, TensorSpec

__all__ = ["Options", "Shapes", "pools", "read", "shapes"]

Shapes = dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]
"""Input -> least, usual and greatest shape."""
POOLS = ("workspace", "dlaSRAM", "dlaLocalDRAM", "dlaGlobalDRAM")
UNITS = {"B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
BOUNDS = ("minShapes", "optShapes", "maxShapes")
_NAMED_SHAPE = re.compile(r"(?:'(?P<quoted>[^']+)'|(?P<name>[^':,]+)):(?P<dims>scalar|\d+(?:x\d+)*)(?:,|$)")


class Options(
    Record,
    frozen=True,
    kw_only=True,
    rename={
        "pools": "memPoolSize",
        "level": "builderOptimizationLevel",
        "timing_cache": "timingCache",
        "gpu_fallback": "allowGPUFallback",
        "hardware": "hardwareCompatibilityLevel",
        "any_release": "versionCompatible",
        "plugin": "staticPlugins",
        "least": "minShapes",
        "usual": "optShapes",
        "greatest": "maxShapes",
    },
):
    """What a profile or ``--backend-option`` may ask of a build; the keys are those of trtexec.

    Attributes
    ----------
    pools : ``workspace:1024``, in MiB or with a suffix B, K, M, G; more pools after a comma.
    level : 0 builds fast, 5 searches longest; ``None`` leaves TensorRT's own.
    timing_cache : keep and use the timings of earlier builds on this GPU with this release.
    gpu_fallback : layers that a DLA cannot run go to the GPU, and are named; without it they are an error.
    hardware : which other GPUs the engine is for.
    any_release : later releases may open it.
    plugin : the library of the fused head; that of edgetl's cache where it is empty.
    least, usual, greatest : ``input:1x224x224x3``, for inputs with a free axis.
    """

    pools: str = ""
    level: int | None = None
    timing_cache: bool = True
    gpu_fallback: bool = False
    hardware: Literal["none", "ampere+", "sameComputeCapability"] = "none"
    any_release: bool = False
    plugin: str = ""
    least: str = ""
    usual: str = ""
    greatest: str = ""


def read(asked: Mapping[str, object]) -> Options:
    """The options of a profile.

    Raises
    ------
    InputError : one is unknown, or has a value that it cannot have.
    """
    known = {field.encode_name for field in msgspec.structs.fields(Options)}
    for key in asked:
        if key not in known:
            raise InputError(
                f"TensorRT's backend has no option {key!r}.{did_you_mean(key, known)}",
                hint=f"one of {', '.join(sorted(known))}",
            )
    try:
        options = msgspec.convert(dict(asked), Options, strict=False)
    except msgspec.ValidationError as error:
        raise InputError(f"backend option: {error}", hint="values are those of trtexec") from error
    if options.level is not None and not 0 <= options.level <= 5:
        raise InputError(
            f"builderOptimizationLevel {options.level} is not from 0 to 5", hint="3 is the default"
        )
    pools(options)
    for bound, text in zip(BOUNDS, (options.least, options.usual, options.greatest)):
        _named_shapes(text, bound)
    return options


def pools(options: Options) -> dict[str, int]:
    """Bytes of each memory pool that was given.

    >>> pools(Options(pools="workspace:1024,dlaSRAM:512K"))
    {'workspace': 1073741824, 'dlaSRAM': 524288}

    Raises
    ------
    InputError : a pool or size that trtexec would not take either.
    """
    found = {}
    for part in filter(None, options.pools.split(",")):
        name, _, size = part.partition(":")
        matched = re.fullmatch(r"(\d+(?:\.\d+)?)([BKMG]?)", size)
        if name not in POOLS or not matched:
            raise InputError(
                f"memPoolSize {part!r} is not pool:size.{did_you_mean(name, POOLS)}",
                hint=f"memPoolSize=workspace:1024 (MiB); pools are {', '.join(POOLS)}",
            )
        found[name] = int(float(matched[1]) * UNITS[matched[2] or "M"])
    return found


def shapes(options: Options, inputs: Sequence[TensorSpec]) -> Shapes:
    """Least, usual and greatest shape of every input with a free axis; a missing one is the nearest that was given.

    Raises
    ------
    InputError : an input has no shape, or one that does not fit it; or a name is no such input's.
    """
    given = [
        _named_shapes(text, bound)
        for bound, text in zip(BOUNDS, (options.least, options.usual, options.greatest))
    ]
    free = {spec.name: spec for spec in inputs if None in spec.shape}
    for name in dict.fromkeys(name for bound in given for name in bound):
        if name not in free:
            raise InputError(
                f"{name!r} is no input with a free axis.{did_you_mean(name, free)}",
                hint=f"inputs with a free axis: {', '.join(free) or 'none'}",
            )
    return {name: _triple(spec, *(bound.get(name) for bound in given)) for name, spec in free.items()}


def _triple(
    spec: TensorSpec,
    least: tuple[int, ...] | None,
    usual: tuple[int, ...] | None,
    greatest: tuple[int, ...] | None,
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """trtexec's rule: the usual shape stands in for a missing bound, or else a bound for the others."""
    least, usual, greatest = (
        least or usual or greatest,
        usual or greatest or least,
        greatest or usual or least,
    )
    example = "x".join(str(dim or 8) for dim in spec.shape)
    hint = f"--backend-option optShapes={spec.name}:{example}, and minShapes, maxShapes where they differ"
    if least is None or usual is None or greatest is None:
        raise InputError(f"input {spec.name!r} has a free axis, and no shape is given for it", hint=hint)
    for shape in (least, usual, greatest):
        if len(shape) != len(spec.shape) or any(
            want not in (None, got) for got, want in zip(shape, spec.shape)
        ):
            raise InputError(
                f"{_shown(shape)} does not fit input {spec.name!r} ({_shown(spec.shape)})", hint=hint
            )
    if not all(low <= mid <= high for low, mid, high in zip(least, usual, greatest)):
        raise InputError(
            f"shapes of {spec.name!r} are not in order: {_shown(least)}, {_shown(usual)}, {_shown(greatest)}",
            hint="each of minShapes is at most optShapes, and that at most maxShapes",
        )
    return least, usual, greatest


def _named_shapes(text: str, bound: str) -> dict[str, tuple[int, ...]]:
    """Shapes by input name.

    >>> _named_shapes("a:1x3,'b:0':scalar", "optShapes")
    {'a': (1, 3), 'b:0': ()}
    """
    found: dict[str, tuple[int, ...]] = {}
    place = 0
    while place < len(text):
        matched = _NAMED_SHAPE.match(text, place)
        if not matched:
            raise InputError(f"{bound} {text!r} is not name:1x3x224x224", hint="several are parted by commas")
        dims = matched["dims"]
        found[matched["quoted"] or matched["name"]] = (
            () if dims == "scalar" else tuple(map(int, dims.split("x")))
        )
        place = matched.end()
    return found


def _shown(shape: Sequence[int | None]) -> str:
    return "x".join("?" if dim is None else str(dim) for dim in shape)
