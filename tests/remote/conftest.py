"""A device on loopback, and pending bundles to finish there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgetl.pipeline import Silent
from edgetl.remote.build import Order
from edgetl.remote.ssh import Link, Options
from edgetl.runtime.bundle import Pending
from tests import handmade
from tests.remote.cutting import Wire
from tests.remote.device import SSHD, Device

STEPS = (("compile",), ("verify",), ("bench", "--duration", "0.1", "--iterations", "3"))
MakeDevice = Callable[..., Device]
MakeWire = Callable[..., Wire]


class Told(Silent):
    """Remembers what a build told."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.notes: list[str] = []

    def finished(self, stage: str, record: object, seconds: float, cached: bool) -> None:
        """A step is done."""
        self.steps.append(stage)

    def note(self, message: str) -> None:
        """Such as a cut."""
        self.notes.append(message)


@pytest.fixture(scope="session", autouse=True)
def _programs() -> None:
    """Skips with a reason where there is no sshd or rsync."""
    absent = [name for name in (SSHD, "ssh", "ssh-keygen", "rsync") if shutil.which(name) is None]
    if not absent:
        return
    reason = f"{', '.join(absent)}: not on this host (apt install openssh-server rsync)"
    if "sshd" in os.environ.get("EDGETL_REQUIRE", "").split(","):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def make_device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeDevice]:
    """Devices of one's own, to be broken; they are stopped, and nothing may still run there."""
    made: list[Device] = []

    def make(**options: object) -> Device:
        made.append(Device(tmp_path_factory.mktemp("device") / "d", **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        one.stop()
        assert one.left_behind() == []


@pytest.fixture(scope="session")
def device(tmp_path_factory: pytest.TempPathFactory, _programs: None) -> Iterator[Device]:
    """The device of the session, whole: what was installed there stays, as on a real one."""
    made = Device(tmp_path_factory.mktemp("device") / "d")
    yield made
    made.stop()
    assert made.left_behind() == []


@pytest.fixture
def wire() -> Iterator[MakeWire]:
    """Wires to a device that can be cut."""
    made: list[Wire] = []

    def make(device: Device, cuts: tuple[int, ...] = ()) -> Wire:
        made.append(Wire(device.port, cuts))
        device.trust(made[-1].port)
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def link(device: Device) -> Iterator[Link]:
    """A connection to the device."""
    with Link(device.host, Options(device.options())) as made:
        yield made


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures that the bundles' data digests are of."""
    return handmade.write_pictures(tmp_path_factory.mktemp("colours"))


@pytest.fixture
def pending(tmp_path: Path, colours: Path) -> Path:
    """A bundle without its engine, which the backend without a vendor's library is to make."""
    waiting = Pending(reason="built on the board", next=("compile it there",))
    return handmade.write_bundle(tmp_path / "runs" / "colours", colours, backend="fake", pending=waiting)


@pytest.fixture
def profiles(tmp_path: Path) -> Path:
    """The profile that hand-made bundles name."""
    file = tmp_path / "profiles.yaml"
    file.write_text("devices: {by-hand: {backend: fake}}\n")
    return file


def order(device: Device, profiles: Path, *, port: int | None = None, **rest: object) -> Order:
    """To finish a bundle on the device, with short waits and a short bench."""
    given: dict[str, object] = {
        "hosts": (device.host,),
        "options": Options(device.options(port)),
        "devices_file": profiles,
        "steps": STEPS,
        "delays_s": (0.1,) * 10,
    }
    return Order(**{**given, **rest})  # type: ignore[arg-type]
