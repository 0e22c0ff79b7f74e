"""What a child did with the vendor's library: the stand-in's log, with names in the place of numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Call", "Recording", "Vocabulary", "prepared"]

Vocabulary = Mapping[str, Mapping[str, int]]
"""Enumeration -> member -> number, as the genuine bindings of a release have them."""

SELECTORS = {"OptProfileSelector": {"MIN": 0, "OPT": 1, "MAX": 2}}
"""Of the C++ interface alone."""


@dataclass(frozen=True)
class Call:
    """One call of a virtual method.

    Attributes
    ----------
    process : that it came from. on : the object, ``IBuilderConfig#1``. args : numbers of enumerations as names.
    gave : the result. late : the object had been deleted.
    """

    process: int
    on: str
    name: str
    args: tuple[Any, ...]
    gave: Any
    late: bool

    @property
    def method(self) -> str:
        """Class and method: ``IBuilderConfig.setFlag``."""
        return f"{self.on.partition('#')[0].partition('@')[0]}.{self.name}"


@dataclass(frozen=True)
class Recording:
    """All calls of a run, of all its processes, in order."""

    calls: tuple[Call, ...]

    @classmethod
    def read(cls, file: Path, words: Vocabulary) -> Recording:
        """A log as the stand-in writes it; none was written where nothing was called."""
        lines = file.read_text("utf-8", errors="replace").splitlines() if file.exists() else []
        return cls(tuple(_call(json.loads(line), {**words, **SELECTORS}) for line in lines))

    def of(self, method: str) -> list[tuple[Any, ...]]:
        """The arguments of each call of a method."""
        return [call.args for call in self.calls if call.method == method]

    def order(self, *methods: str) -> list[str]:
        """Which of these were called, in their order."""
        return [call.method for call in self.calls if call.method in methods]

    def first(self, method: str) -> int:
        """The place of the first call of a method."""
        return next(i for i, call in enumerate(self.calls) if call.method == method)


def _call(line: Mapping[str, Any], words: Vocabulary) -> Call:
    args = tuple(_plain(argument, words) for argument in line["args"])
    return Call(line["pid"], line["on"], line["call"], args, _plain(line["gave"], words), line["late"])


def _plain(value: Any, words: Vocabulary) -> Any:
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, dict):
        return value
    if "enum" in value:
        return _named(value["enum"], value["value"], words)
    if "bytes" in value:
        return bytes.fromhex(value["bytes"])
    return value.get("object", value.get("address"))


def _named(kind: str, number: int, words: Vocabulary) -> str | int | frozenset[str]:
    """The member's name; the names of a mask's bits, where the type is a plural of an enumeration."""
    if kind in words:
        return next((name for name, value in words[kind].items() if value == number), number)
    one = words.get(kind.removesuffix("s"))
    return number if one is None else frozenset(name for name, bit in one.items() if number >> bit & 1)


def prepared(file: Path, answers: Mapping[str, object]) -> Path:
    """Write answers for the stand-in: ``Class.method``, ``Class@name.method`` or with ``(arguments)`` -> result.

    ``None`` is a null pointer, ``@name`` an object that has answers of its own, bytes a piece of host memory, a
    sequence of integers a shape. ``method!log`` are lines for the caller's logger, ``method!layers`` for its profiler.
    """
    entries = (f"{key}\x1f{_spelled(value)}\x1e" for key, value in answers.items())
    file.write_text("".join(entries), encoding="utf-8")
    return file


def _spelled(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes):
        return f"hex:{value.hex()}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "x".join(str(extent) for extent in value)
    return str(value)
