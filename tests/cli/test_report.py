"""``edgetl report`` and ``edgetl history`` as commands: what they print, and how they end."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from tests import reported
from tests.cli.conftest import Run


@pytest.fixture
def full(bundle: Path, pictures: Path, tmp_path: Path) -> Path:
    return reported.fill(Path(shutil.copytree(bundle, tmp_path / "full")), pictures)


def test_report_writes_the_page_and_says_where(run: Run, full: Path, pictures: Path, tmp_path: Path) -> None:
    told = run("report", full, "--data", pictures, "--out", "page.html")
    assert (told.code, told.err) == (0, "")
    assert "page.html   1 bundle" in told.out
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")


def test_report_of_two_names_the_layers_that_changed(run: Run, full: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(full, tmp_path / "other"))
    layers = {name: reported.layers(name, 3.0) for name in reported.NAMES}
    reported.change(other, "layers.json", **{name: list(found) for name, found in layers.items()})
    assert "stem: 100.0 -> 300.0 us (+200 %)" in run("report", full, other).out
    found = json.loads(run("report", full, other, "--json").out)
    assert found["layer_changes"][0]["name"] == "stem"


def test_a_report_that_cannot_be_written_ends_with_5(run: Run, full: Path) -> None:
    told = run("report", full, "--out", "/proc/page.html")
    assert told.code == 5


def test_without_the_template_library_the_extra_is_named(
    run: Run, full: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = ("edgetl.reporting", "edgetl.report.html")
    for name in modules:
        package, _, last = name.rpartition(".")
        monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.delattr(sys.modules[package], last, raising=False)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    told = run("report", full)
    assert told.code == 5
    assert "pip install 'edgetl[report]'" in told.err


def test_history_lists_a_bundle_and_keeps_it(run: Run, full: Path, tmp_path: Path) -> None:
    told = run("history", full, "--save", "kept", "--picture", "h.svg")
    assert told.code == 0
    for words in ("colours for by-hand · 1 result", "95 % interval", "h.svg"):
        assert words in told.out
    assert len(list((tmp_path / "kept").glob("colours-by-hand-*.json"))) == 1
    assert len(json.loads(run("history", "kept", "--json").out)["series"]) == 1


def test_history_of_nothing_is_bad_input(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    told = run("history", "empty")
    assert told.code == 2
    assert "no result of a timed engine in empty" in told.err
