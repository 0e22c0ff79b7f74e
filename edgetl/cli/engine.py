"""Commands on a bundle or an engine: compile, verify, bench, predict, inspect."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from edgetl.cli import data_options, options, progress
from edgetl.cli.answer import Told, give
from edgetl.errors import InputError
from edgetl.home import cache_folder

__all__ = ["register"]

BundleArgument = Annotated[
    Path, typer.Argument(metavar="BUNDLE", help="Bundle folder, or a .tar file made with --archive.")
]

_VERIFY = """
Prove a bundle: digests, golden vectors and, with --data, the accuracy of the compiled engine.

\b
  edgetl verify runs/latest --data ./images
  edgetl verify runs/latest --data ./images --corruptions weather,light --out hard.json --picture hard.svg

The columns and the grouping of a table are those of the build where none are given.
"""


def predict(
    bundle: BundleArgument,
    pictures: Annotated[
        list[Path], typer.Argument(metavar="PICTURE...", help="Pictures, or folders of pictures.")
    ],
    top_k: Annotated[
        int, typer.Option("--top-k", min=1, metavar="N", help="Classes to list for each picture.")
    ] = 5,
    as_json: options.Json = False,
) -> None:
    """Classify pictures with a bundle, or answer its several tasks; needs neither torch nor onnx."""
    import msgspec

    from edgetl import runtime
    from edgetl.cli import predicted
    from edgetl.data.layout import pictures_in

    files = [file for place in pictures for file in pictures_in(place)]
    found, refused = [], []
    with runtime.load(bundle) as predictor:
        point = predictor.bundle.manifest.operating_point
        for file in files:
            try:
                found.append((file, predictor.predict(file, top_k=top_k)))
            except InputError as error:
                refused.append((file, error))
    if len(refused) == len(files) == 1:
        raise refused[0][1]
    if as_json:
        rows = [{"path": str(file), **predicted.data(answer)} for file, answer in found]
        rows += [{"path": str(file), "error": error.problem} for file, error in refused]
        told = {"results": rows} | ({"operating_point": msgspec.to_builtins(point)} if point else {})
        print(json.dumps(told, ensure_ascii=False))
        raise Told(InputError.exit_code if refused else 0)
    if point is not None:
        print(f"{point.positive} from {100 * point.threshold:.1f} % on ({point.objective})", file=sys.stderr)
    for file, answer in found:
        print("\n".join(predicted.lines(str(file), answer)))
    if refused:
        raise InputError(
            f"{len(refused)} of {len(files)} pictures cannot be read, the first: {refused[0][1].problem}",
            hint="the others are answered above"
            if found
            else "pictures are JPEG, PNG, WebP, BMP or GIF files",
        )


def verify(
    bundle: BundleArgument,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="DIR|CSV|demo",
            help="Measure the accuracy again on the test images of this data.",
        ),
    ] = None,
    path_column: data_options.PathColumn = None,
    label_column: data_options.LabelColumn = None,
    role_column: data_options.RoleColumn = None,
    group_by: data_options.GroupBy = None,
    max_drop: options.MaxDrop = None,
    diagnose: Annotated[
        bool,
        typer.Option(
            "--diagnose", help="Also try other normalisations and swapped channels, and name the mistake."
        ),
    ] = False,
    strict: options.Strict = False,
    corruptions: Annotated[
        str | None,
        typer.Option(
            "--corruptions",
            metavar="NAMES",
            help="Also put these on the test images, INT8 against f32: weather,light,blur,noise,digital, names such as "
            "fog,low_light, or all.",
        ),
    ] = None,
    severities: Annotated[
        str | None,
        typer.Option(
            "--severities", metavar="N,N", help="Of --corruptions, 1 is mild and 5 hard (default: 1,2,3,4,5)."
        ),
    ] = None,
    max_images: Annotated[
        int | None,
        typer.Option(
            "--max-images",
            min=1,
            metavar="N",
            help="Test images for --corruptions, drawn evenly over the classes (default: 256).",
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            "--seed", min=0, metavar="N", help="Seed of --corruptions: which images, and where rain falls."
        ),
    ] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE.json", help="Keep what --corruptions found; edgetl report takes it."
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", metavar="FILE.svg", help="Draw accuracy over severity for --corruptions."),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    from edgetl import proving

    common_drop, own_drops = options.drop_budgets(max_drop)
    found = proving.verify(
        bundle,
        data=data,
        max_drop=common_drop,
        max_drops=own_drops,
        diagnose=diagnose,
        strict=strict,
        demo_folder=cache_folder() / "demo",
        on_note=lambda text: None if as_json else print(text, file=sys.stderr),
        reading=data_options.reading(path_column, label_column, role_column, group_by),
        corruptions=_order(corruptions, severities, max_images, seed, out, picture, quiet=quiet or as_json),
    )
    give(found, as_json=as_json)


def _order(
    corruptions: str | None,
    severities: str | None,
    max_images: int | None,
    seed: int,
    out: Path | None,
    picture: Path | None,
    *,
    quiet: bool,
) -> Any:
    """What ``--corruptions`` asks for, ``None`` without it; its options alone are refused."""
    if corruptions is None:
        given = {"--severities": severities, "--max-images": max_images, "--out": out, "--picture": picture}
        alone = next((name for name, value in given.items() if value is not None), None)
        if alone is not None:
            raise InputError(f"{alone} is an option of --corruptions", hint=f"--corruptions all {alone} ...")
        return None
    from edgetl import robust  # takes OpenCV, which a verification without it does not
    from edgetl.verify import robustness

    asked = robustness.question(corruptions, severities, max_images or robustness.MAX_IMAGES, seed)
    return robust.Order(asked, out, picture, progress.sink(quiet=quiet))


def bench(
    target: Annotated[Path, typer.Argument(metavar="BUNDLE|MODEL.onnx", help="What to time.")],
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            "-d",
            metavar="NAME",
            help="Device profile that a MODEL.onnx is compiled for (default: local); a bundle has its own.",
        ),
    ] = None,
    devices: options.DevicesFile = None,
    duration: Annotated[
        float,
        typer.Option("--duration", min=0.1, metavar="SECONDS", help="Least time to measure each figure for."),
    ] = 3.0,
    iterations: Annotated[
        int, typer.Option("--iterations", min=1, metavar="N", help="Least runs of each figure.")
    ] = 700,
    scenario: Annotated[
        str | None,
        typer.Option(
            "--scenario",
            metavar="single-stream|multi-stream|server|offline|camera",
            help="Load to answer: MLPerf's four, by its own LoadGen, or cameras, whose late frames are dropped.",
        ),
    ] = None,
    streams: Annotated[
        int | None,
        typer.Option(
            "--streams", min=1, metavar="N", help="Cameras; samples a query of multi-stream (default: 1)."
        ),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(
            "--fps",
            metavar="RATE",
            help="Frames a second of each camera (default: 30); arrivals a second of server.",
        ),
    ] = None,
    soak: Annotated[
        str | None,
        typer.Option(
            "--soak",
            metavar="TIME",
            help="Run for 90s, 30m or 1h: latency by the minute, throttling, growth of memory, a verdict.",
        ),
    ] = None,
    max_latency: Annotated[
        str | None,
        typer.Option(
            "--max-latency",
            metavar="MS[@p90]",
            help="Exit 1 where it is slower: 5ms is the median, 20ms@p99 the 99th percentile (default: no bound).",
        ),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Time an engine: its own latency and, for a bundle, a 1080p frame to its result; or a scenario, or a soak."""
    from edgetl import asked, bundles

    found = bundles.bench(
        target,
        device=device,
        devices_file=devices,
        seconds=duration,
        runs=iterations,
        progress=progress.sink(quiet=quiet or as_json),
        scenario=scenario,
        streams=streams,
        fps=fps,
        soak=None if soak is None else asked.time_budget(soak, "--soak"),
        bound=None if max_latency is None else asked.latency_budget(max_latency),
    )
    give(found, as_json=as_json)


