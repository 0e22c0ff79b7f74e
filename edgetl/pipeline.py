"""A build is a list of stages; this walks it.

A stage is a pure function with a key. Its key is the digest of everything that can change its result, so an
artifact found under the key is the result, and a changed option reruns only what reads it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import msgspec

from edgetl import digest
from edgetl.cache import Cache, Entry
from edgetl.errors import Cancelled

__all__ = ["Artifact", "Context", "Plan", "Progress", "Silent", "Stage", "key_changes", "plan", "run"]


class Progress(Protocol):
    """Where a build tells what it does; the command line draws it, a test records it."""

    def planned(self, stages: Sequence[str]) -> None:
        """These stages will run, in this order."""

    def started(self, stage: str) -> None:
        """A stage begins."""

    def advanced(self, stage: str, done: int, total: int) -> None:
        """A stage did ``done`` of ``total`` pieces of work."""

    def remarked(self, stage: str, text: str) -> None:
        """What a stage found on its way, for whoever watches."""

    def finished(self, stage: str, record: Mapping[str, Any], seconds: float, cached: bool) -> None:
        """A stage ended, and this is its record."""

    def note(self, message: str) -> None:
        """Something that the user should read now, such as the size of a download."""


class Silent:
    """A progress sink that says nothing."""

    def planned(self, stages: Sequence[str]) -> None:
        """Say nothing."""

    def started(self, stage: str) -> None:
        """Say nothing."""

    def advanced(self, stage: str, done: int, total: int) -> None:
        """Say nothing."""

    def remarked(self, stage: str, text: str) -> None:
        """Say nothing."""

    def finished(self, stage: str, record: Mapping[str, Any], seconds: float, cached: bool) -> None:
        """Say nothing."""

    def note(self, message: str) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Artifact:
    """What a stage left: a folder of files and a small record.

    Attributes
    ----------
    path : the folder, inside the cache; nobody writes to it again.
    record : JSON data that the later stages and the summary read.
    digest : sha256 over the files' digests and the record.
    """

    path: Path
    record: Mapping[str, Any]
    digest: str


@dataclass
class Context:
    """What a stage may use that is not part of its result's identity."""

    seed: int = 0
    progress: Progress = field(default_factory=Silent)
    cancel: threading.Event = field(default_factory=threading.Event)
    stage: str = ""

    def advance(self, done: int, total: int) -> None:
        """Report progress of the running stage, and stop here if the user asked to."""
        if self.cancel.is_set():
            raise Cancelled("interrupted", hint="the same command goes on from the last whole stage")
        self.progress.advanced(self.stage, done, total)

    def remark(self, text: str) -> None:
        """Say what the running stage found on its way."""
        self.progress.remarked(self.stage, text)

    def part(self, before: int, total: int) -> Callable[[int, int], None]:
        """``advance`` for a piece of the work that begins after ``before`` of ``total``."""
        return lambda done, _: self.advance(before + done, total)


