"""The lines of a build: a bar where somebody watches, plain lines elsewhere."""

from __future__ import annotations

import io
import sys
import time

import pytest

from edgetl.cli import env, progress


def walk(lines: progress.Lines) -> None:
    """Two stages, the second of two candidates."""
    lines.planned(["check", "compile:f32", "compile:int8"])
    lines.started("check")
    lines.finished("check", {"summary": "9 images"}, 1.25, False)
    for name in ("f32", "int8"):
        lines.started(f"compile:{name}")
        lines.advanced(f"compile:{name}", 1, 2)
        lines.finished(f"compile:{name}", {"summary": name}, 2.0, False)


def test_without_a_terminal_there_is_one_plain_line_a_stage() -> None:
    stream = io.StringIO()
    walk(progress.Lines(stream, bars=False))
    rows = stream.getvalue().splitlines()
    assert [row.split() for row in rows] == [
        ["check", "9", "images", "1.2", "s"],
        ["compile", "f32,", "int8", "4.0", "s"],
    ]
    assert "\x1b" not in stream.getvalue()
    assert "\r" not in stream.getvalue()


def test_a_bar_moves_where_somebody_watches_and_a_stage_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_BAR_AFTER_S", 0.0)
    stream = io.StringIO()
    lines = progress.Lines(stream, bars=True)
    lines.started("train")
    lines.advanced("train", 5, 10)
    assert "━━━━━━━━━━──────────" in stream.getvalue()
    assert "5/10" in stream.getvalue()


def test_a_bar_says_how_long_the_rest_will_take(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((0.0, 2.0, 30.0, 119.0))
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    stream = io.StringIO()
    lines = progress.Lines(stream, bars=True)
    lines.started("corrupt")
    lines.advanced("corrupt", 1, 60)
    assert stream.getvalue().endswith("1/60"), "two seconds say nothing yet"
    lines.advanced("corrupt", 10, 60)
    assert stream.getvalue().endswith("10/60, 2.5 min left")
    lines.advanced("corrupt", 59, 60)
    assert stream.getvalue().endswith("59/60"), "nearly done"


def test_what_a_stage_finds_on_its_way_stays_beside_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_BAR_AFTER_S", 0.0)
    stream = io.StringIO()
    lines = progress.Lines(stream, bars=True)
    lines.started("refine:float")
    lines.remarked("refine:float", "2.1 points lost, 21 min left")
    lines.advanced("refine:float", 5, 10)
    assert stream.getvalue().endswith("5/10   float 2.1 points lost, 21 min left")
    lines.started("compile:int8")
    lines.advanced("compile:int8", 1, 2)
    assert stream.getvalue().endswith("1/2"), "another stage begins without it"


def test_a_remark_is_for_those_who_watch() -> None:
    stream = io.StringIO()
    progress.Lines(stream, bars=False).remarked("refine:float", "2.1 points lost")
    assert stream.getvalue() == ""


def test_a_stage_from_the_cache_says_so() -> None:
    stream = io.StringIO()
    progress.Lines(stream, bars=False).finished("train", {"summary": "94 %"}, 0.0, True)
    assert stream.getvalue().endswith("  cached\n")


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    sink = progress.sink(quiet=True)
    sink.planned(["check"])
    sink.started("check")
    sink.note("a download")
    sink.finished("check", {"summary": "x"}, 1.0, False)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("terminal", "settings", "interactive", "colour"),
    [
        (True, {}, True, True),
        (True, {"NO_COLOR": "1"}, True, False),
        (True, {"CI": "true"}, False, False),
        (True, {"TERM": "dumb"}, False, False),
        (False, {}, False, False),
    ],
)
def test_bars_and_colour_need_a_terminal_and_nobody_who_refuses_them(
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,
    settings: dict[str, str],
    interactive: bool,
    colour: bool,
) -> None:
    for name in ("CI", "NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    assert (env.interactive(), env.colour()) == (interactive, colour)
