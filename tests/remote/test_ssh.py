"""The connection: keys alone, host keys enforced, and nothing of it stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgetl.errors import EnvironmentLacks, InputError
from edgetl.remote import doctor
from edgetl.remote.ssh import Link, LinkDown, Options, check_host
from tests.remote.conftest import MakeWire
from tests.remote.device import Device, free_port, make_key


def reach(device: Device, *settings: str) -> EnvironmentLacks:
    """Why a connection is not made with these settings in place of the device's own."""
    given = {setting.partition("=")[0] for setting in settings}
    kept = [setting for setting in device.options() if setting.partition("=")[0] not in given]
    with (
        Link(device.host, Options((*settings, *kept))) as link,
        pytest.raises(EnvironmentLacks) as caught,
    ):
        doctor.reach(link)
    return caught.value


def test_commands_share_a_connection_and_carry_their_exit_code(link: Link, device: Device) -> None:
    before = (device.root / "sshd.log").read_text().count("Accepted publickey")
    assert link.run("echo out; echo err >&2; exit 7").code == 7
    told = link.run("cat", stdin=b"said\n")
    assert (told.out, told.code) == ("", 127), "the device has few programs"
    assert link.run("read line; echo $line $HOME", stdin=b"said\n").out == f"said {device.home}\n"
    assert (device.root / "sshd.log").read_text().count("Accepted publickey") == before + 1


def test_a_key_that_the_device_does_not_know_is_refused_with_the_mend(device: Device, tmp_path: Path) -> None:
    make_key(tmp_path / "stranger")
    refused = reach(device, f"IdentityFile={tmp_path / 'stranger'}")
    assert "127.0.0.1 refuses every SSH key" in refused.problem
    assert "ssh-copy-id" in refused.hint
    assert refused.exit_code == 5


@pytest.mark.parametrize(
    ("known", "words"), [("another", "is not the one in known_hosts"), ("none", "is not in known_hosts")]
)
def test_a_host_key_that_is_not_known_ends_it_before_anything_is_sent(
    device: Device, tmp_path: Path, known: str, words: str
) -> None:
    hosts = tmp_path / "known_hosts"
    hosts.touch()
    if known == "another":
        make_key(tmp_path / "other")
        hosts.write_text(f"[127.0.0.1]:{device.port} {(tmp_path / 'other.pub').read_text()}")
    refused = reach(device, f"UserKnownHostsFile={hosts}")
    assert words in refused.problem
    assert "ssh" in refused.hint


def test_nobody_there_is_told_at_once(device: Device) -> None:
    assert "cannot reach 127.0.0.1: " in reach(device, f"Port={free_port()}").problem


@pytest.mark.parametrize(
    "setting",
    [
        "StrictHostKeyChecking=no",
        "passwordauthentication=yes",
        "BatchMode=no",
        "Port",
        "=2",
        "Port=2\nHost x",
    ],
)
def test_a_setting_that_weakens_or_is_none_is_refused(setting: str) -> None:
    with pytest.raises(InputError, match="--ssh-option"), Link("device", Options((setting,))):
        pass


@pytest.mark.parametrize("host", ["-oProxyCommand=x", "user@-x", "a b", "user@host:22", "", "a@b@c"])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(InputError, match="is not user@host"):
        check_host(host)


def test_a_configuration_of_the_users_own_is_read(device: Device, tmp_path: Path) -> None:
    file = tmp_path / "a config"
    lines = [f"  {setting.replace('=', ' ')}" for setting in device.options()]
    file.write_text("\n".join(["Host board", f"  HostName {device.host}", *lines, ""]))
    with Link("board", Options(config=file)) as link:
        assert link.run("exit 0").code == 0
    with pytest.raises(InputError, match="no such file"), Link("board", Options(config=tmp_path / "none")):
        pass


def test_a_cut_is_told_apart_from_a_command_that_fails_and_is_mended(device: Device, wire: MakeWire) -> None:
    line = wire(device)
    with Link(device.host, Options(device.options(line.port))) as link:
        assert link.run("exit 1").code == 1
        with link.running("echo begun; read line") as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"begun\n"
            line.cut()
            assert child.wait() == 255
        link.close()
        assert link.run("exit 0").code == 0
        line.close()
        with pytest.raises(LinkDown):
            link.run("exit 0")
    assert not Path(link.ssh[2]).exists()
