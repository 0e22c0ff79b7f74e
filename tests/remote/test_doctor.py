"""What a device lacks is said before anything is sent to it."""

from __future__ import annotations

import pytest

from edgetl.errors import EnvironmentLacks
from edgetl.remote import doctor
from edgetl.remote.ssh import Link, Options
from tests.remote.conftest import MakeDevice
from tests.remote.device import BACKEND, Device


def examined(device: Device) -> doctor.Found:
    """The report on a device."""
    with Link(device.host, Options(device.options())) as link:
        return doctor.examine(link)


def test_a_whole_device_lacks_nothing(device: Device) -> None:
    found = examined(device)
    assert found["missing"] == []
    assert found["home"] == str(device.home)
    assert "openvino" in found["backends"]
    assert "nothing is missing" in doctor.lines(found)[-1]
    for backend in ("openvino", "another distribution's"):
        doctor.refuse(found, backend)
    with pytest.raises(EnvironmentLacks, match="lacks tensorrt"):
        doctor.refuse(found, "tensorrt")


@pytest.mark.parametrize(
    ("program", "script", "words", "mend"),
    [
        ("python3", "echo 3.8", "Python 3.8, edgetl takes 3.10 or newer", "JetPack 6"),
        ("python3", "exit 127", "no python3", "apt install python3.10"),
        ("df", "echo; echo x 1 1 102400 1 /", "disk space: 100 MB free", "~/.edgetl"),
        ("rsync", "", "rsync", "apt install rsync"),
    ],
)
def test_what_is_missing_is_named_with_its_mend(
    make_device: MakeDevice, program: str, script: str, words: str, mend: str
) -> None:
    device = make_device()
    if script:
        device.replace(program, script)
    else:
        (device.programs / program).unlink()
    found = examined(device)
    with pytest.raises(EnvironmentLacks, match=r"127\.0\.0\.1 lacks") as caught:
        doctor.refuse(found)
    assert words in caught.value.problem
    assert mend in caught.value.hint
    assert any(words in line for line in doctor.lines(found))


def test_what_pip_can_mend_is_told_and_does_not_stop_a_build(make_device: MakeDevice) -> None:
    found = examined(make_device(distributions=()))
    lacks = {row["what"]: row for row in found["missing"]}
    core = next(row for what, row in lacks.items() if "msgspec>=" in what)
    assert "--wheelhouse" in core["mend"]
    assert any(what.startswith("a backend: none of tensorrt") for what in lacks)
    doctor.refuse(found)


def test_a_home_that_cannot_be_written_is_told(make_device: MakeDevice) -> None:
    device = make_device(distributions=BACKEND)
    (device.home / ".edgetl").write_text("in the way")
    with pytest.raises(EnvironmentLacks, match=r"cannot make ~/\.edgetl"):
        examined(device)
