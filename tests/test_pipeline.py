"""Walking a list of stages: what runs, what is taken from the store, and what a key depends on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgetl import digest, pipeline
from edgetl.cache import Cache
from edgetl.errors import Cancelled, EnvironmentLacks, InputError
from edgetl.pipeline import Artifact, Context, Silent, Stage


class Log(Silent):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def planned(self, stages: Sequence[str]) -> None:
        self.events.append(("planned", *stages))

    def started(self, stage: str) -> None:
        self.events.append(("started", stage))

    def advanced(self, stage: str, done: int, total: int) -> None:
        if total:
            self.events.append(("advanced", stage, done, total))

    def finished(self, stage: str, record: Mapping[str, Any], seconds: float, cached: bool) -> None:
        self.events.append(("finished", stage, cached))


class Build:
    """Three stages in a row; each writes its option and what it read, and says that it ran."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.ran: list[str] = []
        self.stages = [
            self.stage("check"),
            self.stage("train", needs=("check",)),
            self.stage("bench:f32", needs=("train",)),
        ]

    def stage(
        self, name: str, needs: tuple[str, ...] = (), option: int = 1, version: int = 1, tool: str = "1.0"
    ) -> Stage:
        def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
            assert set(inputs) == set(needs)
            self.ran.append(name)
            read = [(inputs[need].path / "out").read_text() for need in needs]
            (out / "out").write_text(f"{name} {option}\n" + "".join(read))
            ctx.advance(1, 1)
            return {"summary": f"{name} done", "pair": (1, option)}

        return Stage(name, version, needs, {"option": option}, {"tool": tool}, run)

    def change(self, name: str, **changes: Any) -> None:
        self.stages = [
            self.stage(name, stage.needs, **changes) if stage.name == name else stage for stage in self.stages
        ]

    def walk(self, **rest: Any) -> dict[str, Artifact]:
        self.ran.clear()
        return pipeline.run(self.stages, self.cache, rest.pop("ctx", None) or Context(), **rest)


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return Build(Cache(tmp_path / "store"))


def test_a_second_walk_runs_nothing_and_gives_the_same(build: Build) -> None:
    first = build.walk()
    assert build.ran == ["check", "train", "bench:f32"]
    second = build.walk()
    assert build.ran == []
    for name in first:
        assert second[name].digest == first[name].digest
        assert second[name].path == first[name].path
        fresh, kept = dict(first[name].record), dict(second[name].record)
        assert (fresh.pop("_run")["cached"], kept.pop("_run")["cached"]) == (False, True)
        assert fresh == kept
    assert (first["bench:f32"].path / "out").read_text() == "bench:f32 1\ntrain 1\ncheck 1\n"


@pytest.mark.parametrize(
    ("name", "reruns"),
    [
        ("check", ["check", "train", "bench:f32"]),
        ("train", ["train", "bench:f32"]),
        ("bench:f32", ["bench:f32"]),
    ],
)
def test_a_changed_option_reruns_the_stage_that_reads_it_and_what_depends_on_its_result(
    build: Build, name: str, reruns: list[str]
) -> None:
    build.walk()
    build.change(name, option=2)
    build.walk()
    assert build.ran == reruns


@pytest.mark.parametrize("change", [{"version": 2}, {"tool": "1.1"}])
def test_another_version_or_tool_reruns_the_stage_alone_where_the_result_is_the_same(
    build: Build, change: dict[str, Any]
) -> None:
    build.walk()
    build.change("train", **change)
    build.walk()
    assert build.ran == ["train"]


def test_the_key_holds_all_that_can_change_the_result_and_no_more(build: Build) -> None:
    stage, inputs = build.stages[1], build.walk()
    parts = stage.key_parts(inputs)
    assert set(parts) == {"stage", "version", "options", "tools", "inputs"}
    assert parts["inputs"] == {"check": inputs["check"].digest}
    key = digest.of_json(parts)
    assert inputs["train"].record["_run"]["key"] == key
    assert str(build.cache.root) not in json.dumps(parts)
    for other in (
        replace(stage, name="x"),
        replace(stage, version=9),
        replace(stage, options={}),
        replace(stage, tools={}),
    ):
        assert digest.of_json(other.key_parts(inputs)) != key


def test_force_runs_a_stage_again_and_its_readers_only_where_the_result_changed(build: Build) -> None:
    build.walk()
    build.walk(force=frozenset({"train"}))
    assert build.ran == ["train"]
    build.walk()
    assert build.ran == []


