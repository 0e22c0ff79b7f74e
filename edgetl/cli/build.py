"""``edgetl build``: one command from pictures to a verified bundle."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from edgetl.cli import data_options, env, options, options_adapt, progress, remote, training, workers
from edgetl.cli.answer import end
from edgetl.cli.grouped import Paneled
from edgetl.home import cache_folder

__all__ = ["register"]

_HELP = """
Build a verified engine from labelled pictures.

\b
  edgetl build --device intel-cpu --data ./images --max-drop 1%
  edgetl build --data parts.csv --model timm/tf_efficientnet_lite0 --weights lite0.safetensors
  edgetl build --device jetson --data ./images --host user@jetson    (finished there, over SSH)
"""


def build(
    data: options.Data,
    path_column: data_options.PathColumn = None,
    label_column: data_options.LabelColumn = None,
    role_column: data_options.RoleColumn = None,
    group_by: data_options.GroupBy = None,
    device: options.Device = "local",
    model: options.Model = "mobilenet_v2",
    weights: options.Weights = "DEFAULT",
    method: training.Method = "feature",
    rank: training.Rank = 8,
    teacher: training.Teacher = None,
    teacher_weights: training.TeacherWeights = "DEFAULT",
    kd_temperature: training.KdTemperature = None,
    seeds: training.Seeds = 1,
    compare: training.Compare = None,
    adapt: options_adapt.Adapt = None,
    adapt_method: options_adapt.AdaptMethod = "adabn",
    max_drop: options.MaxDrop = None,
    max_latency: options.MaxLatency = None,
    backend: Annotated[
        str | None,
        typer.Option(
            "--backend",
            metavar="auto|openvino|onnxruntime",
            help="auto lets the faster of the CPU's runtimes win (default: the profile's own).",
        ),
    ] = None,
    time_budget: options.TimeBudget = "30m",
    precision: Annotated[
        str,
        typer.Option(
            "--precision",
            "-p",
            metavar="auto|f32|default|int8",
            help="auto ships the fastest that holds the budget.",
        ),
    ] = "auto",
    mean: options.Mean = None,
    std: options.Std = None,
    imgsz: options.ImageSize = None,
    crop: options.Crop = None,
    epochs: training.Epochs = 30,
    batch_size: training.BatchSize = 32,
    lr: training.LearningRate = None,
    flip: training.Flip = True,
    augment: data_options.Augment = "default",
    imbalance: data_options.Imbalance = "auto",
    batch: options.Batch = "1",
    calib_samples: options.CalibSamples = 300,
    calib_select: options.CalibSelect = "stratified",
    calib_method: options.CalibMethod = "default",
    search: Annotated[
        bool,
        typer.Option(
            "--search/--no-search",
            help="Time other placements of INT8 and keep the fastest, where this host is the device.",
        ),
    ] = True,
    fused_head: options.FusedHead = False,
    instances: Annotated[
        int,
        typer.Option(
            "--instances", min=2, metavar="N", help="Fresh engine instances the latency comparison draws."
        ),
    ] = 12,
    optimize: data_options.Optimize = None,
    positive: data_options.Positive = None,
    strict: options.Strict = False,
    require_engine: Annotated[
        bool, typer.Option("--require-engine", help="Exit 5 where the engine can only be built elsewhere.")
    ] = False,
    host: options.Hosts = None,
    ssh_option: options.SshOption = None,
    ssh_config: options.SshConfig = None,
    wheelhouse: options.Wheelhouse = None,
    devices: options.DevicesFile = None,
    out: options.Out = Path("runs"),
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Folder below --out (default: the data folder's name)."),
    ] = None,
    archive: Annotated[
        bool, typer.Option("--archive", help="Also write the bundle as one .tar file beside it.")
    ] = False,
    seed: options.Seed = 0,
    offline: options.Offline = False,
    force: Annotated[
        list[str] | None,
        typer.Option(
            "--force", metavar="STAGE", help="Run this stage even where it is cached; may be repeated."
        ),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print the stages, their keys and what is cached, and run nothing.")
    ] = False,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="Print which part of each key changed since the last run, and run nothing."
        ),
    ] = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    from edgetl import asked, recipe, target
    from edgetl.types import BuildSpec

    common_drop, own_drops = options.drop_budgets(max_drop)
    spec = BuildSpec(
        data=data,
        path_column=path_column,
        label_column=data_options.label_columns(label_column),
        role_column=role_column,
        group_by=group_by,
        device=device,
        devices_file=str(devices) if devices else None,
        model=model,
        weights=weights,
        method=method,
        rank=rank,
        teacher=teacher,
        teacher_weights=teacher_weights,
        kd_temperature=kd_temperature,
        seeds=seeds,
        compare=compare,
        adapt=adapt,
        adapt_method=adapt_method,
        mean=options.triple(mean, "--mean"),
        std=options.triple(std, "--std"),
        image_size=imgsz,
        crop=options.crop_fraction(crop),
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        flip=flip,
        augment=augment,
        imbalance=imbalance,
        batch=batch,
        max_drop=common_drop,
        max_drops=own_drops,
        max_latency=None if max_latency is None else asked.latency_budget(max_latency),
        backend=backend,
        time_budget=asked.time_budget(time_budget),
        precision=precision,
        calib_samples=calib_samples,
        calib_select=calib_select,
        calib_method=calib_method,
        seed=seed,
        optimize=optimize,
        positive=positive,
        strict=strict,
        require_engine=require_engine,
        offline=offline,
        out=str(out),
        name=name,
        archive=archive,
        force=tuple(force or ()),
        search=search,
        fused_head=fused_head,
        instances=instances,
        hosts=tuple(host or ()),
    )
    if plan or explain:
        planned = recipe.show_plan(spec, cache=cache_folder(), processes=env.processes())
        _print_plan(planned, explain=explain, as_json=as_json)
        return
    order = remote.order(spec, ssh_option=ssh_option, ssh_config=ssh_config, wheelhouse=wheelhouse)
    sink = progress.sink(quiet=quiet or as_json)
    headline = "" if quiet or as_json else target.headline(spec)
    if headline:
        print(headline, file=sys.stderr)
    processes = workers.place(method, sink)
    result = recipe.build(spec, progress=sink, cache=cache_folder(), processes=processes)
    outcome, failure = result.data, result.failure
    if order is not None:
        outcome, failure = remote.finish(result, order, sink)
    _print_result(outcome, headline, as_json=as_json)
    if failure is not None:
        end(failure, as_json=as_json)  # the bundle is whole and kept; the answer is still no


def _print_result(data: Mapping[str, Any], headline: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(data, ensure_ascii=False))
        return
    from edgetl.report import summary

    print("\n".join(summary.lines(data, told=headline)))


def _print_plan(rows: list[dict[str, Any]], *, explain: bool, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"stages": rows}, ensure_ascii=False))
        return
    for row in rows:
        key = row["key"][:12] if row["key"] else f"after {row['after']}"
        state = "cached" if row["cached"] else "to run"
        print(f"  {row['stage']:<18} {key:<22} {state}")
        for change in row["changed"] if explain else ():
            print(f"  {'':<18} {change}")


def register(app: typer.Typer) -> None:
    """Put the command on the application."""
    app.command("build", cls=Paneled, help=_HELP, rich_help_panel="Main")(build)
