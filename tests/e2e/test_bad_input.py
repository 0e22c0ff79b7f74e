"""Bad input gets one clear line, the right exit code, and nothing half-written."""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.e2e.conftest import BUILD, Built, Edgetl, Ran


def assert_refused(ran: Ran, code: int, *words: str) -> None:
    """One ``error:`` line with these words, at most one hint, no traceback."""
    assert ran.code == code, ran.out + ran.err
    lines = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, ran.err
    assert "Traceback" not in ran.err
    for word in words:
        assert word in ran.err, ran.err


def pictures(folder: Path, count: int, *, seed: int = 0, size: int = 64) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng([seed, len(folder.name), ord(folder.name[0])])
    for index in range(count):
        cv2.imwrite(str(folder / f"{index}.jpg"), rng.integers(0, 256, (size, size, 3), dtype=np.uint8))
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two classes of twelve pictures."""
    pictures(tmp_path / "data/a", 12)
    pictures(tmp_path / "data/b", 12)
    return tmp_path / "data"


def with_data(data: object) -> list[object]:
    arguments: list[object] = list(BUILD)
    arguments[arguments.index("demo")] = data
    return arguments


def test_missing_folder(edgetl: Edgetl) -> None:
    assert_refused(edgetl(*with_data("nowhere")), 2, "nowhere")


def test_empty_folder(edgetl: Edgetl, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert_refused(edgetl(*with_data("empty")), 2, "empty")


def test_one_class(edgetl: Edgetl, tmp_path: Path) -> None:
    pictures(tmp_path / "one/only", 12)
    assert_refused(edgetl(*with_data("one")), 2, "one class")


def test_a_class_with_one_image(edgetl: Edgetl, data: Path) -> None:
    pictures(data / "c", 1)
    assert_refused(edgetl(*with_data(data)), 2, "c")


def test_files_that_are_no_pictures_are_listed_and_left_out(edgetl: Edgetl, tmp_path: Path) -> None:
    for role in ("train", "val"):
        for name in ("a", "b"):
            pictures(tmp_path / "data" / role / name, 8, seed=len(role))
    folder = tmp_path / "data/train/a"
    (folder / "zero.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("this is not a picture")
    whole = (folder / "1.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    told = edgetl("check", tmp_path / "data", "--json")
    assert told.code == 0, told.err
    body = json.dumps(told.data)
    for name in ("zero.jpg", "text.jpg", "cut.jpg"):
        assert name in body


def bomb(path: Path, side: int) -> None:
    """A PNG whose header promises side x side pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


def test_a_picture_of_30000_by_30000_is_refused_before_it_is_decoded(
    built: Built, edgetl: Edgetl, tmp_path: Path
) -> None:
    bomb(tmp_path / "bomb.png", 30_000)
    assert_refused(edgetl("predict", built.bundle, "bomb.png"), 2, "bomb.png", "30000")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("path,label\na/0.jpg,a\na/none.jpg,a\n", ["none.jpg"]),
        ("path,label\na/0.jpg,a\n../../etc/passwd,b\n", ["passwd"]),
        ("file;name\nx;y\n", ["path"]),
    ],
)
def test_a_csv_with_a_missing_an_escaping_or_no_file(
    edgetl: Edgetl, data: Path, body: str, words: list[str]
) -> None:
    (data / "labels.csv").write_text(body)
    assert_refused(edgetl(*with_data(data / "labels.csv")), 2, *words)


