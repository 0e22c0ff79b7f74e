"""The store of whole artifacts: all of an entry, or nothing."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from edgetl import digest
from edgetl.cache import Cache, Entry, out_of_space
from edgetl.errors import BackendError, EnvironmentLacks, InputError

KEY, OTHER = "ab" + "0" * 62, "cd" + "1" * 62
PARTS = {"stage": "train", "options": {"lr": 0.1}}


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "store")


def put(cache: Cache, key: str = KEY, body: str = "weights", parts: dict[str, Any] | None = None) -> Entry:
    with cache.lock(key), cache.writing(key, parts or PARTS) as work:
        (work.path / "sub").mkdir()
        (work.path / "model").write_text(body)
        (work.path / "sub/log").write_text("log")
        return work.commit({"summary": "done", "shape": (1, 2)})


def files(cache: Cache) -> set[str]:
    return {n for n in digest.tree_files(cache.root) if not n.endswith(".lock")}


def test_what_was_committed_is_found_and_read_like_what_was_written(cache: Cache) -> None:
    assert cache.get(KEY) is None
    written = put(cache)
    found = cache.get(KEY)
    assert found is not None
    assert (found.path, found.digest, found.record) == (written.path, written.digest, written.record)
    assert found.record == {"summary": "done", "shape": [1, 2]}
    assert (found.path / "model").read_text() == "weights"
    assert cache.parts(KEY) == PARTS
    assert cache.get(OTHER) is None


def test_the_digest_is_that_of_content_and_record_not_of_the_key(cache: Cache) -> None:
    assert put(cache).digest == put(cache, OTHER).digest
    assert put(cache, OTHER, body="others").digest != put(cache).digest


@pytest.mark.parametrize(
    "damage",
    [
        lambda p: (p / "model").write_text("weightz"),
        lambda p: (p / "model").write_text(""),
        lambda p: (p / "model").unlink(),
        lambda p: (p / "extra").write_text(""),
        lambda p: (p / "record.json").unlink(),
        lambda p: (p / "record.json").write_text("{"),
        lambda p: (p / "record.json").write_text("[]"),
        lambda p: (p / "record.json").write_text((p / "record.json").read_text().replace("done", "gone")),
        lambda p: (p / "record.json").write_text(
            (p / "record.json").read_text().replace('"schema":1', '"schema":2')
        ),
        lambda p: (p / "record.json").write_text((p / "record.json").read_text().replace(KEY, OTHER)),
        lambda p: shutil.rmtree(p / "sub"),
    ],
)
def test_damage_is_a_miss_and_writing_again_heals_it(cache: Cache, damage: Any) -> None:
    damage(put(cache).path)
    assert cache.get(KEY) is None
    put(cache)
    assert cache.get(KEY) is not None


def test_a_byte_flipped_anywhere_in_an_entry_is_a_miss_or_changes_nothing(cache: Cache) -> None:
    entry = put(cache)
    for name in digest.tree_files(entry.path):
        body = (entry.path / name).read_bytes()
        for at in range(len(body)):
            (entry.path / name).write_bytes(body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :])
            found = cache.get(KEY)
            assert found is None or (name == "record.json" and found.digest == entry.digest)
        (entry.path / name).write_bytes(body)


def test_a_stage_that_fails_leaves_nothing(cache: Cache) -> None:
    def fail() -> None:
        with cache.writing(KEY, PARTS) as work:
            (work.path / "half").write_text("half")
            raise InputError("no")

    with pytest.raises(InputError):
        fail()
    assert cache.get(KEY) is None
    assert files(cache) == set()


def test_writing_without_a_commit_leaves_nothing(cache: Cache) -> None:
    with cache.writing(KEY, PARTS) as work:
        (work.path / "half").write_text("half")
    assert files(cache) == set()


def test_a_stage_that_fails_keeps_the_entry_that_was_there(cache: Cache) -> None:
    put(cache)
    with pytest.raises(InputError), cache.writing(KEY, PARTS):
        raise InputError("no")
    assert cache.get(KEY) is not None


KILLED = """
import os, signal, sys
from pathlib import Path
from edgetl.cache import Cache
cache = Cache(Path(sys.argv[1]))
with cache.lock(sys.argv[2]), cache.writing(sys.argv[2], {}) as work:
    (work.path / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def kill_a_writer(cache: Cache, key: str) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(cache.root), key], check=False)
    assert done.returncode == -signal.SIGKILL
    assert any("half" in name for name in files(cache))


def test_what_a_killed_writer_left_is_no_entry_and_is_swept_by_the_next(cache: Cache) -> None:
    kill_a_writer(cache, KEY)
    assert cache.get(KEY) is None
    assert cache.newest("train") is None
    entry = put(cache)
    assert not (entry.path / "half").exists()
    assert not [name for name in files(cache) if "partial" in name]


def test_evicting_sweeps_what_killed_writers_left(cache: Cache) -> None:
    kill_a_writer(cache, KEY)
    put(cache, OTHER)
    assert cache.evict(1 << 30) == len("half")
    assert cache.get(OTHER) is not None
    assert not [name for name in files(cache) if "partial" in name]


