"""Which stages ``edgetl build`` is, in order, and what becomes of their artifacts."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import msgspec

from edgetl import asked, devices, digest, models, pipeline, target
from edgetl.cache import Cache, out_of_space
from edgetl.candidate import precision_of
from edgetl.data import demo, layout
from edgetl.data.layout import Dataset
from edgetl.devices import Budgets, DeviceProfile
from edgetl.errors import EdgetlError, InputError, did_you_mean
from edgetl.home import cache_folder
from edgetl.pipeline import Context, Progress, Silent, Stage
from edgetl.processes import Processes
from edgetl.report import result as results
from edgetl.stages import (
    adapt,
    adapted,
    backbone,
    bench,
    calibrate,
    check,
    explain,
    export,
    fuse,
    halve,
    held,
    kernels,
    learning,
    package,
    prepare,
    quantize,
    refine,
    request,
    search,
    select,
    several,
    together,
    train,
    training,
    verify,
)
from edgetl.stages import compile as compile_stage
from edgetl.tasks import Tasks
from edgetl.transfer.methods.known import METHODS
from edgetl.types import BuildSpec
from edgetl.verify import by_task

__all__ = [
    "BuildResult",
    "Recipe",
    "batch_of",
    "build",
    "plan_recipe",
    "show_plan",
]


@dataclass(frozen=True)
class Recipe:
    """A build that is ready to run: the stages, and what they were made from."""

    spec: BuildSpec
    profile: DeviceProfile
    stages: tuple[Stage, ...]
    candidates: tuple[str, ...]
    pending: Mapping[str, Any] | None
    source: Path
    token: Path
    tasks: Tasks = ()


@dataclass(frozen=True)
class BuildResult:
    """What a build came to.

    Attributes
    ----------
    bundle : the folder that was written; it is whole whatever the verdict.
    data : what ``--json`` prints.
    failure : why the answer is no, or ``None``.
    """

    bundle: Path
    data: Mapping[str, Any]
    failure: EdgetlError | None


def build(
    spec: BuildSpec | None = None,
    *,
    progress: Progress | None = None,
    cache: Path | None = None,
    processes: Processes | None = None,
    **options: Any,
) -> BuildResult:
    """Make a verified bundle from labelled pictures.

    Parameters
    ----------
    spec : everything in one record; or give its fields as keyword arguments (``data=``, ``device=``, ...).
    progress : told what happens; silence where it is ``None``.
    cache : folder of the artifact store; ``EDGETL_CACHE``, else the user's cache folder, where it is ``None``.
    processes : this one's place where several train together; the others only follow.

    Returns
    -------
    The bundle's folder, the summary as data, and the failure that the exit code would tell, if any.

    Raises
    ------
    InputError : something asked for or given is not usable. EnvironmentLacks : this host cannot do it.
    """
    spec = spec or asked.spec_of(**options)
    store = Cache(cache or cache_folder())
    ctx = Context(seed=spec.seed, progress=progress or Silent())
    recipe = plan_recipe(spec, store, processes)
    package.check_place(Path(spec.out))
    force = _forced(spec, recipe.stages)
    artifacts = pipeline.run(recipe.stages, store, ctx, force=force)
    outcome = results.assemble(
        spec,
        recipe.profile,
        artifacts,
        recipe.candidates,
        recipe.pending,
        target.host_note(recipe.profile, recipe.pending),
    )
    bundle = package.write(spec, recipe.profile, artifacts, outcome, recipe.source)
    recipe.token.unlink(missing_ok=True)
    shown = {**outcome.data, "data": spec.data, "bundle": str(bundle.folder), "latest": str(bundle.latest)}
    if spec.adapt is not None:
        shown["adapt"] = spec.adapt
    shown["failure"] = None if outcome.failure is None else outcome.failure.as_data()
    if bundle.archive is not None:
        shown["archive"] = str(bundle.archive)
    return BuildResult(bundle.folder, {**shown, "next": results.next_commands(shown)}, outcome.failure)


def show_plan(
    spec: BuildSpec, *, cache: Path | None = None, processes: Processes | None = None
) -> list[dict[str, Any]]:
    """The stages as data: name, key, whether it is cached, and which parts of the key changed.

    ``key`` is ``None`` for a stage that reads the result of one that has not run; ``after`` names that one.
    """
    store = Cache(cache or cache_folder())
    recipe = plan_recipe(spec, store, processes)
    rows, waiting = [], ""
    for row in pipeline.plan(recipe.stages, store):
        if row.key is not None and not row.cached and not waiting:
            waiting = row.stage
        changed = (
            pipeline.key_changes(store.newest(row.parts["stage"]), row.parts)
            if row.parts and not row.cached
            else []
        )
        rows.append(
            {"stage": row.stage, "key": row.key, "cached": row.cached, "after": waiting, "changed": changed}
        )
    return rows


def _forced(spec: BuildSpec, stages: tuple[Stage, ...]) -> frozenset[str]:
    """Full stage names for what ``--force`` named, by name or by verb."""
    names = [stage.name for stage in stages]
    chosen = set()
    for wanted in spec.force:
        hits = [name for name in names if wanted in (name, name.partition(":")[0])]
        if not hits:
            verbs = dict.fromkeys(name.partition(":")[0] for name in names)
            raise InputError(
                f"--force {wanted!r} is not a stage.{did_you_mean(wanted, verbs)}",
                hint=f"stages: {', '.join(verbs)}",
            )
        chosen.update(hits)
    return frozenset(chosen)


def batch_of(text: str) -> int | Literal["dynamic"]:
    """A batch size from the text of ``--batch``."""
    if text == "dynamic":
        return "dynamic"
    if not text.isdigit() or int(text) < 1:
        raise InputError(f"--batch {text!r} is neither a number from 1 nor 'dynamic'", hint="--batch 1")
    return int(text)


def plan_recipe(spec: BuildSpec, store: Cache, processes: Processes | None = None) -> Recipe:
    """Turn a request into stages; everything that can be refused before work begins is refused here.

    Raises
    ------
    InputError : an option, the model, the device or the data is not usable.
    EnvironmentLacks : the profile's backend or device is not on this host.
    """
    asked.check(spec)
    asked.choice(spec.method, METHODS, "--method")
    together.check(spec, processes)
    training.check(spec)
    adapt.check(spec)
    request.check(spec)
    batch = batch_of(spec.batch)
    profile = target.profile_of(spec)
    models.find(spec.model)
    runs_on, pending = target.where_it_runs(profile, spec.hosts)
    if spec.fused_head:
        target.check_fused(profile, pending=pending is not None)
    source = demo.write(store.root / "demo") if spec.data == "demo" else Path(spec.data)
    dataset = layout.scan(source, seed=spec.seed, reading=spec.reading())
    several.check(spec, dataset.tasks or ())
    request.check_classes(spec, dataset.classes)
    root = layout.source_root(source)
    host = devices.host_fingerprint()
    candidates = target.candidates(profile, target.other_backends(spec, profile), pending=pending is not None)
    token = (
        store.root / "resume" / digest.of_json(msgspec.to_builtins(spec, str_keys=True) | {"max_drop": None})
    )
    recipe = Recipe(spec, profile, (), candidates, pending, source, token, dataset.tasks or ())
    precision = target.insisted(profile, spec.precision, candidates)
    setting = train.Setting(root, store.root / "training", host, _threads(), processes)
    brought = [kernels.stage(profile, target.machine_of(profile))] if spec.fused_head and pending else []
    stages = [check.stage(dataset, root), *brought, *_model_stages(recipe, batch, runs_on, setting, dataset)]
    stages += _engine_stages(recipe, runs_on, host, precision)
    if spec.adapt is not None:
        stages = adapted.weave(stages, spec, dataset, setting, runs_on, candidates)
    return replace(recipe, stages=tuple(stages))


def _model_stages(
    recipe: Recipe,
    batch: int | Literal["dynamic"],
    runs_on: DeviceProfile,
    setting: train.Setting,
    dataset: Dataset,
) -> list[Stage]:
    """From the backbone to the exported model."""
    spec, cast_first = recipe.spec, recipe.profile.backend == "tensorrt"
    with_features = learning.reads_features(spec)
    stages = [
        backbone.stage(spec, with_features=with_features, cast_first=cast_first),
        prepare.stage(setting.root),
    ]
    stages += training.stages(spec, setting, runs_on, dataset)
    in_parts = export.in_parts(adapt.method_of(spec), batch)
    fused = [fuse.stage("export")] if spec.fused_head else []
    return [*stages, export.stage(batch, from_backbone=in_parts, cast_first=cast_first), *fused]


def _engine_stages(
    recipe: Recipe, runs_on: DeviceProfile, host: Mapping[str, str], precision: str
) -> list[Stage]:
    """From the exported model to the candidate that ships."""
    spec, profile, candidates = recipe.spec, recipe.profile, recipe.candidates
    drops = held.budgets_of(spec, profile, recipe.tasks)
    searched = _is_searched(recipe, precision)
    int8 = search.NAME if searched else refine.final()
    if not recipe.pending and target.takes_types(runs_on):
        int8 = "halve"
    sources = {name: int8 if precision_of(name) == "int8" else "export" for name in candidates}
    if spec.fused_head and not recipe.pending:  # f32 stays plain: the others are held against it
        sources |= {name: fuse.name_of(sources[name]) for name in candidates if name != "f32"}
    compiled = {name: compile_stage.stage(name, runs_on, host, source=sources[name]) for name in candidates}
    verified = {name: verify.stage(name, runs_on, host) for name in candidates}
    stages = [compiled["f32"], verified["f32"]]  # first, for the others are held against it
    if "int8" in candidates:
        stages += _int8_stages(spec, profile, runs_on, host, drops)
    others = [name for name in candidates if name != "f32"]
    if searched:
        stages += [compiled.pop("default"), _search_stage(spec, profile, runs_on, host, drops)]
    stages += [compiled[name] for name in others if name in compiled]
    if not recipe.pending:  # what the reference executes says nothing of the device's engine
        stages += [explain.stage(name, runs_on, host) for name in candidates]
    stages += [verified[name] for name in others]
    timed = not recipe.pending
    budgets = profile.budgets if timed and devices.host_is(profile) else Budgets()
    if timed:
        stages.append(bench.stage(candidates, host, spec.instances, _session(recipe.token), budgets))
    chosen = select.stage(
        candidates,
        "check",
        max_drop=drops.one(),
        drops=drops,
        budgets=budgets,
        precision=precision,
        timed=timed,
        optimize=spec.optimize,
        positive=spec.positive,
    )
    return [*stages, chosen]


def _is_searched(recipe: Recipe, precision: str) -> bool:
    """Whether placements of INT8 are timed: only where this host is the device, and INT8 may ship.

    TensorRT compiles each for minutes, and by its own rules of placement there is one to time.
    """
    if recipe.profile.backend == "tensorrt":
        return False
    may_ship = "int8" in recipe.candidates and precision in ("auto", "int8")
    return may_ship and recipe.spec.search and not recipe.pending and devices.host_is(recipe.profile)


def _search_stage(
    spec: BuildSpec,
    profile: DeviceProfile,
    runs_on: DeviceProfile,
    host: Mapping[str, str],
    drops: by_task.Budgets,
) -> Stage:
    narrow = devices.narrow_weights(profile)
    return search.stage(
        runs_on,
        profile.scheme,
        host,
        before=refine.final(),
        reduce_range=narrow,
        max_drop=drops.one(),
        budgets=drops,
        seed=spec.seed,
    )


def _int8_stages(
    spec: BuildSpec,
    profile: DeviceProfile,
    runs_on: DeviceProfile,
    host: Mapping[str, str],
    drops: by_task.Budgets,
) -> list[Stage]:
    """From the exported model to the quantized one that is compiled."""
    narrow, method = devices.narrow_weights(profile), spec.calib_method
    typed = [halve.stage(refine.final(), runs_on, host)] if profile.backend == "tensorrt" else []
    if spec.fused_head:
        typed += [fuse.stage(refine.final()), fuse.stage("halve")]
    return [
        calibrate.stage(
            spec.calib_samples,
            method,
            spec.seed,
            select=spec.calib_select,
            with_features=adapt.method_of(spec) == "feature",
        ),
        quantize.stage(profile.scheme, method, reduce_range=narrow),
        *refine.stages(
            runs_on,
            profile.scheme,
            method,
            host,
            reduce_range=narrow,
            max_drop=drops.one(),
            budgets=drops,
            time_budget=spec.time_budget,
            seed=spec.seed,
            tuning=refine.Tuning(batch_of(spec.batch), adapt.method_of(spec), spec.flip, _threads()),
        ),
        *typed,
    ]


def _threads() -> int:
    """Threads of a training: every core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _session(token: Path) -> str:
    """The name of this build's measuring session: a killed build finds its own again, a finished one does not.

    Yesterday's latency must never be printed as measured, so ``bench`` is keyed by it.
    """
    try:
        return token.read_text()
    except OSError:
        name = uuid.uuid4().hex
        partial = token.with_suffix(f".{name}.partial")
        with out_of_space(token.parent.parent):
            token.parent.mkdir(parents=True, exist_ok=True)
            try:
                partial.write_text(name)
                partial.replace(token)
            finally:
                partial.unlink(missing_ok=True)
        return name
