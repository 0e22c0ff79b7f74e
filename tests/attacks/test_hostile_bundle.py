"""A bundle that is not byte for byte what its manifest says is refused, and the file is named."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgetl import digest
from edgetl.backends import seam
from edgetl.errors import BundleError
from edgetl.runtime import bundle, load, open_bundle
from tests.runtime.conftest import Sealed
from tests.runtime.sealed import Kind, manifest

OPENVINO = Kind(backend="openvino")


def assert_refused(folder: Path, *words: str) -> BundleError:
    """Opening is refused with exit code 2 in one line that holds these words."""
    with pytest.raises(BundleError) as caught:
        open_bundle(folder)
    assert caught.value.exit_code == 2
    assert "\n" not in caught.value.problem
    for word in words:
        assert word in caught.value.problem
    return caught.value


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None], *, honest: bool = True) -> None:
    """Change the manifest; an honest one also has a right digest of itself."""
    body = json.loads((folder / bundle.MANIFEST).read_bytes())
    change(body)
    if honest:
        body["sha256"] = digest.of_json({k: v for k, v in body.items() if k != "sha256"})
    (folder / bundle.MANIFEST).write_bytes(digest.canonical_json(body))


def test_a_byte_flipped_anywhere_in_any_file_is_found(copied: Sealed) -> None:
    folder = copied(OPENVINO)
    names = digest.tree_files(folder)
    assert {"engine/model.xml", "engine/model.bin", "engine/engine.json"} <= set(names)
    rng = np.random.default_rng(0)
    for name in names:
        if name == bundle.MANIFEST:
            continue
        body = (folder / name).read_bytes()
        for at in {0, len(body) - 1, *rng.integers(0, len(body), 12).tolist()}:
            damaged = bytearray(body)
            damaged[at] ^= 1 << int(rng.integers(8))
            (folder / name).write_bytes(damaged)
            assert assert_refused(folder, name).facts["file"] == name
        (folder / name).write_bytes(body)
    open_bundle(folder)


def test_a_bit_flipped_at_every_place_of_the_manifest_is_found(copied: Sealed) -> None:
    folder = copied()
    file = folder / bundle.MANIFEST
    body = file.read_bytes()
    for at in range(len(body)):
        damaged = bytearray(body)
        damaged[at] ^= 1 << at % 8
        file.write_bytes(damaged)
        assert_refused(folder)
    file.write_bytes(body)
    open_bundle(folder)


@pytest.mark.parametrize("cut", [0, 1, 100, -1])
def test_a_manifest_cut_short_is_refused(copied: Sealed, cut: int) -> None:
    folder = copied()
    file = folder / bundle.MANIFEST
    file.write_bytes(file.read_bytes()[:cut])
    assert_refused(folder, "manifest.json")


def test_a_missing_file_is_named(copied: Sealed) -> None:
    folder = copied()
    (folder / "labels.json").unlink()
    assert_refused(folder, "labels.json", "missing")


def test_a_file_that_is_not_listed_is_named_however_deep_it_lies(copied: Sealed) -> None:
    folder = copied()
    (folder / "engine/a/b").mkdir(parents=True)
    (folder / "engine/a/b/.hidden").write_text("")
    assert_refused(folder, "engine/a/b/.hidden", "not listed")


def test_a_file_cut_short_or_grown_is_named(copied: Sealed) -> None:
    folder = copied()
    body = (folder / "golden.npz").read_bytes()
    for damaged in (b"", body[:-1], body + b"\0"):
        (folder / "golden.npz").write_bytes(damaged)
        assert_refused(folder, "golden.npz")


def test_a_file_that_cannot_be_read_is_named(copied: Sealed, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = copied()
    honest = digest.of_file

    def fail(path: Path) -> str:
        if path.name == "labels.json":
            raise PermissionError(13, "Permission denied", str(path))
        return honest(path)

    monkeypatch.setattr(digest, "of_file", fail)
    assert_refused(folder, "labels.json", "Permission denied")


def test_a_newer_schema_says_to_upgrade(copied: Sealed) -> None:
    folder = copied()
    rewrite(folder, lambda body: body.update(schema=3))
    assert "upgrade" in assert_refused(folder, "schema 3", "up to 2").hint


@pytest.mark.parametrize("schema", [0, -1, True, 1.0, "1", None])
def test_a_schema_that_never_was_is_refused(copied: Sealed, schema: object) -> None:
    folder = copied()
    rewrite(folder, lambda body: body.update(schema=schema))
    assert_refused(folder, "manifest.json")


@pytest.mark.parametrize(
    "name", ["../labels.json", "/etc/passwd", "engine/../../x", "./labels.json", "a//b", "a\\b", "", "."]
)
def test_a_path_that_leaves_the_folder_is_refused(copied: Sealed, name: str) -> None:
    folder = copied()
    (folder.parent / "labels.json").write_text("[]")
    rewrite(folder, lambda body: body["files"].update({name: {"sha256": "0" * 64, "size": 2}}))
    assert_refused(folder, "leaves the bundle")


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000])
def test_a_name_that_no_file_can_have_is_refused(copied: Sealed, name: str) -> None:
    folder = copied()
    rewrite(folder, lambda body: body["files"].update({name: {"sha256": "0" * 64, "size": 2}}))
    assert_refused(folder, "missing")


def test_an_engine_record_cannot_name_a_file_outside(copied: Sealed) -> None:
    """The manifest is right and the vendor's library would open another file: it never gets to."""
    folder = copied(OPENVINO)
    record = folder / bundle.ENGINE
    (folder.parent / "evil.xml").write_text("<net/>")
    record.write_text(record.read_text().replace('"model.xml"', '"../../evil.xml"'))
    (folder / bundle.MANIFEST).unlink()
    bundle.seal(folder, manifest())
    with pytest.raises(BundleError, match=r"evil\.xml"):
        load(folder)


