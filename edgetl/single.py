"""One stage at a time: commands that read and write the same artifacts as a build, through the same stages."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl import asked, devices, digest, pipeline, recipe, sources, target
from edgetl.backends import seam
from edgetl.bundles import Answer
from edgetl.cache import Cache
from edgetl.calibration import sampling
from edgetl.candidate import CANDIDATES, fused_file
from edgetl.data import layout
from edgetl.errors import EnvironmentLacks, InputError, did_you_mean
from edgetl.outputs import copy_artifact, copy_files, move_whole, write_output
from edgetl.overlap import overlap
from edgetl.pipeline import Context, Progress
from edgetl.processes import Processes
from edgetl.quantize import files, fused_reference, half, observe, place, schemes, shapes, statistics
from edgetl.quantize import fused_head as fusing
from edgetl.quantize import graph as graphs
from edgetl.quantize.review import review
from edgetl.report import training
from edgetl.runtime import open_bundle
from edgetl.sources import CalibrationSource
from edgetl.stages import adapt
from edgetl.stages import check as check_stage
from edgetl.types import BuildSpec, Reading
from edgetl.words import counted

__all__ = [
    "Shape",
    "calibrate",
    "check",
    "compile_model",
    "export",
    "quantize",
    "train",
]


def check(data: str, reading: Reading, *, seed: int, cache: Path, progress: Progress) -> Answer:
    """Scan and check labelled pictures.

    Raises
    ------
    InputError : leakage, one class, no pictures: what a build would refuse.
    """
    store = Cache(cache)
    source = sources.data_place(data, cache)
    stage = check_stage.stage(layout.scan(source, seed=seed, reading=reading), layout.source_root(source))
    artifact = pipeline.run([stage], store, Context(seed=seed, progress=progress))["check"]
    report = check_stage.report_of(artifact)
    lines = [f"  {report.summary()}", f"  {'class':<24} {'train':>7} {'select':>7} {'test':>7}"]
    for name in report.usable.class_names():
        counts = [report.counts[role][name] for role in ("train", "select", "test")]
        lines.append(f"  {name:<24} {counts[0]:>7} {counts[1]:>7} {counts[2]:>7}")
    lines += [*(f"  warning: {line}" for line in report.warnings), *(f"  {line}" for line in report.named())]
    lines.append(f"  next     edgetl build --data {shlex.quote(data)}{reading.as_options()}")
    shown = {key: value for key, value in msgspec.to_builtins(report).items() if key != "usable"}
    return Answer({"summary": report.summary(), "digest": report.usable.digest, **shown}, lines)


def train(
    spec: BuildSpec, out: Path, *, cache: Path, progress: Progress, processes: Processes | None = None
) -> dict[str, Any]:
    """The stages of a build up to the checkpoint, which is copied to ``out``."""
    from edgetl.transfer import checkpoint

    store = Cache(cache)
    stages = recipe.plan_recipe(spec, store, processes).stages
    last = "train" if spec.adapt is None else adapt.NAME
    upto = next(index for index, stage in enumerate(stages) if stage.name == last) + 1
    artifacts = pipeline.run(stages[:upto], store, Context(seed=spec.seed, progress=progress))
    copy_artifact(artifacts[last], out, also_ours=checkpoint.FILES)
    found = {key: value for key, value in artifacts[last].record.items() if key != "_run"}
    return {**found, "notes": training.notes(artifacts)}


def export(source: Path, out: Path, *, batch: str, fused_head: bool = False) -> dict[str, Any]:
    """A checkpoint as ONNX, parity proven on the pictures it carries; or the float model of a bundle.

    Parameters
    ----------
    fused_head : write ``model.fused.onnx`` beside ``out``, too, whose head is one node for TensorRT's plugin.

    Raises
    ------
    InputError : the network has no head of that form.
    """
    if (source / "manifest.json").exists() or source.is_file():
        bundle = open_bundle(source)
        model = bundle.folder / "model.fp32.onnx"
        told = _fused(model, out, bundle.golden()["inputs"]) if fused_head else {}
        write_output(out, model.read_bytes())
        return {
            "summary": f"the float model of {bundle.manifest.name}{told.get('summary', '')}",
            "preprocess": msgspec.to_builtins(bundle.preprocess),
            **({"fused_head": told} if told else {}),
        }
    from edgetl import export as exporter
    from edgetl.transfer import checkpoint

    net, record = checkpoint.load(source)
    size: int | Literal["dynamic"] = "dynamic" if batch == "dynamic" else int(recipe.batch_of(batch))
    with tempfile.TemporaryDirectory() as scratch:
        graph = Path(scratch) / "model.onnx"
        report = exporter.export_network(net, record.preprocess, graph, record.tasks or (), batch=size)
        pictures = checkpoint.samples(source)
        if size != "dynamic":
            pictures = np.resize(pictures, (max(len(pictures), size), *pictures.shape[1:]))
        parity = exporter.check_parity(net, record.preprocess, graph, pictures, record.tasks or ())
        told = _fused(graph, out, pictures) if fused_head else {}
        write_output(out, graph.read_bytes())
    return {
        "summary": f"ONNX opset {report.opset}, parity {parity:.0e} on {len(pictures)} images{told.get('summary', '')}",
        "exporter": report.exporter,
        "opset": report.opset,
        "parity": parity,
        "preprocess": msgspec.to_builtins(record.preprocess),
        **({"fused_head": told} if told else {}),
    }


def _fused(model: Path, out: Path, pictures: npt.NDArray[Any]) -> dict[str, Any]:
    """Write ``model`` with a fused head beside ``out``, once its reference answers as the plain one does."""
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / fused_file(out.name)
        report = fusing.write_fused(model, made)
        held = fused_reference.compare(model, made, pictures)
        move_whole(made, out.with_name(made.name))
    summary = f"; {made.name}: {report.summary()}, {held.rewriting:.0e} from it"
    return {"summary": summary, **msgspec.to_builtins(report), **msgspec.to_builtins(held)}


@dataclass(frozen=True)
class Shape:
    """What a model that takes any number or size of pictures is made to take; ``None`` leaves an axis as it is."""

    batch: int | None = None
    size: tuple[int, int] | None = None


def calibrate(
    model: Path,
    source: CalibrationSource,
    method: str,
    out: Path,
    *,
    shape: Shape = Shape(),
    progress: Progress,
) -> dict[str, Any]:
    """Observe a float model on samples, and write its statistics to a folder.

    Raises
    ------
    InputError : the model cannot be quantized or does not take the samples, or there are none.
    """
    with tempfile.TemporaryDirectory() as scratch, _shaped(model, shape) as shaped:
        seen = _observe(shaped, source, method, Path(scratch), progress)
        copy_files(Path(scratch), out)
    return {**seen, "method": method}


def quantize(
    model: Path,
    source: CalibrationSource | None,
    stats: Path | None,
    method: str,
    out: Path,
    *,
    shape: Shape = Shape(),
    device: str,
    devices_file: Path | None,
    progress: Progress,
) -> dict[str, Any]:
    """Quantize a float model for a device, by statistics that are there or are taken now.

    For TensorRT a second file with FP16 types is written beside ``out``: ``model.int8.fp16.onnx``.

    Raises
    ------
    InputError : the model cannot be quantized, or the statistics are of another one.
    """
    profile = devices.load(devices_file).find(device)
    if profile.scheme == "none":
        raise InputError(
            f"{profile.name} has no INT8: {profile.description}", hint="--device with another profile"
        )
    seen: dict[str, Any] = {"warnings": []}
    with tempfile.TemporaryDirectory() as scratch, _shaped(model, shape) as shaped:
        folder = stats if stats is not None else Path(scratch)
        if source is not None:
            seen = _observe(shaped, source, method, folder, progress)
        made = Path(scratch) / out.name
        loaded = statistics.load(folder, model=shaped)
        report = place.quantize(
            shaped,
            loaded,
            schemes.find(profile.scheme),
            method,
            made,
            reduce_range=devices.saturates(profile),
        )
        told = {**seen, **msgspec.to_builtins(report), "summary": report.summary()}
        written = [made]
        if profile.backend == "tensorrt":
            typed = made.with_suffix(".fp16.onnx")
            halved = half.write_half(made, loaded.ranges, typed)
            told["summary"] += f"; {typed.name}: {halved.summary()}"
            told["fp16"] = msgspec.to_builtins(halved)
            written.append(typed)
        for part in (part for file in written for part in files.parts(file)):
            move_whole(part, out.with_name(part.name))
    return told


def compile_model(
    source: Path,
    *,
    device: str,
    devices_file: Path | None,
    precision: str,
    out: Path,
    options: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Compile an ONNX file, or a bundle's model, into an engine folder.

    Parameters
    ----------
    options : of the backend, laid over those of the profile.

    Raises
    ------
    EnvironmentLacks : the device's engine cannot be built on this host. InputError : the source is neither.
    """
    profile = devices.load(devices_file).find(device)
    profile = msgspec.structs.replace(profile, options={**profile.options, **(options or {})})
    _known_precision(precision)
    runs_on, pending = target.where_it_runs(profile)
    if pending is not None:
        raise EnvironmentLacks(pending["reason"], hint="; then ".join(pending["next"]))
    model = source
    if source.is_dir():
        bundle = open_bundle(source)
        model = bundle.folder / (target.quantized_file(runs_on) if precision == "int8" else "model.fp32.onnx")
    if not model.is_file():
        raise InputError(f"no such model: {model}", hint="an ONNX file or a bundle")
    _same_precision(model, precision)
    backend = seam.find(runs_on.backend)
    with tempfile.TemporaryDirectory() as scratch, _in_one_file(model) as model:
        engine = backend.compile(model, msgspec.structs.replace(runs_on, precision=precision), Path(scratch))
        (Path(scratch) / "engine.json").write_bytes(digest.canonical_json(engine))
        copy_files(Path(scratch), out)
    return {
        "summary": f"{engine.precision} for {engine.backend} {engine.device}",
        **msgspec.to_builtins(engine),
    }


