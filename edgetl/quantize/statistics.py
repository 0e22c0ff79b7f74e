"""The statistics file: ``calibration.npz`` with the numbers, ``calibration.json`` with what they are of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl import digest
from edgetl.calibration.range_stats import SCHEMA, RangeStats
from edgetl.errors import InputError
from edgetl.quantize import files
from edgetl.types import Record

__all__ = ["Identity", "Statistics", "check", "identity", "load", "load_identity", "save"]

MEAN = "mean_window"
NUMBERS, FACTS = "calibration.npz", "calibration.json"


@dataclass(frozen=True)
class Statistics:
    """What was observed of a float model.

    Attributes
    ----------
    ranges : of each activation that a scheme may quantize, by its name.
    means : of each layer with weights, by its name, the mean window that it reads: (G, K), see ``window.Window``.
    moves : by how much of its width each range would move with another draw of samples, see ``stability.movement``.
    distinct : how many of the samples differ. Neither is kept in the file.
    """

    ranges: dict[str, RangeStats]
    means: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    moves: dict[str, float | None] = field(default_factory=dict)
    distinct: int = 0


class Identity(Record, frozen=True, kw_only=True):
    """What statistics are of.

    Attributes
    ----------
    schema : of the two files.
    model : sha256 of the ONNX file and of the weights beside it. preprocess : what made its inputs from pictures.
    data : digest of the pictures. samples : which of them, in the order they were seen.
    method : what the statistics were taken for; without a histogram they serve extremes alone.
    numbers : sha256 of ``calibration.npz``; empty until it is written.
    """

    schema: int = SCHEMA
    model: str
    preprocess: dict[str, Any]
    data: str
    samples: tuple[int, ...]
    method: str
    numbers: str = ""


def identity(model: Path, preprocess: Any, data: str, samples: Sequence[int], method: str) -> Identity:
    """The identity of statistics taken now.

    Parameters
    ----------
    preprocess : a ``Preprocess`` record or the JSON of one.
    data : digest of the data set that the samples are numbers in.
    """
    return Identity(
        model=files.digest_of(model),
        preprocess=msgspec.json.decode(
            msgspec.json.encode(preprocess)
        ),  # as it will be read: lists, not tuples
        data=data,
        samples=tuple(int(n) for n in samples),
        method=method,
    )


def save(stats: Statistics, of: Identity, folder: Path) -> None:
    """Write both files into an existing folder; the JSON last, so that it is there only if all is."""
    arrays = {
        f"{name}|{key}": value for name, one in stats.ranges.items() for key, value in one.to_arrays().items()
    }
    arrays |= {f"{name}|{MEAN}": value for name, value in stats.means.items()}
    partial = folder / f"{NUMBERS}.partial.npz"
    np.savez_compressed(partial, allow_pickle=False, **arrays)
    partial.replace(folder / NUMBERS)
    whole = msgspec.structs.replace(of, numbers=digest.of_file(folder / NUMBERS))
    (folder / FACTS).write_bytes(digest.canonical_json(whole))


def load(folder: Path, *, model: Path | None = None) -> Statistics:
    """The statistics in a folder; with ``model`` only if they are of that file.

    Raises
    ------
    InputError : missing, damaged, another schema, or of another model.
    """
    told = load_identity(folder)
    if model is not None:
        check(told, msgspec.structs.replace(told, model=files.digest_of(model)))
    path = folder / NUMBERS
    if not path.is_file() or digest.of_file(path) != told.numbers:
        raise InputError(f"{path} is not the file that {FACTS} names", hint="calibrate again")
    found: dict[str, dict[str, Any]] = {}
    means: dict[str, npt.NDArray[Any]] = {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for entry in arrays.files:
                name, _, key = entry.rpartition("|")
                if key == MEAN:
                    means[name] = arrays[entry]
                else:
                    found.setdefault(name, {})[key] = arrays[entry]
    except (ValueError, BadZipFile, OSError) as error:
        raise InputError(f"{path} cannot be read: {error}", hint="calibrate again") from error
    return Statistics({name: RangeStats.from_arrays(parts) for name, parts in found.items()}, means)


def load_identity(folder: Path) -> Identity:
    """What the statistics in a folder are of."""
    path = folder / FACTS
    if not path.is_file():
        raise InputError(
            f"{folder} has no {FACTS}", hint="edgetl calibrate MODEL.onnx --calib-data DIR writes it"
        )
    try:
        told = json.loads(path.read_bytes())
        schema = told.get("schema") if isinstance(told, dict) else None
        if schema != SCHEMA:
            raise InputError(
                f"{path} has schema {schema}, this version reads {SCHEMA}", hint="calibrate again"
            )
        return msgspec.convert(told, Identity)
    except (ValueError, msgspec.ValidationError) as error:
        raise InputError(f"{path} is damaged: {error}", hint="calibrate again") from error


def check(found: Identity, wanted: Identity) -> None:
    """Refuse statistics of something else.

    Raises
    ------
    InputError : names every field that differs.
    """
    differ = [
        name
        for name in ("model", "preprocess", "data", "samples")
        if getattr(found, name) != getattr(wanted, name)
    ]
    if differ:
        raise InputError(
            f"the statistics are of another {', '.join(differ)}",
            hint="calibrate again",
            **{name: [getattr(found, name), getattr(wanted, name)] for name in differ},
        )