def test_no_engine_is_opened_before_every_digest_was_checked(
    copied: Sealed, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied(OPENVINO)
    binary = folder / "engine/model.bin"
    binary.write_bytes(binary.read_bytes()[:-1] + b"\x7f")
    opened: list[str] = []
    monkeypatch.setattr(seam, "find", opened.append)
    with pytest.raises(BundleError, match=r"model\.bin"):
        load(folder)
    assert not opened


@pytest.mark.parametrize("where", ["labels.json", "engine"])
def test_a_link_is_refused_even_to_the_same_bytes(copied: Sealed, where: str) -> None:
    folder = copied(OPENVINO)
    (folder / where).rename(folder.parent / "elsewhere")
    (folder / where).symlink_to(folder.parent / "elsewhere")
    assert_refused(folder, where, "link")


def test_a_pipe_or_a_socket_is_refused_and_not_read(copied: Sealed) -> None:
    folder = copied()
    os.mkfifo(folder / "pipe")
    assert_refused(folder, "pipe")
    (folder / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(folder / "s"))
        assert_refused(folder, "s is a link or a device")


def test_a_huge_manifest_is_not_parsed(copied: Sealed, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = copied()
    with (folder / bundle.MANIFEST).open("r+b") as file:
        file.truncate(bundle.MAX_MANIFEST_BYTES + 1)
    monkeypatch.setattr(json, "loads", lambda _: pytest.fail("parsed"))
    assert_refused(folder, "manifest.json", "bytes")


def test_a_manifest_that_lists_very_many_files_is_refused(copied: Sealed) -> None:
    folder = copied()
    entry = {"sha256": "0" * 64, "size": 0}
    rewrite(folder, lambda body: body["files"].update({str(i): entry for i in range(bundle.MAX_FILES)}))
    assert_refused(folder, "at most 1000")


SPELLINGS: dict[str, Callable[[bytes], bytes]] = {
    "blanks": lambda data: data.replace(b":", b": ", 1),
    "no newline": lambda data: data.rstrip(b"\n"),
    "two newlines": lambda data: data + b"\n",
    "byte order mark": lambda data: b"\xef\xbb\xbf" + data,
    "utf-16": lambda data: data.decode().encode("utf-16"),
    "escaped": lambda data: data.replace(b'"colours"', b'"\\u0063olours"'),
    "another order": lambda data: (
        json.dumps(dict(reversed(json.loads(data).items())), separators=(",", ":")).encode() + b"\n"
    ),
    "a key twice": lambda data: data.replace(b'"seed":0', b'"seed":1,"seed":0'),
    "a file twice": lambda data: data.replace(
        b'"files":{', b'"files":{"labels.json":{"sha256":"","size":0},'
    ),
    "the schema twice": lambda data: data.replace(b'"schema":1', b'"schema":1,"schema":1'),
    "a float": lambda data: data.replace(b'"seed":0', b'"seed":0.0'),
    "NaN": lambda data: data.replace(b'"seed":0', b'"seed":NaN'),
    "an integer of many digits": lambda data: data.replace(b'"seed":0', b'"seed":' + b"9" * 5000),
    "half a surrogate pair": lambda data: data.replace(b'"colours"', b'"\\ud800"'),
    "not UTF-8": lambda data: data.replace(b"colours", b"colour\xff"),
    "deeply nested": lambda data: b"[" * 100_000 + b"]" * 100_000,
    "a list": lambda data: b"[]\n",
    "nothing in it": lambda data: b"{}\n",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_manifest_in_another_spelling_is_refused(copied: Sealed, spelling: str) -> None:
    folder = copied()
    file = folder / bundle.MANIFEST
    before = file.read_bytes()
    file.write_bytes(SPELLINGS[spelling](before))
    assert file.read_bytes() != before
    assert_refused(folder, "manifest.json")


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.pop("device"),
        lambda body: body.update(surprise=1),
        lambda body: body.update(files=[]),
        lambda body: body["files"]["labels.json"].pop("size"),
        lambda body: body.update(seed="0"),
    ],
)
def test_an_honest_digest_over_the_wrong_fields_is_refused(copied: Sealed, change: Any) -> None:
    folder = copied()
    rewrite(folder, change)
    assert_refused(folder, "manifest.json")


def test_a_manifest_with_anothers_digest_is_refused(copied: Sealed) -> None:
    folder = copied()
    rewrite(folder, lambda body: body.update(device="another"), honest=False)
    assert_refused(folder, "manifest.json")


def test_what_is_no_bundle_says_so(tmp_path: Path) -> None:
    assert_refused(tmp_path / "nowhere", "nowhere", "no such bundle")
    assert_refused(tmp_path, "no manifest.json")
    (tmp_path / "latest").symlink_to(tmp_path / "gone")
    assert_refused(tmp_path / "latest", "latest")


@pytest.mark.parametrize(
    ("name", "body"),
    [("labels.json", b'{"a":1}\n'), ("preprocess.json", b"{}\n"), ("engine/engine.json", b"[]\n")],
)
def test_a_sealed_file_of_the_wrong_kind_is_named(copied: Sealed, name: str, body: bytes) -> None:
    folder = copied()
    (folder / name).write_bytes(body)
    (folder / bundle.MANIFEST).unlink()
    bundle.seal(folder, manifest())
    with pytest.raises(BundleError, match=name):
        load(folder)


def test_a_bundle_behind_a_link_opens(copied: Sealed) -> None:
    folder = copied()
    (folder.parent / "latest").symlink_to(folder.name)
    assert open_bundle(folder.parent / "latest").labels == ("red", "green", "blue")