StageFunction = Callable[[Mapping[str, Artifact], Path, Context], Mapping[str, Any]]
Brief = Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True)
class Stage:
    """One step of a build.

    Attributes
    ----------
    name : ``verb`` or ``verb:candidate``; the part before the colon is what the summary shows.
    version : raised when the code's result changes for the same inputs.
    needs : names of the stages whose artifacts it reads.
    options : every option value that it reads; JSON data.
    tools : versions of the libraries that shape its result.
    run : ``(artifacts by stage name, empty folder to write to, context) -> record``. A record with a true ``cut`` says
        that time ran out: this build goes on with the artifact, and the next one runs the stage again.
    kind : the name in its key, where the list holds the same work twice and ``name`` tells which it is.
    reads : what the list calls a stage of ``needs``, where that is another name.
    brief : what is told of its record, where that is not the ``summary``.
    """

    name: str
    version: int
    needs: tuple[str, ...]
    options: Mapping[str, Any]
    tools: Mapping[str, str]
    run: StageFunction
    kind: str = ""
    reads: Mapping[str, str] = field(default_factory=dict)
    brief: Brief | None = None

    def again(
        self, name: str, *, reads: Mapping[str, str] | None = None, brief: Brief | None = None
    ) -> Stage:
        """The same work under another name: its key is the same, and so is its artifact for the same options."""
        return replace(self, name=name, kind=self.kind or self.name, reads=reads or {}, brief=brief)

    def inputs(self, done: Mapping[str, Artifact]) -> dict[str, Artifact]:
        """The artifacts that it reads, by the names in ``needs``; ``KeyError`` where one is not done."""
        return {name: done[self.reads.get(name, name)] for name in self.needs}

    def told(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """Its record as progress shows it."""
        return record if self.brief is None else {**record, "summary": self.brief(record)}

    def key_parts(self, inputs: Mapping[str, Artifact]) -> dict[str, Any]:
        """Everything that the key is made of, for ``--explain``."""
        return {
            "stage": self.kind or self.name,
            "version": self.version,
            "options": dict(self.options),
            "tools": dict(self.tools),
            "inputs": {name: inputs[name].digest for name in self.needs},
        }


@dataclass(frozen=True)
class Plan:
    """A stage as ``--plan`` shows it; ``key`` is ``None`` where it depends on a stage that has not run."""

    stage: str
    key: str | None
    cached: bool
    parts: Mapping[str, Any] | None


def plan(stages: Sequence[Stage], cache: Cache) -> list[Plan]:
    """Keys, and what is cached, without running anything."""
    done: dict[str, Artifact] = {}
    rows = []
    for stage in stages:
        try:
            inputs = stage.inputs(done)
        except KeyError:
            rows.append(Plan(stage.name, None, False, None))
            continue
        parts = stage.key_parts(inputs)
        key = digest.of_json(parts)
        hit = _whole(cache.get(key))
        if hit is not None:
            done[stage.name] = Artifact(hit.path, hit.record, hit.digest)
        rows.append(Plan(stage.name, key, hit is not None, parts))
    return rows


def key_changes(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> list[str]:
    """One line for each part of a key that differs from the newest stored run of the stage."""
    if old is None:
        return ["never ran"]
    lines = []
    for part in ("version", "options", "tools", "inputs"):
        before, after = old.get(part), msgspec.to_builtins(new[part])
        if before == after:
            continue
        if not isinstance(after, dict) or not isinstance(before, dict):
            lines.append(f"{part}: {before} -> {after}")
            continue
        for key in sorted({*before, *after}):
            if before.get(key) != after.get(key):
                lines.append(f"{part}.{key}: {_short(before.get(key))} -> {_short(after.get(key))}")
    return lines or ["unchanged, but its entry is gone or damaged"]


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def run(
    stages: Sequence[Stage], cache: Cache, ctx: Context, *, force: frozenset[str] = frozenset()
) -> dict[str, Artifact]:
    """Walk the stages in order; each is taken from the cache where its key is there.

    Parameters
    ----------
    force : names of stages to run even where the cache has them.

    Returns
    -------
    The artifact of every stage, by name; ``record["_run"]`` of each is ``{key, cached, seconds}``.
    """
    done: dict[str, Artifact] = {}
    ctx.progress.planned([stage.name for stage in stages])
    for stage in stages:
        ctx.stage = stage.name
        ctx.progress.started(stage.name)
        ctx.advance(0, 0)
        inputs = stage.inputs(done)
        parts = stage.key_parts(inputs)
        key = digest.of_json(parts)
        begun = time.perf_counter()
        with cache.lock(key):
            hit = None if stage.name in force else _whole(cache.get(key))
            cached = hit is not None
            if hit is None:
                with cache.writing(key, parts) as work:
                    record = stage.run(inputs, work.path, ctx)
                    hit = work.commit(record)
        seconds = time.perf_counter() - begun
        run_info = {"key": key, "cached": cached, "seconds": round(seconds, 3)}
        done[stage.name] = Artifact(hit.path, {**hit.record, "_run": run_info}, hit.digest)
        ctx.progress.finished(stage.name, stage.told(done[stage.name].record), seconds, cached)
    return done


def _whole(entry: Entry | None) -> Entry | None:
    """An entry that another build may use: not one whose stage was cut short."""
    return None if entry is None or entry.record.get("cut") else entry
