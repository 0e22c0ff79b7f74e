"""``edgetl history`` over bundles, folders and stored results."""

from __future__ import annotations

import json
import os
import re
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from edgetl.bench import clock as clocks
from edgetl.bench import harness
from edgetl.bench.comparison import Comparison
from edgetl.errors import BundleError, InputError
from edgetl.past import history
from edgetl.runtime import bundle as format_of
from tests import handmade, reported


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return handmade.write_pictures(tmp_path_factory.mktemp("colours"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    return handmade.write_bundle(tmp_path_factory.mktemp("plain") / "bundle", pictures, backend="onnxruntime")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, plain: Path, pictures: Path) -> Path:
    """Twelve builds, the second half a tenth slower, with a link to the newest as a build leaves it."""
    home = tmp_path_factory.mktemp("runs")
    for day in range(12):
        place = Path(shutil.copytree(plain, home / "colours" / f"{day:02d}"))
        reported.fill(place, pictures, p50_ms=2.0 if day < 6 else 2.2, seed=day)
        reported.rename(place, created=f"2026-01-{day + 1:02d}T00:00:00Z", caller_commit=f"{day:040x}")
    (home / "latest").symlink_to("colours/11")
    (home / "gate.json").write_text('{"schema": 1}')
    return home


def test_a_folder_of_builds_is_one_series_with_its_change(runs: Path, tmp_path: Path) -> None:
    picture = tmp_path / "history.svg"
    answer = history([runs], name=None, save=None, picture=picture)
    (one,) = answer.data["series"]
    assert len(one["results"]) == 12
    (change,) = one["changes"]
    assert (change["at"], change["commit"]) == (6, f"{6:040x}")
    assert change["ratio"] == pytest.approx(1.1, abs=0.02)
    text = "\n".join(answer.lines)
    assert re.search(r"▸ changed here: \S+ to 2\.\d+ ms \(\+", text)
    assert text.index("2026-01-06") < text.index("▸ changed here") < text.index("2026-01-07")
    words = " ".join(ET.parse(picture).getroot().itertext())
    assert "slower since 00000000" in words
    assert "p50 of one inference, ms" in words


def measured(spin_us: int) -> Comparison:
    """Three fresh sessions that work for so long, each timed by the harness."""

    def opened() -> Callable[[], object]:
        once = harness.engine_call(harness.NullSession(), {})

        def both() -> object:
            answer = once()
            end = clocks.system() + 1000 * spin_us
            while clocks.system() < end:
                pass
            return answer

        return both

    times = [[harness.sample(opened(), 15, clocks.system)] for _ in range(3)]
    instances = tuple(dict.fromkeys(reported.NAMES, blocks) for blocks in times)
    return Comparison(baseline="default", instances=instances, context=(reported.HOST, reported.HOST))


def test_a_slow_down_that_was_planted_is_found_at_its_commit_in_results_that_were_measured(
    plain: Path, pictures: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "results"
    for day in range(12):
        place = Path(shutil.copytree(plain, tmp_path / "build"))
        reported.fill(place, pictures, measured=measured(300 if day < 7 else 450))
        reported.rename(place, created=f"2026-01-{day + 1:02d}T00:00:00Z", caller_commit=f"{day:040x}")
        history([place], name=None, save=kept, picture=None)
        shutil.rmtree(place)
    answer = history([kept], name=None, save=None, picture=None)
    (one,) = answer.data["series"]
    assert [change["commit"] for change in one["changes"]] == [f"{7:040x}"]
    assert one["changes"][0]["ratio"] > 1.2


def test_results_that_were_kept_say_the_same_as_the_bundles_they_are_of(runs: Path, tmp_path: Path) -> None:
    kept = tmp_path / "results"
    first = history([runs], name=None, save=kept, picture=None)
    files = sorted(kept.iterdir())
    assert len(files) == 12
    assert all(file.stat().st_size < 4096 for file in files)
    again = history([kept], name=None, save=None, picture=None)
    assert again.data["series"] == first.data["series"]
    assert history([kept, runs], name=None, save=kept, picture=None).data == again.data
    assert sorted(kept.iterdir()) == files


def test_one_build_is_added_to_those_that_were_kept(runs: Path, tmp_path: Path) -> None:
    kept = tmp_path / "results"
    history([runs / "colours" / "00"], name=None, save=kept, picture=None)
    answer = history([runs / "colours" / "01"], name=None, save=kept, picture=None)
    assert len(answer.data["series"][0]["results"]) == 2
    assert "2 results: a change takes 10 to be found" in "\n".join(answer.lines)


def test_a_build_with_other_versions_is_another_series_and_drawn_apart(
    runs: Path, plain: Path, pictures: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(plain, tmp_path / "other"))
    host = msgspec.structs.replace(reported.HOST, governor="powersave")
    reported.rename(reported.fill(other, pictures, p50_ms=3.0, host=host), created="2026-02-01T00:00:00Z")
    answer = history([runs, other], name=None, save=None, picture=tmp_path / "h.svg")
    assert [len(one["results"]) for one in answer.data["series"]] == [12, 1]
    assert "not compared with the above: governor powersave against performance" in "\n".join(answer.lines)
    assert "other marks are not compared" in (tmp_path / "h.svg").read_text().replace("\n", " ")


def test_what_has_no_latency_is_left_out_and_said(
    plain: Path, pictures: Path, runs: Path, tmp_path: Path
) -> None:
    waiting = format_of.Pending(reason="built on the board", next=("there",))
    handmade.write_bundle(tmp_path / "all" / "pending", pictures, pending=waiting)
    shutil.copytree(plain, tmp_path / "all" / "untimed")
    shutil.copytree(runs / "colours" / "00", tmp_path / "all" / "timed")
    answer = history([tmp_path / "all"], name=None, save=None, picture=None)
    assert len(answer.data["series"][0]["results"]) == 1
    told = "\n".join(answer.data["left_out"])
    assert "pending: its engine is still to be built" in told
    assert "untimed: its engine was not timed" in told
    with pytest.raises(InputError) as caught:
        history([tmp_path / "all" / "pending"], name=None, save=None, picture=None)
    assert "still to be built" in caught.value.hint


def test_a_damaged_bundle_is_refused_by_name_and_left_out_of_a_folder(runs: Path, tmp_path: Path) -> None:
    damaged = Path(shutil.copytree(runs / "colours" / "00", tmp_path / "all" / "damaged"))
    (damaged / "latency.json").write_text("{}")
    with pytest.raises(BundleError, match=r"latency\.json"):
        history([damaged], name=None, save=None, picture=None)
    shutil.copytree(runs / "colours" / "01", tmp_path / "all" / "whole")
    answer = history([tmp_path / "all"], name=None, save=None, picture=None)
    assert "damaged: latency.json" in answer.data["left_out"][0]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("{}", "is no result of a build"),
        ("no json", "is no result of a build"),
        ('{"kind": "edgetl result"}', "is not what edgetl history --save writes"),
    ],
)
def test_a_file_that_is_no_result_is_refused(tmp_path: Path, body: str, words: str) -> None:
    file = tmp_path / "r.json"
    file.write_text(body)
    with pytest.raises(InputError, match=words):
        history([file], name=None, save=None, picture=None)


