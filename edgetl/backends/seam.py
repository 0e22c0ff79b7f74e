"""The seam between edgetl and a vendor: one compiler and the runtime that opens its output."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy.typing as npt

from edgetl.errors import EnvironmentLacks, did_you_mean
from edgetl.types import Engine, LayerInfo, Record, TensorSpec

if TYPE_CHECKING:  # reading profiles takes YAML, which a device that only runs an engine does without
    from edgetl.devices import DeviceProfile

__all__ = ["Backend", "Probe", "Request", "Session", "find", "installed"]

Array = npt.NDArray[Any]
GROUP = "edgetl.backends"


class Probe(Record, frozen=True, kw_only=True):
    """What a backend can do on this host.

    Attributes
    ----------
    usable : at least one device can be compiled for and run here.
    devices : the vendor's device strings that answered.
    versions : of the vendor's libraries; empty where they are not installed.
    reason : why it (or a device) is not usable, one line, without paths; empty where all is well.
    mend : the command that mends it; empty where there is none.
    absent : device string -> reason, for devices the backend knows that are not here.
    typed : it takes a graph's types as they are, so that what is to run in FP16 has to be FP16 in the graph.
    """

    usable: bool
    devices: tuple[str, ...] = ()
    versions: dict[str, str] = {}
    reason: str = ""
    mend: str = ""
    absent: dict[str, str] = {}
    typed: bool = False


class Request(Protocol):
    """One inference in flight, with buffers of its own; used by one thread at a time.

    A backend's class inherits it, and with it ``infer``.
    """

    inputs: Mapping[str, Array]
    """Writable arrays, one an input of fixed shape: write into them, then ``start`` or ``infer``."""

    def fill(self, inputs: Mapping[str, Array]) -> None:
        """Copy arrays into the request's own; the way for inputs whose shape changes."""

    def start(self) -> None:
        """Begin the inference and return at once."""

    def wait(self) -> dict[str, Array]:
        """The outputs, as views that the next inference of this request overwrites."""

    def infer(self) -> dict[str, Array]:
        """One inference now: what ``wait`` answers after ``start``.

        A backend that hands what it starts to another thread answers this one in the caller's, which is faster.
        """
        self.start()
        return self.wait()


@runtime_checkable
class Session(Protocol):
    """An opened engine."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def facts(self) -> Mapping[str, str]:
        """How inferences are run, by name, for whoever reports a measurement; empty where there is nothing to say."""

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs for these inputs, as arrays that the caller owns; safe from any thread.

        Raises
        ------
        InputError : a name, dtype or shape is not the engine's (nothing is cast).
        """

    def request(self) -> Request:
        """A request of one's own, for asynchronous work and for measuring without a copy."""

    def close(self) -> None:
        """Give the vendor's resources back; a second call does nothing."""


class Backend(Protocol):
    """One compiler and the runtime that opens its output. Vendor types never cross these six."""

    name: str

    def probe(self) -> Probe:
        """What is usable here; answers, never raises."""

    def compile(self, model: Path, profile: DeviceProfile, workdir: Path) -> Engine:
        """Compile an ONNX file for ``profile.precision``; writes only under ``workdir``.

        Raises
        ------
        EnvironmentLacks : the device is not here. BackendError : the vendor refused the graph.
        """

    def open(
        self,
        engine: Engine,
        folder: Path,
        profile: DeviceProfile | None = None,
        *,
        cache: Path | None = None,
    ) -> Session:
        """Open an engine whose files are in ``folder``; checks the stamp before the vendor reads a byte.

        Everything that opening needs is in ``engine``; a device that only runs it gives no ``profile``.

        Parameters
        ----------
        cache : a folder where the vendor may keep what it made of the engine, for whoever opens it again and again.
            The session answers and runs as one that was opened without.

        Raises
        ------
        NotComparable : another release built it. EnvironmentLacks : its device is not here.
        BackendError : the vendor refused the files.
        """

    def trial(self, model: Path, profile: DeviceProfile) -> Session:
        """An engine of an ONNX file for this process alone: it answers as that of ``compile`` and ``open``.

        Nothing is written and nothing is timed, so a vendor may leave out what makes engines reproducible or fast to
        answer once, and use all cores for several requests at a time.

        Raises
        ------
        EnvironmentLacks : the device is not here. BackendError : the vendor refused the graph.
        """

    def explain(
        self,
        engine: Engine,
        folder: Path,
        profile: DeviceProfile | None = None,
        *,
        inputs: Mapping[str, Array] | None = None,
    ) -> list[LayerInfo]:
        """The layers as executed, with time, in the order they run.

        Parameters
        ----------
        inputs : what to run it on; noise where it is ``None``.
        """

    def fingerprint(self) -> dict[str, str]:
        """Versions of the tools that shape an engine, for keys and manifests."""


def installed() -> dict[str, str]:
    """Names of the backends of every installed distribution, with the object each one names."""
    return {entry.name: entry.value for entry in sorted(entry_points(group=GROUP), key=lambda e: e.name)}


def find(name: str) -> Backend:
    """The backend called ``name``, ours or from another distribution.

    Raises
    ------
    EnvironmentLacks : no installed distribution registers one of that name.
    """
    entries = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in entries:
        raise EnvironmentLacks(
            f"no backend {name!r} is installed, found {', '.join(sorted({*entries} - {'fake'})) or 'none'}."
            + did_you_mean(name, entries),
            hint="edgetl devices   says which devices this host can build for and run",
        )
    backend: Backend = entries[name].load()()
    return backend
