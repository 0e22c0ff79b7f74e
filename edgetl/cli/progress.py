"""Draws a build as it goes: one line a stage, a bar where it takes long and somebody watches."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import IO, Any

from edgetl.cli import env

__all__ = ["Lines", "sink"]

_WIDTH = 10
_BAR = 20
_BAR_AFTER_S = 1.0
_LEFT_AFTER_S, _MINUTE = 5.0, 60.0


class Lines:
    """One line a stage on standard error; candidates of one stage share a line.

    Parameters
    ----------
    stream : where the lines go.
    bars : rewrite the current line with a bar once a stage takes over a second.
    """

    def __init__(self, stream: IO[str], *, bars: bool) -> None:
        self._stream = stream
        self._bars = bars
        self._last_of: dict[str, str] = {}
        self._said: dict[str, list[str]] = {}
        self._seconds: dict[str, float] = {}
        self._cached: dict[str, bool] = {}
        self._begun = 0.0
        self._remark = ""

    def planned(self, stages: Sequence[str]) -> None:
        """Learn which stage is the last of each line."""
        self._last_of = {_verb(name): name for name in stages}

    def started(self, stage: str) -> None:
        """Show the running stage where somebody watches."""
        self._begun = time.perf_counter()
        self._remark = ""
        self._rewrite(f"  {_verb(stage):<{_WIDTH}} ...")

    def advanced(self, stage: str, done: int, total: int) -> None:
        """Move the bar."""
        took = time.perf_counter() - self._begun
        if not total or took < _BAR_AFTER_S:
            return
        filled = _BAR * done // total
        bar = "━" * filled + "─" * (_BAR - filled)
        self._rewrite(
            f"  {_verb(stage):<{_WIDTH}} {bar} {done}/{total}{_left(took, done, total)}{self._remark}"
        )

    def remarked(self, stage: str, text: str) -> None:
        """Show the last finding beside the bar, with the part of the stage that it is of."""
        self._remark = f"   {stage.partition(':')[2]} {text}"
        self._rewrite(f"  {_verb(stage):<{_WIDTH}} ...{self._remark}")

    def finished(self, stage: str, record: Mapping[str, Any], seconds: float, cached: bool) -> None:
        """Print the line once its last candidate is done."""
        verb = _verb(stage)
        self._said.setdefault(verb, []).append(str(record.get("summary", "")))
        self._seconds[verb] = self._seconds.get(verb, 0.0) + seconds
        self._cached[verb] = self._cached.get(verb, True) and cached
        if self._last_of.get(verb, stage) != stage:
            return
        took = "cached" if self._cached.pop(verb) else f"{self._seconds.pop(verb):.1f} s"
        said = ", ".join(text for text in self._said.pop(verb) if text)
        self._rewrite("")
        self._stream.write(f"  {verb:<{_WIDTH}} {said:<88} {took:>8}\n")
        self._stream.flush()

    def note(self, message: str) -> None:
        """Print something that the user should read now."""
        self._rewrite("")
        self._stream.write(f"  note: {message}\n")
        self._stream.flush()

    def _rewrite(self, line: str) -> None:
        if self._bars:
            self._stream.write(f"\r\x1b[2K{line}")
            self._stream.flush()


def _left(took: float, done: int, total: int) -> str:
    """How long the rest will take at the pace so far; nothing while the first pieces may mislead, or near the end.

    >>> _left(30.0, 100, 600), _left(60.0, 10, 60), _left(2.0, 1, 60)
    (', 2.5 min left', ', 5 min left', '')
    """
    rest = took * (total - done) / done if done else 0.0
    if took < _LEFT_AFTER_S or rest < _LEFT_AFTER_S:
        return ""
    return f", {rest / 60:.2g} min left" if rest >= _MINUTE else f", {rest:.0f} s left"


def _verb(stage: str) -> str:
    return stage.partition(":")[0]


def sink(*, quiet: bool) -> Any:
    """The progress sink for this run: lines on standard error, or silence."""
    if quiet:
        from edgetl.pipeline import Silent

        return Silent()
    return Lines(sys.stderr, bars=env.interactive())