@pytest.mark.parametrize(
    ("option", "value", "near"),
    [
        ("--model", "mobilnet_v2", "mobilenet_v2"),
        ("--device", "intel-cpuu", "intel-cpu"),
        ("--precision", "int9", "int8"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(
    edgetl: Edgetl, option: str, value: str, near: str
) -> None:
    arguments = list(BUILD)
    if option in arguments:
        arguments[arguments.index(option) + 1] = value
    else:
        arguments += [option, value]
    assert_refused(edgetl(*arguments), 2, value, near)


def test_an_unknown_option_is_answered_with_the_nearest(edgetl: Edgetl) -> None:
    assert_refused(edgetl(*BUILD, "--calib-sample", "3"), 2, "--calib-samples")


def test_errors_are_json_where_json_was_asked_for(edgetl: Edgetl) -> None:
    told = edgetl(*with_data("nowhere"), "--json")
    assert told.code == 2
    assert told.data["error"]["code"] == 2
    assert told.data["error"]["class"] == "InputError"
    assert {"problem", "hint", "facts"} <= set(told.data["error"])


def test_a_weights_file_of_another_network_names_the_first_tensors(edgetl: Edgetl, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"conv1.weight": np.zeros((3, 3), np.float32)}, str(tmp_path / "other.safetensors"))
    assert_refused(edgetl(*BUILD, "--weights", "other.safetensors"), 2, "other.safetensors", "models --match")


class Bomb:
    """A pickle that would write a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return (open, (self.path, "w"))


def test_a_pickle_that_wants_to_execute_is_refused_and_never_runs(edgetl: Edgetl, tmp_path: Path) -> None:
    import pickle

    (tmp_path / "bomb.pth").write_bytes(pickle.dumps(Bomb(str(tmp_path / "ran"))))
    assert_refused(edgetl(*BUILD, "--weights", "bomb.pth"), 2, "bomb.pth")
    assert not (tmp_path / "ran").exists()


def test_nan_in_the_weights_is_refused_by_name(edgetl: Edgetl, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    from edgetl.transfer.tiny import Tiny

    state = Tiny(10).state_dict()
    name = next(n for n, t in state.items() if t.dim() == 4)
    state[name].view(-1)[0] = torch.nan
    save_file(state, str(tmp_path / "nan.safetensors"))
    assert_refused(edgetl(*BUILD, "--weights", "nan.safetensors"), 2, name)


def test_a_download_is_refused_offline_and_says_what_to_bring(edgetl: Edgetl) -> None:
    arguments = list(BUILD)
    arguments[arguments.index("tiny")] = "mobilenet_v2"
    assert_refused(edgetl(*arguments, "--offline", TORCH_HOME="empty"), 5, "mobilenet_v2")


def test_an_npu_that_is_not_here_is_an_error_and_never_another_device(edgetl: Edgetl) -> None:
    arguments = list(BUILD)
    arguments[arguments.index("intel-cpu")] = "intel-npu"
    assert_refused(edgetl(*arguments), 5, "NPU")


def test_a_cache_that_cannot_be_written_is_said(edgetl: Edgetl, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    told = edgetl(*BUILD, cache=tmp_path / "file/cache")
    assert_refused(told, 5, "cache")


def flipped(bundle: Path, copy: Path, name: str, at: int) -> Path:
    shutil.copytree(bundle, copy)
    body = bytearray((copy / name).read_bytes())
    body[at % len(body)] ^= 0x10
    (copy / name).write_bytes(body)
    return copy


@pytest.mark.parametrize(
    "name", ["model.int8.onnx", "labels.json", "golden.npz", "results.json", "manifest.json"]
)
def test_one_flipped_byte_is_found_and_the_file_is_named(
    built: Built, edgetl: Edgetl, tmp_path: Path, name: str
) -> None:
    copy = flipped(built.bundle, tmp_path / "copy", name, 12345)
    assert_refused(edgetl("verify", copy), 2, name)
    assert_refused(edgetl("predict", copy, copy / "labels.json"), 2, name)


@pytest.mark.slow
def test_two_builds_at_once_leave_two_whole_bundles(tmp_path: Path, store: Path, built: Built) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from tests.e2e.conftest import run_edgetl

    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(run_edgetl, *BUILD, "--json", cwd=tmp_path, cache=store) for _ in range(2)]
        done = [job.result() for job in jobs]
    assert [ran.code for ran in done] == [0, 0], [ran.err for ran in done]
    bundles = {str(ran.data["bundle"]) for ran in done}
    assert len(bundles) == 2
    for bundle in bundles:
        assert run_edgetl("verify", bundle, cwd=tmp_path, cache=store).code == 0
