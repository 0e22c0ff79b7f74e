"""Pictures in tar files are those of folders, and what is wrong with a shard is said in a line."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetl.data import check, files, frames, layout, shards
from edgetl.data.decode import read_image
from edgetl.errors import InputError
from tests.data.pictures import folders

Members = Sequence[tuple[str, bytes]]


def tar(file: Path, members: Members) -> Path:
    """A plain tar of these members, in order."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as packed:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))
    return file


def sharded(source: Path, out: Path, each: int = 7) -> Path:
    """The pictures of class folders as shards with numbered classes."""
    found = sorted(source.rglob("*.png"), key=lambda file: file.read_bytes())
    names = sorted({file.parent.name for file in found})
    for start in range(0, len(found), each):
        members = []
        for number, file in enumerate(found[start : start + each]):
            members += [
                (f"{number:04d}.png", file.read_bytes()),
                (f"{number:04d}.cls", str(names.index(file.parent.name)).encode()),
            ]
        tar(out / f"part-{start // each:03d}.tar", members)
    (out / "classes.txt").write_text("\n".join(names) + "\n")
    return out


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Class folders."""
    return folders(tmp_path / "pictures", {"ants": 12, "bees": 11})


@given(st.integers(0, 120), st.integers(0, 12), st.integers(1, 4))
def test_a_range_in_braces_names_each_number(first: int, more: int, width: int) -> None:
    text = f"a-{{{first:0{width}d}..{first + more:0{width}d}}}.tar"
    wide = len(f"{first:0{width}d}")
    wanted = [f"a-{number:0{wide}d}.tar" for number in range(first, first + more + 1)]
    assert shards._expanded(text) == wanted


def test_several_braces_are_expanded_as_the_shell_does() -> None:
    assert shards._expanded("{a,b}-{1..2}.tar") == ["a-1.tar", "a-2.tar", "b-1.tar", "b-2.tar"]


@pytest.mark.parametrize("way", ["", "part-{000..003}.tar", "part-{000,001,002,003}.tar"])
def test_the_same_pictures_have_the_same_classes_and_roles_as_in_folders(
    pictures: Path, tmp_path: Path, way: str
) -> None:
    out = sharded(pictures, tmp_path / "shards")
    expected, found = layout.scan(pictures, seed=3), layout.scan(out / way, seed=3)
    assert found.classes == expected.classes and found.layout == "4 shards"
    assert {(s.sha256, s.label, s.role) for s in found.samples} == {
        (s.sha256, s.label, s.role) for s in expected.samples
    }
    assert (
        check.inspect(found, layout.source_root(out / way)).counts == check.inspect(expected, pictures).counts
    )


def test_the_size_of_pictures_in_shards_is_known(pictures: Path, tmp_path: Path) -> None:
    out = sharded(pictures, tmp_path / "shards")
    found = layout.scan(out, seed=0)
    shape = frames.typical_shape(out, found)
    assert shape == frames.typical_shape(pictures, layout.scan(pictures, seed=0)) != (0.0, 0.0)
    (out / "part-000.tar").unlink()
    assert frames.typical_shape(out, found) == shape, "the others tell it"


def test_shards_of_several_folders_are_joined(pictures: Path, tmp_path: Path) -> None:
    out = sharded(pictures, tmp_path / "shards", each=12)
    (out / "more").mkdir()
    (out / "part-001.tar").rename(out / "more/rest.tar")
    source = Path(f"{out}/part-000.tar::{out}/more/rest.tar")
    found = layout.scan(source, seed=0)
    assert {s.path.rpartition("/")[0] for s in found.samples} == {"part-000.tar", "more/rest.tar"}
    assert layout.source_root(source) == out
    assert shards.name_of(source) == "part-000"


def test_members_are_read_by_name_from_any_thread(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    held = {f"{'long/' * 30}{n:05d}.bin": rng.bytes(int(rng.integers(0, 3000))) for n in range(200)}
    file = tar(tmp_path / "s.tar", list(held.items()))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda name: files.read(file / name), held)) == list(held.values())
    assert files.size(file / next(iter(held))) == len(next(iter(held.values())))
    with pytest.raises(FileNotFoundError):
        files.read(file / "absent.bin")
    with pytest.raises(InputError, match="cannot read gone"):
        read_image(file / "absent.bin", "gone")


def test_a_shard_that_was_written_again_is_read_again(tmp_path: Path) -> None:
    file = tar(tmp_path / "s.tar", [("a", b"one")])
    assert files.read(file / "a") == b"one"
    tar(file, [("before", b"x" * 2000), ("a", b"two")])
    assert files.read(file / "a") == b"two"


def test_a_folder_that_is_called_like_a_shard_is_a_folder(tmp_path: Path) -> None:
    root = folders(tmp_path / "all.tar", {"ants": 5, "bees": 5})
    assert len(layout.scan(root, seed=0).samples) == 10
    assert files.read(root / "ants/0.png")[:4] == b"\x89PNG"


def test_class_folders_are_not_shadowed_by_the_archive_they_came_from(pictures: Path) -> None:
    tar(pictures / "original.tar", [("readme", b"")])
    assert layout.scan(pictures, seed=0).layout == "class folders"


@pytest.mark.parametrize(
    "label",
    [
        ("cls", b"1"),
        ("cls", b" bees\n"),
        ("json", b'{"label": 1}'),
        ("json", b'{"class": "bees"}'),
        ("json", b"1"),
    ],
)
def test_labels_are_numbers_or_names_in_text_or_json(
    pictures: Path, tmp_path: Path, label: tuple[str, bytes]
) -> None:
    (tmp_path / "classes.json").write_text(json.dumps({"0": "ants", "1": "bees"}))
    picture = (pictures / "bees/0.png").read_bytes()
    file = tar(tmp_path / "s.tar", [("./x/7.seg.png", picture), (f"x/7.{label[0]}", label[1])])
    found = shards.listed([file], tmp_path)
    assert found.rows == [("s.tar/x/7.seg.png", "bees", None)]


def test_names_of_shards_give_roles_and_val_alone_is_the_test_set(pictures: Path, tmp_path: Path) -> None:
    for role, numbers in (("train", range(6)), ("val", range(6, 9))):
        members: list[tuple[str, bytes]] = []
        for name in ("ants", "bees"):
            for number in numbers:
                data = (pictures / name / f"{number}.png").read_bytes()
                members += [(f"{name}{number}.png", data), (f"{name}{number}.cls", name.encode())]
        tar(tmp_path / f"both/set-{role}-000.tar", members)
    roles = {s.path.partition("/")[0]: s.role for s in layout.scan(tmp_path / "both", seed=0).samples}
    assert roles["set-val-000.tar"] == "test"
    assert {s.role for s in layout.scan(tmp_path / "both", seed=0).samples} == {"train", "select", "test"}


PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([("1.png", PNG), ("1.cls", b"a"), ("2.png", PNG), ("3.png", PNG)], "2 has no label, and 1 more"),
        ([("1.png", PNG), ("1.cls", b"a"), ("2.cls", b"a")], "2 has no picture"),
        ([("1.png", PNG), ("1.cls", b"a"), ("1.jpg", PNG)], "has 1 more than once"),
        ([("1.png", PNG), ("1.cls", b"a"), ("1.png", PNG)], "has 1 more than once"),
        ([("1.png", PNG), ("1.cls", b"a"), ("1.cls", b"b")], "has 1 more than once"),
        ([("1.png", PNG), ("1.cls", b"")], "1.cls has no label"),
        ([("1.png", PNG), ("1.json", b'{"size": 3}')], "1.json has no label"),
        ([("1.png", PNG), ("1.json", b"{")], "1.json is not text in UTF-8 or no JSON"),
        ([("1.png", PNG), ("1.cls", b"3"), ("2.png", PNG), ("2.cls", b"a")], "numbers and names are mixed"),
        ([("../1.png", PNG), ("../1.cls", b"3")], "which leaves it"),
    ],
)
def test_what_is_wrong_with_a_shard_is_one_line(tmp_path: Path, members: Members, said: str) -> None:
    with pytest.raises(InputError) as caught:
        shards.listed([tar(tmp_path / "s.tar", members)], tmp_path)
    assert said in caught.value.problem
    assert "\n" not in caught.value.problem and caught.value.hint


def test_a_class_that_is_not_named_is_refused_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("ants\nbees\n")
    for label, said in ((b"2", "class 2, which is not among the 2"), (b"bee", "Did you mean 'bees'?")):
        file = tar(tmp_path / "s.tar", [("1.png", PNG), ("1.cls", label)])
        with pytest.raises(InputError) as caught:
            shards.listed([file], tmp_path)
        assert said in caught.value.problem


def test_a_shard_cut_anywhere_is_refused(tmp_path: Path) -> None:
    """tarfile itself takes some cuts, and every damaged header, for the end of the archive."""
    members = [(f"{n}.{kind}", data) for n in range(3) for kind, data in (("png", PNG * 70), ("cls", b"a"))]
    whole = tar(tmp_path / "s.tar", members).read_bytes()
    end = len(whole.rstrip(b"\0"))
    for size in [*range(0, end + 512, 256), end + 400]:
        (tmp_path / "s.tar").write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"truncated|no tar"):
            shards.listed([tmp_path / "s.tar"], tmp_path)
    for at in (5 * 512 + 100, end + 2048):
        damaged = bytearray(whole)
        damaged[at] ^= 255
        (tmp_path / "s.tar").write_bytes(damaged)
        with pytest.raises(InputError, match="goes on after its end"):
            shards.listed([tmp_path / "s.tar"], tmp_path)


def test_shards_that_are_missing_or_compressed_are_named(tmp_path: Path) -> None:
    tar(tmp_path / "s-0.tar", [])
    with pytest.raises(InputError, match=r"no such shard: .*s-1\.tar, and 1 more of 3"):
        shards.named(tmp_path / "s-{0..2}.tar")
    with pytest.raises(InputError, match=r"a\.tar\.gz is not a plain"):
        shards.named(tmp_path / "a.tar.gz")
    with pytest.raises(InputError, match="counts down"):
        shards.named(tmp_path / "s-{2..0}.tar")
    with pytest.raises(InputError, match="is no range"):
        shards.named(tmp_path / "s-{2}.tar")
    (tmp_path / "s-0.tar").write_bytes(b"\x1f\x8b" + bytes(1024))
    with pytest.raises(InputError, match="no tar file"):
        shards.listed([tmp_path / "s-0.tar"], tmp_path)