def test_a_damaged_artifact_is_made_again_with_the_same_digest(build: Build) -> None:
    before = build.walk()
    (before["train"].path / "out").write_text("damaged")
    after = build.walk()
    assert build.ran == ["train"]
    assert after["train"].digest == before["train"].digest


def test_a_stage_that_fails_keeps_what_was_whole(build: Build) -> None:
    def fail(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        (out / "half").write_text("half")
        raise InputError("no")

    whole = list(build.stages)
    build.stages[1] = replace(build.stages[1], run=fail)
    with pytest.raises(InputError):
        build.walk()
    assert not list(build.cache.root.rglob("half"))
    build.stages = whole
    build.walk()
    assert build.ran == ["train", "bench:f32"]


def test_a_disk_that_fills_in_a_stage_is_told_and_leaves_nothing_half_written(build: Build) -> None:
    def fill(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        (out / "half").write_text("half")
        raise OSError(28, "No space left on device")

    build.stages[1] = replace(build.stages[1], run=fill)
    with pytest.raises(EnvironmentLacks, match="disk is full"):
        build.walk()
    assert not list(build.cache.root.rglob("half"))


def test_a_cancelled_build_stops_at_the_next_step_and_goes_on_from_there(build: Build) -> None:
    ctx = Context()

    class Cancel(Log):
        def advanced(self, stage: str, done: int, total: int) -> None:
            if stage == "train" and total:
                ctx.cancel.set()

    ctx.progress = Cancel()
    with pytest.raises(Cancelled) as caught:
        build.walk(ctx=ctx)
    assert caught.value.exit_code == 130
    assert build.ran == ["check", "train"]
    build.walk()
    assert build.ran == ["bench:f32"]


def test_a_stage_that_was_cut_short_serves_this_build_and_runs_again_in_the_next(build: Build) -> None:
    stage = build.stages[1]

    def cut(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        return {**stage.run(inputs, out, ctx), "cut": True}

    build.stages[1] = replace(stage, run=cut)
    build.walk()
    assert build.ran == ["check", "train", "bench:f32"]
    build.stages[1] = stage
    assert [row.cached for row in pipeline.plan(build.stages, build.cache)] == [True, False, False]
    assert build.walk()["train"].record["_run"]["cached"] is False
    assert build.ran == ["train", "bench:f32"], "what it came to is another input"
    build.walk()
    assert build.ran == []


def test_progress_is_told_in_order(build: Build) -> None:
    log = Log()
    build.walk(ctx=Context(progress=log))
    assert log.events[:4] == [
        ("planned", "check", "train", "bench:f32"),
        ("started", "check"),
        ("advanced", "check", 1, 1),
        ("finished", "check", False),
    ]
    log.events.clear()
    build.walk(ctx=Context(progress=log))
    assert [e for e in log.events if e[0] == "finished"] == [
        ("finished", name, True) for name in ("check", "train", "bench:f32")
    ]


def test_a_plan_runs_nothing_and_knows_what_is_cached(build: Build) -> None:
    rows = pipeline.plan(build.stages, build.cache)
    assert [(row.stage, row.cached, row.key is None) for row in rows] == [
        ("check", False, False),
        ("train", False, True),
        ("bench:f32", False, True),
    ]
    assert build.ran == []
    done = build.walk()
    build.change("bench:f32", option=2)
    rows = pipeline.plan(build.stages, build.cache)
    assert [row.cached for row in rows] == [True, True, False]
    assert rows[1].key == done["train"].record["_run"]["key"]
    assert rows[2].parts is not None
    assert rows[2].parts["options"] == {"option": 2}


def test_the_same_work_under_another_name_is_one_artifact(build: Build) -> None:
    """A list may hold a stage twice; only where what it reads differs is it run twice."""
    build.walk()
    _, train, _ = build.stages
    build.stages += [train.again("other:train"), build.stage("check2", option=5)]
    build.stages.append(
        train.again("third:train", reads={"check": "check2"}, brief=lambda record: "in short")
    )
    log = Log()
    done = build.walk(ctx=Context(progress=log))
    assert build.ran == ["check2", "train"]
    assert done["other:train"].path == done["train"].path
    assert (done["third:train"].path / "out").read_text() == "train 1\ncheck2 5\n"
    assert [row.key for row in pipeline.plan(build.stages, build.cache)] == [
        artifact.record["_run"]["key"] for artifact in done.values()
    ]
    assert done["third:train"].record["summary"] == "train done", (
        "what is told is short, what is kept is whole"
    )
    assert build.stages[-1].told(done["third:train"].record)["summary"] == "in short"
