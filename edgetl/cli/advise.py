"""Commands that choose a backbone, and fit what they predict latency with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgetl.cli import data_options, options, progress
from edgetl.cli.answer import give
from edgetl.home import cache_folder

__all__ = ["register"]

_HELP = """
Say which backbone is worth training on these pictures for this device, before anything is trained.

\b
  edgetl advise --data ./images --device intel-cpu --max-latency 8ms
  edgetl advise --data ./images --models resnet18,mobilenet_v2,timm/tf_efficientnet_lite0=lite0.safetensors
  edgetl advise --data ./images --device jetson --latency-model jetson.json --picture front.svg

Each candidate's features are computed once; LogME, NLEEP and a cross-validated linear probe say how well it carries
over, INT8 latency is measured where this host is the device and predicted by a latency model elsewhere. A backbone
whose weights are not at hand is skipped; nothing is downloaded without --download.
"""
_PROFILE_HELP = """
Fit the latency model of the device that this is: networks of many forms with random weights, in INT8, are timed.

\b
  edgetl profile-device --device jetson --out jetson.json
  edgetl profile-device --device jetson --results runs/a/latest --results runs/b/latest ...   (six backbones)
  edgetl advise --device jetson --latency-model jetson.json --data ./images     (anywhere)
"""
Models = Annotated[
    str | None,
    typer.Option(
        "--models",
        metavar="NAME[=FILE],...",
        help="Backbones, with their weights where those are not at hand (default: nine usual ones).",
    ),
]


def advise(
    data: options.Data,
    device: options.Device = "local",
    devices_file: options.DevicesFile = None,
    backbones: Models = None,
    max_latency: Annotated[
        str | None,
        typer.Option("--max-latency", metavar="MS", help="Exit 1 where none is as fast at the median: 8ms."),
    ] = None,
    model_file: Annotated[
        Path | None,
        typer.Option(
            "--latency-model",
            metavar="FILE",
            help="What edgetl profile-device wrote on the device (default: the one that is kept here).",
        ),
    ] = None,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch torchvision's and timm's weights that are not at hand.")
    ] = False,
    path_column: data_options.PathColumn = None,
    label_column: data_options.LabelColumn = None,
    role_column: data_options.RoleColumn = None,
    group_by: data_options.GroupBy = None,
    seed: options.Seed = 0,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", metavar="FILE.svg", help="Draw accuracy against latency, and the front."),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    from edgetl import advising, asked

    question = advising.Question(
        data=data,
        reading=data_options.reading(path_column, label_column, role_column, group_by),
        device=device,
        devices_file=devices_file,
        backbones=options.names(backbones),
        max_latency=None if max_latency is None else asked.latency_budget(max_latency),
        latency_model=model_file,
        download=download,
        seed=seed,
    )
    sink = progress.sink(quiet=quiet or as_json)
    give(advising.advise(question, picture=picture, cache=cache_folder(), progress=sink), as_json=as_json)


def profile_device(
    device: options.Device = "local",
    devices_file: options.DevicesFile = None,
    networks: Annotated[
        str | None,
        typer.Option(
            "--networks", metavar="NAME,...", help="Networks to time (default: fifteen of many forms)."
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="Half of the networks, at one size: a rougher model in a third of the time."
        ),
    ] = False,
    results: Annotated[
        list[Path] | None,
        typer.Option(
            "--results",
            metavar="BUNDLE",
            help="A bundle that was timed on the device, in place of timing networks here; to be repeated.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="Where to write the model, too (default: kept in the cache)."
        ),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    from edgetl import profiling
    from edgetl.errors import InputError

    if results:
        if networks or quick:
            raise InputError(
                "--results takes what was timed already, --networks and --quick say what to time",
                hint="one or the other",
            )
        fitted = profiling.from_bundles(
            results, device, devices_file=devices_file, out=out, cache=cache_folder()
        )
        give(fitted, as_json=as_json)
        return
    found = profiling.profile_device(
        device,
        devices_file=devices_file,
        networks=options.names(networks) if networks else profiling.FEW if quick else profiling.NETWORKS,
        sizes=profiling.SIZES[-1:] if quick else profiling.SIZES,
        out=out,
        cache=cache_folder(),
        progress=progress.sink(quiet=quiet or as_json),
    )
    give(found, as_json=as_json)


def register(app: typer.Typer) -> None:
    """Put the commands on the application."""
    app.command("advise", help=_HELP, rich_help_panel="Model")(advise)
    app.command("profile-device", help=_PROFILE_HELP, rich_help_panel="Device")(profile_device)