def test_evicting_takes_the_longest_unused_first_and_stops_at_the_limit(cache: Cache) -> None:
    keys = [f"{i:02x}" * 32 for i in range(4)]
    for age, key in enumerate(keys):
        path = put(cache, key, body="x" * 1000).path
        os.utime(path, (1000 + age, 1000 + age))
    assert cache.get(keys[0]) is not None  # a hit makes it the newest
    size = cache.size_bytes()
    removed = cache.evict(size - 1)
    assert [cache.get(key) is not None for key in keys] == [True, False, True, True]
    assert cache.size_bytes() == size - removed
    cache.evict(0)
    assert files(cache) == set()


def test_evicting_leaves_what_is_being_written(cache: Cache) -> None:
    with cache.lock(KEY), cache.writing(KEY, PARTS) as work:
        (work.path / "model").write_text("x")
        Cache(cache.root).evict(0)
        work.commit({})
    assert cache.get(KEY) is not None


def test_the_newest_entry_of_a_stage_tells_its_parts(cache: Cache) -> None:
    for age, (key, stage) in enumerate([(KEY, "train"), (OTHER, "train"), ("ef" * 32, "export")]):
        os.utime(put(cache, key, parts={"stage": stage, "age": age}).path, (age, age))
    assert cache.newest("train") == {"stage": "train", "age": 1}
    assert cache.newest("nothing") is None


HOLDER = """
import sys
from pathlib import Path
from edgetl.cache import Cache
with Cache(Path(sys.argv[1])).lock(sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_key_is_held_against_other_processes_and_given_back_by_their_death(cache: Cache) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(cache.root), KEY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        got = threading.Event()

        def wait() -> None:
            with Cache(cache.root).lock(KEY):
                got.set()

        waiting = threading.Thread(target=wait)
        waiting.start()
        with cache.lock(OTHER):
            assert not got.wait(0.3)
        other.kill()
        waiting.join(30)
        assert got.is_set()


LIMITED = """
import resource, sys
from pathlib import Path
from edgetl.cache import Cache
from edgetl.errors import EnvironmentLacks
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
cache = Cache(Path(sys.argv[1]))
try:
    with cache.writing(sys.argv[2], {}) as work:
        (work.path / "model").write_bytes(b"x" * 1_000_000)
        work.commit({})
except EnvironmentLacks as error:
    print(error.exit_code, error.problem)
"""


def test_a_file_that_the_system_does_not_let_grow_is_a_full_disk_and_leaves_nothing(cache: Cache) -> None:
    assert hasattr(resource, "RLIMIT_FSIZE")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(cache.root), KEY], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "5 no space left for store/: the disk is full\n"
    assert files(cache) == set()


FULL = "No space left on device"


@pytest.mark.parametrize(
    "failure",
    [
        OSError(errno.ENOSPC, FULL),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        shutil.Error([("a", "b", f"[Errno 28] {FULL}: 'b'")]),
        RuntimeError(f"basic_ios::clear: iostream error: {FULL}"),
        BackendError("it failed", vendor=f"write: {FULL}"),
    ],
)
def test_a_full_disk_is_told_whoever_met_it(tmp_path: Path, failure: Exception) -> None:
    with pytest.raises(EnvironmentLacks, match="disk is full") as caught, out_of_space(tmp_path):
        raise failure
    assert caught.value.exit_code == 5
    assert "EDGETL_CACHE" in caught.value.hint


def test_a_library_that_fails_without_a_reason_on_a_full_disk_is_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RuntimeError), out_of_space(tmp_path):
        raise RuntimeError("unexpected pos 64 vs 0")
    usage = shutil.disk_usage(tmp_path)._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(EnvironmentLacks, match="disk is full"), out_of_space(tmp_path):
        raise RuntimeError("unexpected pos 64 vs 0")
    with pytest.raises(InputError), out_of_space(tmp_path):
        raise InputError("the user's fault stays the user's")


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, number: int) -> None:
    with pytest.raises(EnvironmentLacks, match="cannot write to") as caught, out_of_space(tmp_path):
        raise OSError(number, os.strerror(number), str(tmp_path / "x"))
    assert str(tmp_path) in caught.value.problem
    assert os.strerror(number) in caught.value.problem


def test_a_file_elsewhere_that_cannot_be_read_is_not_blamed_on_the_store(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentLacks, match=r"cannot use /elsewhere/labels\.csv"), out_of_space(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied", "/elsewhere/labels.csv")


def test_a_file_that_is_missing_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), out_of_space(tmp_path):
        (tmp_path / "none").read_text()


def test_a_store_below_a_file_is_an_error_with_the_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EnvironmentLacks, match="cannot write to"), Cache(tmp_path / "file/store").lock(KEY):
        pass


def test_a_commit_that_cannot_sync_leaves_the_entry_that_was_there(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = put(cache)

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, FULL)

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(EnvironmentLacks):
        put(cache, body="newer")
    monkeypatch.undo()
    found = cache.get(KEY)
    assert found is not None
    assert found.digest == before.digest
    assert json.loads((found.path / "record.json").read_text())["schema"] == 1