@contextmanager
def _in_one_file(model: Path) -> Iterator[Path]:
    """The model, or a copy with the weights beside it inside: not every backend looks beside, and no digest does.

    One that does not fit a file is left as it is, for the backends that look.
    """
    beside = files.beside(model)
    if not beside or sum(part.stat().st_size for part in beside) > files.HELD:
        yield model
        return
    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch) / model.name
        files.write(files.read(model), model, whole)
        yield whole


def _same_precision(model: Path, precision: str) -> None:
    """Refuse to call a float model int8, or a quantized one f32."""
    quantized = graphs.is_quantized(model)
    if precision == "int8" and not quantized:
        raise InputError(
            f"{model.name} is a float model: as int8 it would run in float",
            hint=f"edgetl quantize {model.name} --calib-data DIR   makes one with Q/DQ",
        )
    if precision == "f32" and quantized:
        raise InputError(f"{model.name} is quantized: it cannot run in f32", hint="--precision int8")


def _known_precision(precision: str) -> None:
    if precision not in CANDIDATES:
        raise InputError(
            f"--precision {precision!r} is not known.{did_you_mean(precision, CANDIDATES)}",
            hint=", ".join(CANDIDATES),
        )


@contextmanager
def _shaped(model: Path, shape: Shape) -> Iterator[Path]:
    """The model, or a copy of it with the shape that was asked for."""
    if shape == Shape():
        yield model
        return
    with tempfile.TemporaryDirectory() as scratch:
        fixed = Path(scratch) / model.name
        shapes.fix_input(model, fixed, batch=shape.batch, size=shape.size)
        yield fixed


def _observe(
    model: Path, source: CalibrationSource, method: str, folder: Path, progress: Progress
) -> dict[str, Any]:
    """Statistics of a model into a folder; how many samples they are of, and what is odd about those."""
    asked.choice(source.select, sampling.SELECTIONS, "--calib-select")
    asked.deviation(source.std)
    samples = sources.samples_of(
        model, source, on_choosing=lambda done, total: progress.advanced("choose", done, total)
    )
    progress.started("calibrate")
    stats = observe.observe(
        model,
        samples.arrays,
        total=samples.count,
        on_progress=lambda done, total: progress.advanced("calibrate", done, total),
        method=method,
    )
    of = statistics.identity(model, samples.facts, samples.identity, samples.drawn, method)
    statistics.save(stats, of, folder)
    found = review(stats)
    copies = overlap(
        samples.paths,
        samples.looks,
        source.held_out,
        on_progress=lambda done, total: progress.advanced("held out", done, total),
    )
    return {
        "summary": f"{counted(samples.count, samples.kind.removesuffix('s'))} · {found.summary()}",
        "kind": samples.kind,
        **msgspec.to_builtins(found),
        "alike": copies.alike,
        "leaked": copies.leaked,
        "warnings": [*found.warnings, *copies.warnings],
    }