def inspect(
    bundle: BundleArgument,
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision",
            metavar="f32|default|int8",
            help="Compile this candidate of the bundle here and list its layers.",
        ),
    ] = None,
    layers: Annotated[bool, typer.Option("--layers", help="List every executed layer.")] = False,
    as_json: options.Json = False,
) -> None:
    """Say what is in a bundle, really: layers, precisions executed, sizes, digests."""
    from edgetl import bundles

    found = bundles.inspect(bundle, precision=precision, every_layer=layers)
    give(found, as_json=as_json)


def compile_command(
    source: Annotated[Path, typer.Argument(metavar="MODEL.onnx|BUNDLE", help="What to compile.")],
    device: Annotated[
        str | None,
        typer.Option(
            "--device", "-d", metavar="NAME", help="Device profile (default: local, or the bundle's own)."
        ),
    ] = None,
    devices: options.DevicesFile = None,
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision",
            "-p",
            metavar="f32|default|int8",
            help="f32 forces float; default and int8 leave the vendor's default (default: default).",
        ),
    ] = None,
    backend_option: options.BackendOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="Write an engine folder there (default: engine, or into the bundle).",
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Compile an ONNX file into an engine folder; or give a bundle its engine, in place."""
    settings = options.settings(backend_option)
    if source.suffix == ".onnx" or out or precision:
        from edgetl import single

        place = out or Path("engine")
        found: dict[str, Any] = single.compile_model(
            source,
            device=device or "local",
            devices_file=devices,
            precision=precision or "default",
            options=settings,
            out=place,
        )
    else:
        from edgetl import renewal

        place = source
        found = renewal.compile_bundle(source, device=device, devices_file=devices, options=settings)
    print(json.dumps(found, ensure_ascii=False) if as_json else f"{place}   {found['summary']}")


def register(app: typer.Typer) -> None:
    """Put the commands on the application."""
    app.command("predict", rich_help_panel="Main")(predict)
    app.command("verify", help=_VERIFY, rich_help_panel="Main")(verify)
    app.command("bench", rich_help_panel="Engine")(bench)
    app.command("inspect", rich_help_panel="Engine")(inspect)
    app.command("compile", rich_help_panel="Engine")(compile_command)
