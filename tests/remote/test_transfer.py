"""Files there and back, also where the link is cut in the middle of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgetl import digest
from edgetl.errors import EnvironmentLacks
from edgetl.remote import transfer
from edgetl.remote.ssh import Link, LinkDown, Options
from tests.remote.conftest import MakeDevice, MakeWire
from tests.remote.device import Device


def folder(place: Path, size: int = 1000) -> Path:
    """Noise, which does not compress."""
    (place / "deep").mkdir(parents=True)
    for name in ("a.bin", "deep/b.bin"):
        (place / name).write_bytes(np.random.default_rng(len(name)).bytes(size))
    return place


def test_what_comes_back_is_what_was_sent_and_nothing_else_is_there(
    link: Link, device: Device, tmp_path: Path
) -> None:
    there = device.home / "there"
    there.mkdir()
    (there / "stale").touch()
    sent = folder(tmp_path / "sent")
    transfer.push(link, sent, str(there))
    transfer.pull(link, str(there), tmp_path / "back", leave=("a.bin",))
    assert digest.tree_files(tmp_path / "back") == ["deep/b.bin"]
    assert digest.of_tree(there) == digest.of_tree(sent)


def test_a_changed_byte_of_the_same_size_and_time_is_found(
    link: Link, device: Device, tmp_path: Path
) -> None:
    sent = folder(tmp_path / "sent")
    there = device.home / "changed"
    there.mkdir()
    transfer.push(link, sent, str(there))
    file = there / "a.bin"
    body = bytearray(file.read_bytes())
    body[500] ^= 1
    file.write_bytes(body)
    transfer.push(link, sent, str(there))
    assert digest.of_tree(there) == digest.of_tree(sent)


def test_a_cut_in_the_middle_of_a_file_is_gone_on_from(
    device: Device, wire: MakeWire, tmp_path: Path
) -> None:
    sent = folder(tmp_path / "sent", 3_000_000)
    there = device.home / "cut"
    there.mkdir()
    line = wire(device, (1_500_000,))
    with Link(device.host, Options(device.options(line.port))) as link:
        with pytest.raises(LinkDown):
            transfer.push(link, sent, str(there))
        assert digest.of_tree(there) != digest.of_tree(sent)
        assert list(there.iterdir()), "what arrived is kept"
        link.close()
        transfer.push(link, sent, str(there))
    assert line.made == 1
    assert digest.of_tree(there) == digest.of_tree(sent)


def test_a_full_disk_there_is_no_cut(make_device: MakeDevice, tmp_path: Path) -> None:
    device = make_device()
    device.replace("rsync", 'echo "rsync: write failed: No space left on device (28)" >&2; exit 11')
    with (
        Link(device.host, Options(device.options())) as link,
        pytest.raises(EnvironmentLacks, match="no space left on 127"),
    ):
        transfer.push(link, folder(tmp_path / "sent"), str(device.home))
