"""A backend without a vendor's library: for tests of what goes on around an engine, never for answers.

Every model of one output width answers alike: a fixed random projection of the 8 x 8 cell means of its input. So
two engines of one model agree, answers depend on the picture, and nothing has been learned.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgetl import digest
from edgetl.backends.checks import check_inputs, check_stamp, noise, refuse_options
from edgetl.backends.pool import HeldInputs, PooledSession
from edgetl.backends.seam import Probe, Request
from edgetl.errors import BackendError, EnvironmentLacks
from edgetl.types import Engine, LayerInfo, TensorSpec

if TYPE_CHECKING:
    from edgetl.devices import DeviceProfile

__all__ = ["Fake", "FakeRequest", "FakeSession"]

Array = npt.NDArray[Any]

FILE = "model.onnx"
VERSION = "1.0.0"
CELLS = 8
DTYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
}
"""ONNX's numbers of the element types."""


class Fake:
    """Engines that only pretend; registered as ``fake``."""

    name = "fake"

    def probe(self) -> Probe:
        """It is always there."""
        return Probe(usable=True, devices=("CPU",), versions=self.fingerprint())

    def fingerprint(self) -> dict[str, str]:
        """A release of its own."""
        return {"fake": VERSION}

    def compile(self, model: Path, profile: DeviceProfile, workdir: Path) -> Engine:
        """Copy the file, and read from it what it takes and gives."""
        if profile.device != "CPU":
            raise EnvironmentLacks(f"the fake backend has no {profile.device}", hint="device: CPU")
        refuse_options(self.name, profile.options)
        inputs, outputs = _signature(model)
        shutil.copyfile(model, workdir / FILE)
        return Engine(
            backend=self.name,
            device="CPU",
            precision=profile.precision,
            files=(FILE,),
            source=digest.of_file(model),
            config={} if profile.threads is None else {"threads": str(profile.threads)},
            built_with=self.fingerprint(),
            inputs=inputs,
            outputs=outputs,
        )

    def open(
        self,
        engine: Engine,
        folder: Path,
        profile: DeviceProfile | None = None,
        *,
        cache: Path | None = None,
    ) -> FakeSession:
        """Read the file again: a damaged one is refused as a vendor would."""
        check_stamp(engine, "fake", VERSION)
        _signature(folder / engine.files[0])
        return FakeSession(engine)

    def trial(self, model: Path, profile: DeviceProfile) -> FakeSession:
        """The same, in a folder that is gone when it is open."""
        with tempfile.TemporaryDirectory() as scratch:
            return self.open(self.compile(model, profile, Path(scratch)), Path(scratch))

    def explain(
        self,
        engine: Engine,
        folder: Path,
        profile: DeviceProfile | None = None,
        *,
        inputs: Mapping[str, Array] | None = None,
    ) -> list[LayerInfo]:
        """One layer, in the precision that was asked for."""
        check_stamp(engine, "fake", VERSION)
        feed = {spec.name: noise(spec) for spec in engine.inputs} if inputs is None else inputs
        check_inputs(engine.inputs, feed)
        precision = "u8" if engine.precision == "int8" else "f32"
        return [LayerInfo(name="projection", kind="Fake", precision=precision, microseconds=1.0)]


class FakeSession(PooledSession):
    """Answers by projection."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine.inputs, engine.outputs)
        self.weights = {
            spec.name: np.random.default_rng(0).normal(size=(3 * CELLS * CELLS, spec.shape[-1] or 1))
            for spec in engine.outputs
        }

    def _make_request(self) -> FakeRequest:
        return FakeRequest(self)

    def _release(self) -> None:
        self.weights = {}


class FakeRequest(HeldInputs, Request):
    """One pretended inference."""

    def __init__(self, owner: FakeSession) -> None:
        super().__init__(owner.inputs)
        self._weights = owner.weights
        self._outputs = owner.outputs

    def start(self) -> None:
        """Nothing yet."""

    def wait(self) -> dict[str, Array]:
        """The projections."""
        cells = _cells(next(iter(self.inputs.values())))
        return {
            spec.name: (cells @ self._weights[spec.name]).astype(spec.dtype).reshape(len(cells), -1)
            for spec in self._outputs
        }


def _cells(pictures: Array) -> Array:
    """Means over a grid, (N, 3 x 8 x 8), where white is 1.0; an input of another form is cut or repeated to fit."""
    white = 255.0 if pictures.dtype == np.uint8 else 1.0
    values = pictures.astype(np.float64) / white
    if values.ndim == 4 and values.shape[3] == 3 and min(values.shape[1:3]) >= CELLS:
        rows, columns = (np.arange(CELLS) * values.shape[axis] // CELLS for axis in (1, 2))
        sums = np.add.reduceat(np.add.reduceat(values, rows, axis=1), columns, axis=2)
        values = sums / (values.shape[1] * values.shape[2] / CELLS**2)
    return np.stack([np.resize(row.ravel(), 3 * CELLS * CELLS) for row in values])


def _signature(model: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs of an ONNX file, read without a library: field 7 is the graph, its 11 and 12 are the values.

    Raises
    ------
    BackendError : it is not ONNX.
    """
    try:
        graph = next(value for field, value in _fields(model.read_bytes()) if field == 7)
        parts = list(_fields(graph))
        constants = {_first(value, 8) for field, value in parts if field == 5}
        specs = {
            kind: tuple(
                _spec(value) for field, value in parts if field == kind and _first(value, 1) not in constants
            )
            for kind in (11, 12)
        }
        if not specs[11] or not specs[12]:
            raise ValueError("no inputs or no outputs")
    except (OSError, ValueError, IndexError, KeyError, StopIteration, TypeError) as error:
        raise BackendError(f"the fake backend refuses {model.name}: it is not ONNX ({error})") from error
    return specs[11], specs[12]


def _spec(value: bytes) -> TensorSpec:
    """A ValueInfoProto: name is field 1; type 2, its tensor 1, of which 1 is the element type and 2 the shape."""
    tensor = _first(_first(value, 2), 1)
    dims = [_first(dim, 1, 0) for field, dim in _fields(_first(tensor, 2)) if field == 1]
    return TensorSpec(
        name=_first(value, 1).decode(),
        dtype=DTYPES[_first(tensor, 1)],
        shape=tuple(dim or None for dim in dims),
    )


def _first(message: bytes, wanted: int, otherwise: Any = None) -> Any:
    found = next((value for field, value in _fields(message) if field == wanted), otherwise)
    if found is None:
        raise ValueError(f"field {wanted} is missing")
    return found


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of each field of a protocol buffer, in order."""
    place = 0
    while place < len(message):
        key, place = _number(message, place)
        wire = key & 7
        if wire == 0:
            value, place = _number(message, place)
            yield key >> 3, value
            continue
        size, place = (_number(message, place)) if wire == 2 else ({1: 8, 5: 4}[wire], place)
        if place + size > len(message):
            raise ValueError("cut short")
        yield key >> 3, message[place : place + size]
        place += size


def _number(message: bytes, place: int) -> tuple[int, int]:
    """A variable-length integer, and where it ends."""
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