@pytest.mark.parametrize("p50", [[], [0.0], [-1.0]])
def test_a_stored_latency_that_is_none_is_refused(runs: Path, tmp_path: Path, p50: list[float]) -> None:
    kept = tmp_path / "results"
    history([runs / "colours" / "00"], name=None, save=kept, picture=None)
    (file,) = kept.iterdir()
    file.write_text(json.dumps({**json.loads(file.read_text()), "p50_ms": p50}))
    with pytest.raises(InputError, match="not above 0"):
        history([file], name=None, save=None, picture=None)


def test_a_newer_schema_is_refused_by_name_and_left_out_of_a_folder(runs: Path, tmp_path: Path) -> None:
    kept = tmp_path / "results"
    history([runs / "colours" / "00"], name=None, save=kept, picture=None)
    (file,) = kept.iterdir()
    file.write_text(json.dumps({**json.loads(file.read_text()), "schema": 99}))
    with pytest.raises(InputError, match="has schema 99"):
        history([file], name=None, save=None, picture=None)
    answer = history([runs / "colours" / "01"], name=None, save=kept, picture=None)
    assert len(answer.data["series"][0]["results"]) == 1
    assert "has schema 99" in answer.data["left_out"][0]


def test_what_is_no_file_does_not_hide_the_results_beside_it(runs: Path, tmp_path: Path) -> None:
    kept = tmp_path / "results"
    history([runs / "colours" / "00"], name=None, save=kept, picture=None)
    (kept / "link.json").symlink_to("gone.json")
    os.mkfifo(kept / "pipe.json")
    answer = history([kept], name=None, save=None, picture=None)
    assert len(answer.data["series"][0]["results"]) == 1
    with pytest.raises(InputError, match="is no result of a build"):
        history([kept / "link.json"], name=None, save=None, picture=None)


def test_a_picture_is_of_one_name_and_an_svg(runs: Path, plain: Path, pictures: Path, tmp_path: Path) -> None:
    other = reported.rename(
        reported.fill(Path(shutil.copytree(plain, tmp_path / "o")), pictures), name="others"
    )
    with pytest.raises(InputError, match="of one name and device"):
        history([runs, other], name=None, save=None, picture=tmp_path / "h.svg")
    history([runs, other], name="others", save=None, picture=tmp_path / "h.svg")
    assert (tmp_path / "h.svg").is_file()
    with pytest.raises(InputError, match="not an SVG"):
        history([runs], name=None, save=None, picture=tmp_path / "h.png")
    with pytest.raises(InputError, match=r"\. is not an SVG"):
        history([runs], name=None, save=None, picture=Path())
    with pytest.raises(InputError, match="there is no folder"):
        history([runs], name=None, save=None, picture=tmp_path / "nowhere/h.svg")
    with pytest.raises(InputError, match="has the name 'nobody'"):
        history([runs], name="nobody", save=None, picture=None)
