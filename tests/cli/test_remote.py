"""Options about devices: what is refused before a build begins, and what is told after it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edgetl.errors import EnvironmentLacks, GateFailed
from edgetl.remote import build, doctor
from edgetl.remote.ssh import Link
from edgetl.runtime import bundle as format_of
from tests import handmade
from tests.cli.conftest import Run

FOUND: Mapping[str, Any] = {
    "host": "user@board",
    "python": "3.8",
    "free_mb": 900,
    "rsync": True,
    "missing": [{"what": "Python 3.8, edgetl takes 3.10 or newer", "mend": "JetPack 6", "fatal": "yes"}],
}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--ssh-option", "Port=22"), "--ssh-option is about a device, and no --host is named"),
        (("--wheelhouse", "x"), "--wheelhouse is about a device"),
        (("--host", "-oProxyCommand=x"), "is not user@host"),
        (("--host", "a", "--host", "a"), "--host a is given twice"),
        (("--host", "a", "--ssh-option", "StrictHostKeyChecking=no"), "is enforced"),
        (("--host", "a", "--ssh-config", "none"), "no such file: none"),
        (("--host", "a", "--wheelhouse", "none"), "--wheelhouse none holds no wheel"),
    ],
)
def test_options_that_cannot_be_followed_are_refused_before_the_build(
    run: Run, options: tuple[str, ...], words: str
) -> None:
    told = run("build", "--data", "demo", "--model", "tiny", *options)
    assert told.code == 2
    assert words in told.err
    assert "check " not in told.err, "nothing ran"


@pytest.mark.parametrize("as_json", [False, True])
def test_doctor_says_what_a_device_lacks_and_ends_with_5(
    run: Run, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    monkeypatch.setattr(doctor, "reach", lambda link: None)
    monkeypatch.setattr(doctor, "examine", lambda link: FOUND)
    told = run("doctor", "--host", "user@board", *(["--json"] if as_json else []))
    assert told.code == 5
    if as_json:
        assert json.loads(told.out) == {"hosts": [FOUND]}
    else:
        assert "missing      Python 3.8" in told.out
        assert "JetPack 6" in told.out


def test_doctor_tells_a_device_that_cannot_be_reached(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(link: Link) -> None:
        raise EnvironmentLacks(f"{link.host} refuses every SSH key that was offered", hint="ssh-copy-id")

    monkeypatch.setattr(doctor, "reach", refuse)
    told = run("doctor", "--host", "user@board")
    assert told.code == 5
    assert "user@board refuses every SSH key" in told.err


def test_compile_gives_a_bundle_its_engine_and_verify_and_bench_take_it(
    run: Run, pictures: Path, tmp_path: Path
) -> None:
    waiting = format_of.Pending(reason="built on the board", next=("copy it there",))
    place = handmade.write_bundle(
        tmp_path / "b" / "pending", pictures, backend="onnxruntime", pending=waiting
    )
    (tmp_path / "box.yaml").write_text("devices: {by-hand: {backend: onnxruntime}}\n")
    told = run("compile", place, "--devices", "box.yaml", "--json")
    assert told.code == 0, told.err
    assert json.loads(told.out)["summary"] == "default for onnxruntime CPU"
    assert run("verify", place).code == 0
    assert run("bench", place, "--duration", "0.1", "--iterations", "3").code == 0
    assert "▸" not in run("compile", place, "--devices", "box.yaml").out


def test_a_failure_that_is_the_builds_own_is_kept_beside_that_of_a_host() -> None:
    fine = build.Finished({"host": "a", "error": None})
    failed = build.Finished({"host": "b"}, EnvironmentLacks("b lacks rsync"))
    assert build.worst(None, [fine]) is None
    assert build.worst(GateFailed("slow"), [fine, failed]) is failed.failure
