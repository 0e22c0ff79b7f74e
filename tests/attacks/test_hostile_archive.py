"""An archive that would write outside its folder, or more than it says, writes nothing."""

from __future__ import annotations

import errno
import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edgetl import digest
from edgetl.errors import BundleError, EnvironmentLacks
from edgetl.runtime import archive, open_bundle
from tests.runtime.conftest import Sealed

HEADER = 512


def member(name: str, body: bytes = b"x", kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    """One member of a tar as it lies in the file."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = len(body) if kind == tarfile.REGTYPE else 0
    padding = -len(body) % HEADER
    return info.tobuf(tarfile.PAX_FORMAT) + (body + b"\0" * padding if info.size else b"")


def written(path: Path, *members: bytes) -> Path:
    path.write_bytes(b"".join(members) + b"\0" * 2 * HEADER)
    return path


def assert_refused(path: Path, *words: str) -> None:
    """Nothing is left, neither under the final name nor under another, and the error says why."""
    home = path.parent
    before = sorted(home.rglob("*"))
    with pytest.raises(BundleError) as caught:
        archive.unpack(path, home / "into")
    assert caught.value.exit_code == 2
    for word in words:
        assert word in caught.value.problem
    assert sorted(home.rglob("*")) == before


@pytest.mark.parametrize(
    "name", ["../out", "a/../../out", "/tmp/out", "a\\..\\out", "./a", "a//b", "a/", ".", "..", "a/./b"]
)
def test_a_member_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    assert_refused(written(tmp_path / "x.tar", member("ok"), member(name)), "in the archive")


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE],
)
def test_a_link_or_a_device_is_refused(tmp_path: Path, kind: bytes) -> None:
    assert_refused(
        written(tmp_path / "x.tar", member("ok"), member("evil", b"", kind, "/etc/passwd")), "evil", "plain"
    )


def test_a_member_that_goes_through_a_link_is_refused(tmp_path: Path) -> None:
    link = member("a", b"", tarfile.SYMTYPE, "..")
    assert_refused(written(tmp_path / "x.tar", link, member("a/out")), "plain")


def test_a_sparse_member_is_refused(tmp_path: Path) -> None:
    """One block in the file, a gigabyte on the disk."""
    info = tarfile.TarInfo("sparse")
    info.size = HEADER
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[386:398], header[398:410] = b"00000000000\0", b"00000001000\0"
    header[483:495] = b"10000000000\0"
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    assert_refused(written(tmp_path / "x.tar", bytes(header), b"x" * HEADER), "sparse")


def test_a_member_twice_is_refused(tmp_path: Path) -> None:
    assert_refused(written(tmp_path / "x.tar", member("a"), member("a", b"other")), "twice")


def test_a_file_that_is_also_a_folder_is_refused(tmp_path: Path) -> None:
    assert_refused(written(tmp_path / "x.tar", member("a"), member("a/b")), "file and a folder")
    assert_refused(written(tmp_path / "y.tar", member("a/b"), member("a")), "file and a folder")


@pytest.mark.parametrize("name", ["x" * 5000, "nul\0l"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, name: str) -> None:
    info = tarfile.TarInfo("plain")
    info.size, info.pax_headers = 1, {"path": name}
    body = info.tobuf(tarfile.PAX_FORMAT) + b"x" + b"\0" * (HEADER - 1)
    assert_refused(written(tmp_path / "x.tar", body), "x.tar")


@pytest.mark.parametrize("size", [10_000_000, 1 << 40, 8 << 30])
def test_a_member_larger_than_the_archive_is_refused(tmp_path: Path, size: int) -> None:
    info = tarfile.TarInfo("big")
    info.size = size
    assert_refused(
        written(tmp_path / "x.tar", info.tobuf(tarfile.GNU_FORMAT), b"x" * HEADER), "big", "larger"
    )


def test_too_many_members_are_refused(tmp_path: Path) -> None:
    many = [member(str(i)) for i in range(archive.MAX_MEMBERS + 1)]
    assert_refused(written(tmp_path / "x.tar", *many), "too many")


CUTS: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda body: b"",
    "a few bytes": lambda body: body[:100],
    "inside a header": lambda body: body[: HEADER + 700],
    "text": lambda body: b"this is no archive" * 100,
    "gzip": lambda body: b"\x1f\x8b" + body,
    "noise": lambda body: bytes(range(256)) * 8,
}


@pytest.mark.parametrize("cut", CUTS)
def test_what_is_no_archive_is_refused(sealed: Sealed, tmp_path: Path, cut: str) -> None:
    packed = archive.pack(sealed(), tmp_path / "x.tar")
    packed.write_bytes(CUTS[cut](packed.read_bytes()))
    assert_refused(packed, "archive")


def test_an_archive_cut_anywhere_is_refused(sealed: Sealed, tmp_path: Path) -> None:
    whole = archive.pack(sealed(), tmp_path / "whole.tar").read_bytes()
    end = len(whole.rstrip(b"\0"))
    for size in (*range(0, end, 389), end):
        (tmp_path / "x.tar").write_bytes(whole[:size])
        with pytest.raises(BundleError):
            archive.unpack(tmp_path / "x.tar", tmp_path / "into")


def test_a_byte_flipped_anywhere_never_opens_as_another_bundle(sealed: Sealed, tmp_path: Path) -> None:
    """Where it opens, the flip was in what nobody reads (a time stamp), and the bundle is the one packed."""
    packed = archive.pack(sealed(), tmp_path / "x.tar")
    whole = packed.read_bytes()
    expected = digest.of_tree(sealed())
    for at in range(0, len(whole), 211):
        damaged = bytearray(whole)
        damaged[at] ^= 4
        packed.write_bytes(damaged)
        into = tmp_path / "into"
        try:
            open_bundle(archive.unpack(packed, into))
        except BundleError:
            pass
        else:
            assert digest.of_tree(into) == expected
        shutil.rmtree(into, ignore_errors=True)


def test_a_full_disk_leaves_nothing(sealed: Sealed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = archive.pack(sealed(), tmp_path / "x.tar")

    def full(source: io.BufferedIOBase, target: io.BufferedIOBase) -> None:
        target.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(EnvironmentLacks, match="no space") as caught:
        archive.unpack(packed, tmp_path / "into")
    assert caught.value.exit_code == 5
    assert sorted(tmp_path.iterdir()) == [packed]


def test_packing_is_byte_for_byte_the_same_and_comes_back(sealed: Sealed, tmp_path: Path) -> None:
    one, other = archive.pack(sealed(), tmp_path / "1.tar"), archive.pack(sealed(), tmp_path / "2.tar")
    assert one.read_bytes() == other.read_bytes()
    back = archive.unpack(one, tmp_path / "deep/er/into")
    assert digest.of_tree(back) == digest.of_tree(sealed())
    open_bundle(back)
    with tarfile.open(one) as tar:
        assert all((m.uid, m.gid, m.mtime, m.uname) == (0, 0, 0, "") for m in tar)
