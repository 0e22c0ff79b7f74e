"""Latency of a device fitted to measured engines: so much an operation, a byte and a launch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LinearRegression

from edgetl import digest
from edgetl.advise.cost import Cost
from edgetl.cache import out_of_space, write_whole
from edgetl.errors import InputError
from edgetl.types import Record

__all__ = ["LatencyModel", "Measured", "fit", "read", "write"]

SCHEMA = 1
LEAST = 6
"""Networks that a fit takes: fewer leave nothing to judge it by."""
TERMS = Cost.__struct_fields__
MOST_MS = 1e3
"""No launch, let alone an operation or a byte, takes so long."""


class Measured(Record, frozen=True, kw_only=True):
    """One network's INT8 engine on the device: ``p50_ms`` at a square input of ``size`` pixels, batch 1."""

    model: str
    size: int
    p50_ms: float
    cost: Cost


class LatencyModel(Record, frozen=True, kw_only=True):
    """Milliseconds of an INT8 engine from its cost.

    Attributes
    ----------
    device, backend : of the profile. host : fingerprint of the machine that was measured.
    milliseconds : for one unit of each term of ``Cost``; none is below 0.
    measured : what it was fitted to. left_out_ms : of each, what a fit without its network predicts.
    error_median, error_worst : relative errors of those predictions.
    """

    schema: int = SCHEMA
    device: str
    backend: str
    host: dict[str, str]
    milliseconds: Cost
    measured: tuple[Measured, ...]
    left_out_ms: tuple[float, ...]
    error_median: float
    error_worst: float

    def predict(self, cost: Cost) -> float:
        """Milliseconds of one inference, the median."""
        return float(_row(cost) @ _row(self.milliseconds))


def fit(measured: Sequence[Measured], *, device: str, backend: str, host: dict[str, str]) -> LatencyModel:
    """Non-negative least squares of relative errors, and what it says of networks that it did not see.

    Lawson and Hanson, "Solving least squares problems" (1974), chapter 23. Every size of a network is left out with
    it: else the error would be that of a network that is known.

    Raises
    ------
    InputError : fewer than six networks, or a time that is not above 0.
    """
    names = sorted({one.model for one in measured})
    if len(names) < LEAST:
        raise InputError(
            f"{len(names)} networks were measured, a latency model takes {LEAST}", hint="measure more of them"
        )
    if min(one.p50_ms for one in measured) <= 0:
        raise InputError("a measured latency is not above 0", hint="measure it again")
    without = {name: _solve([one for one in measured if one.model != name]) for name in names}
    left_out = [float(_row(one.cost) @ without[one.model]) for one in measured]
    errors = [abs(predicted / one.p50_ms - 1) for one, predicted in zip(measured, left_out)]
    return LatencyModel(
        device=device,
        backend=backend,
        host=host,
        milliseconds=Cost(**dict(zip(TERMS, _solve(measured).tolist()))),
        measured=tuple(measured),
        left_out_ms=tuple(left_out),
        error_median=float(np.median(errors)),
        error_worst=max(errors),
    )


def _row(cost: Cost) -> npt.NDArray[np.float64]:
    return np.array([getattr(cost, term) for term in TERMS])


def _solve(measured: Sequence[Measured]) -> npt.NDArray[np.float64]:
    """Milliseconds a unit of each term; terms are brought to one size first, for they differ by nine powers of ten."""
    times = np.array([one.p50_ms for one in measured])
    rows = np.stack([_row(one.cost) for one in measured])
    largest = rows.max(axis=0)
    scale = np.where(largest > 0, largest, 1.0)
    found: Any = LinearRegression(positive=True, fit_intercept=False)
    found.fit(rows / scale / times[:, None], np.ones(len(times)))
    solved: npt.NDArray[np.float64] = found.coef_ / scale
    return solved


def write(model: LatencyModel, file: Path) -> None:
    """Keep a model as JSON, whole or not at all.

    Raises
    ------
    EnvironmentLacks : the disk is full or cannot be written.
    """
    with out_of_space(file.absolute().parent):
        file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, digest.canonical_json(model))


def read(file: Path) -> LatencyModel:
    """A model that was kept.

    Raises
    ------
    InputError : there is none, it is of another form, or it holds what no fit gives.
    """
    try:
        found = msgspec.json.decode(file.read_bytes(), type=LatencyModel)
    except OSError as error:
        raise InputError(
            f"no latency model {file}", hint="edgetl profile-device --out FILE writes one"
        ) from error
    except msgspec.DecodeError as error:
        raise InputError(
            f"{file} is no latency model: {error}", hint="edgetl profile-device --out FILE writes one"
        ) from error
    if found.schema > SCHEMA:
        raise InputError(
            f"{file} has schema {found.schema}, this edgetl reads up to {SCHEMA}", hint="a newer edgetl"
        )
    terms = _row(found.milliseconds)
    if not (0 < terms.max() < MOST_MS and terms.min() >= 0 and found.error_median >= 0):
        raise InputError(
            f"{file} is no latency model: a time a unit is from 0 to {MOST_MS:g} ms, not all are 0, and no error is "
            "below 0",
            hint="edgetl profile-device --out FILE writes one",
        )
    return found
