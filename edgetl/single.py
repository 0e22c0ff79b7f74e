"""One stage at a time: commands that read and write the same artifacts as a build, through the same stages."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl import devices, digest, pipeline, recipe
from edgetl.backends import seam
from edgetl.bundles import Answer
from edgetl.cache import RECORD, Cache, out_of_space
from edgetl.calibration import sampling
from edgetl.data import demo, layout
from edgetl.data.decode import load_images
from edgetl.errors import EnvironmentLacks, InputError, did_you_mean
from edgetl.pipeline import Artifact, Context, Progress
from edgetl.quantize import graph as graphs
from edgetl.quantize import observe, place, schemes, statistics
from edgetl.quantize.review import Review, review
from edgetl.runtime import open_bundle
from edgetl.runtime import preprocess as rule
from edgetl.stages import check as check_stage
from edgetl.stages.compile import CANDIDATES
from edgetl.types import BuildSpec, Preprocess

__all__ = [
    "CalibrationSource",
    "calibrate",
    "check",
    "compile_model",
    "export",
    "pictures_of",
    "quantize",
    "train",
]

Array = npt.NDArray[Any]


def check(data: str, *, seed: int, cache: Path, progress: Progress) -> Answer:
    """Scan and check labelled pictures.

    Raises
    ------
    InputError : leakage, one class, no pictures: what a build would refuse.
    """
    store = Cache(cache)
    source = _place(data, cache)
    stage = check_stage.stage(layout.scan(source, seed=seed), layout.source_root(source))
    artifact = pipeline.run([stage], store, Context(seed=seed, progress=progress))["check"]
    report = check_stage.report_of(artifact)
    lines = [f"  {report.summary()}", f"  {'class':<24} {'train':>7} {'select':>7} {'test':>7}"]
    for name in report.usable.classes:
        counts = [report.counts[role][name] for role in ("train", "select", "test")]
        lines.append(f"  {name:<24} {counts[0]:>7} {counts[1]:>7} {counts[2]:>7}")
    lines += [f"  warning: {line}" for line in report.warnings]
    lines += [f"  {line}" for line in report.named()]
    lines.append(f"  next     edgetl build --data {data}")
    shown = {key: value for key, value in msgspec.to_builtins(report).items() if key != "usable"}
    return Answer({"summary": report.summary(), "digest": report.usable.digest, **shown}, lines)


def _place(data: str, cache: Path) -> Path:
    return demo.write(cache / "demo") if data == "demo" else Path(data)


def train(spec: BuildSpec, out: Path, *, cache: Path, progress: Progress) -> dict[str, Any]:
    """The stages of a build up to the checkpoint, which is copied to ``out``."""
    store = Cache(cache)
    stages = recipe.plan_recipe(spec, store).stages
    upto = next(index for index, stage in enumerate(stages) if stage.name == "train") + 1
    artifacts = pipeline.run(stages[:upto], store, Context(seed=spec.seed, progress=progress))
    _copy_out(artifacts["train"], out)
    return {key: value for key, value in artifacts["train"].record.items() if key != "_run"}


def export(source: Path, out: Path, *, batch: str) -> dict[str, Any]:
    """A checkpoint as ONNX, parity proven on the pictures it carries; or the float model of a bundle."""
    if (source / "manifest.json").exists() or source.is_file():
        bundle = open_bundle(source)
        _write(out, (bundle.folder / "model.fp32.onnx").read_bytes())
        return {
            "summary": f"the float model of {bundle.manifest.name}",
            "preprocess": msgspec.to_builtins(bundle.preprocess),
        }
    from edgetl import export as exporter
    from edgetl.transfer import checkpoint

    net, record = checkpoint.load(source)
    size: int | Literal["dynamic"] = "dynamic" if batch == "dynamic" else int(recipe.batch_of(batch))
    with tempfile.TemporaryDirectory() as scratch:
        graph = Path(scratch) / "model.onnx"
        report = exporter.export_classifier(net, record.preprocess, graph, batch=size)
        pictures = checkpoint.samples(source)
        if size != "dynamic":
            pictures = np.resize(pictures, (max(len(pictures), size), *pictures.shape[1:]))
        parity = exporter.check_parity(net, record.preprocess, graph, pictures)
        _write(out, graph.read_bytes())
    return {
        "summary": f"ONNX opset {report.opset}, parity {parity:.0e} on {len(pictures)} images",
        "exporter": report.exporter,
        "opset": report.opset,
        "parity": parity,
        "preprocess": msgspec.to_builtins(record.preprocess),
    }


@dataclass(frozen=True)
class CalibrationSource:
    """Pictures to calibrate with, and how a float NCHW model wants them; ``cache`` is where ``demo`` is kept."""

    data: str
    samples: int
    seed: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    crop: tuple[int, int]
    cache: Path


def calibrate(
    model: Path, source: CalibrationSource, method: str, out: Path, *, progress: Progress
) -> dict[str, Any]:
    """Observe a float model on pictures, and write its statistics to a folder.

    Raises
    ------
    InputError : the model cannot be quantized or takes no pictures, or there are none.
    """
    with tempfile.TemporaryDirectory() as scratch:
        found = _observe(model, source, method, Path(scratch), progress)
        _copy_files(Path(scratch), out)
    summary = f"{found.samples} images · {found.summary()}"
    return {"summary": summary, **msgspec.to_builtins(found), "method": method}


def quantize(
    model: Path,
    source: CalibrationSource | None,
    stats: Path | None,
    method: str,
    out: Path,
    *,
    device: str,
    devices_file: Path | None,
    progress: Progress,
) -> dict[str, Any]:
    """Quantize a float model for a device, by statistics that are there or are taken now.

    Raises
    ------
    InputError : the model cannot be quantized, or the statistics are of another one.
    """
    profile = devices.load(devices_file).find(device)
    if profile.scheme == "none":
        raise InputError(
            f"{profile.name} has no INT8: {profile.description}", hint="--device with another profile"
        )
    with tempfile.TemporaryDirectory() as scratch:
        folder = stats if stats is not None else Path(scratch)
        if source is not None:
            _observe(model, source, method, folder, progress)
        graph = Path(scratch) / "model.onnx"
        report = place.quantize(
            model,
            statistics.load(folder, model=model),
            schemes.find(profile.scheme),
            method,
            graph,
            reduce_range=devices.saturates(profile),
        )
        _write(out, graph.read_bytes())
    return {"summary": report.summary(), **msgspec.to_builtins(report)}


def compile_model(
    source: Path, *, device: str, devices_file: Path | None, precision: str, out: Path
) -> dict[str, Any]:
    """Compile an ONNX file, or a bundle's model, into an engine folder.

    Raises
    ------
    EnvironmentLacks : the device's engine cannot be built on this host. InputError : the source is neither.
    """
    profile = devices.load(devices_file).find(device)
    _known_precision(precision)
    runs_on, pending = recipe.where_it_runs(profile)
    if pending is not None:
        raise EnvironmentLacks(pending["reason"], hint="; then ".join(pending["next"]))
    model = source
    if source.is_dir():
        bundle = open_bundle(source)
        model = bundle.folder / ("model.int8.onnx" if precision == "int8" else "model.fp32.onnx")
    if not model.is_file():
        raise InputError(f"no such model: {model}", hint="an ONNX file or a bundle")
    _same_precision(model, precision)
    backend = seam.find(runs_on.backend)
    with tempfile.TemporaryDirectory() as scratch:
        engine = backend.compile(model, msgspec.structs.replace(runs_on, precision=precision), Path(scratch))
        (Path(scratch) / "engine.json").write_bytes(digest.canonical_json(engine))
        _copy_files(Path(scratch), out)
    return {
        "summary": f"{engine.precision} for {engine.backend} {engine.device}",
        **msgspec.to_builtins(engine),
    }


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


def _observe(model: Path, source: CalibrationSource, method: str, folder: Path, progress: Progress) -> Review:
    """Statistics of a model into a folder; what they say of the pictures."""
    if not model.is_file():
        raise InputError(f"no such model: {model}", hint="an ONNX file")
    feed = _Feed(model, source)
    paths, drawn, identity = _draw(source.data, source.samples, source.seed, source.cache)
    chosen = [paths[index] for index in drawn]
    images = load_images(paths[0].parent, [str(path.absolute()) for path in chosen], feed.array)
    progress.started("calibrate")
    stats = observe.observe(
        model,
        images,
        total=len(chosen),
        on_progress=lambda done, total: progress.advanced("calibrate", done, total),
        method=method,
    )
    facts = {"mean": source.mean, "std": source.std, "crop": source.crop, "input": feed.layout}
    statistics.save(stats, statistics.identity(model, facts, identity, drawn, method), folder)
    return review(stats)


def _draw(data: str, samples: int, seed: int, cache: Path) -> tuple[list[Path], list[int], str]:
    """Pictures, which of them to take, and their digest: the train role of labelled data, else any below a folder."""
    place = _place(data, cache)
    try:
        dataset = layout.scan(place, seed=seed)
    except InputError:
        paths = layout.pictures_in(place)
        if not paths:
            raise
        picked = np.random.default_rng(seed).permutation(len(paths))[:samples]
        return paths, sorted(picked.tolist()), digest.of_json([digest.of_file(path) for path in paths])
    root = layout.source_root(place)
    train = [sample for sample in dataset.samples if sample.role == "train"]
    drawn = sampling.stratified(np.array([s.label for s in train]), samples, seed)
    return [root / sample.path for sample in train], drawn.tolist(), dataset.digest


def pictures_of(
    data: str, samples: int, seed: int, cache: Path, preprocess: Preprocess
) -> Iterator[npt.NDArray[np.uint8]]:
    """Pictures as a bundle's engine takes them, uint8 (H, W, 3): of the train role, or any below a folder.

    Raises
    ------
    InputError : there are none, or one cannot be read.
    """
    paths, drawn, _ = _draw(data, samples, seed, cache)
    chosen = [str(paths[index].absolute()) for index in drawn]
    return load_images(paths[0].parent, chosen, lambda picture: rule.apply(picture, preprocess))


class _Feed:
    """How a model wants a picture: uint8 or float, channels last or first, and its size.

    Raises
    ------
    InputError : its input is no picture of a known size.
    """

    def __init__(self, model: Path, source: CalibrationSource) -> None:
        spec = observe.input_of(model)
        shape = tuple(spec.shape)
        if len(shape) != 4 or 3 not in (shape[1], shape[3]) or spec.dtype not in ("uint8", "float32"):
            raise InputError(
                f"{model.name} takes {spec.dtype} {list(shape)}: "
                "calibration feeds pictures, (N, H, W, 3) or (N, 3, H, W)",
                hint="export it with a fixed height and width",
            )
        self.layout = "NHWC" if shape[3] == 3 else "NCHW"
        height, width = (shape[1], shape[2]) if self.layout == "NHWC" else (shape[2], shape[3])
        if height is None or width is None:
            raise InputError(
                f"{model.name} takes pictures of any size: a fixed one is needed", hint="export it with one"
            )
        self._float = spec.dtype == "float32"
        self._rule = Preprocess(
            height=height, width=width, crop=source.crop, mean=source.mean, std=source.std
        )

    def array(self, picture: Array) -> Array:
        """The model's input, (1, ...), from a decoded picture."""
        pixels = rule.apply(picture, self._rule)[None]
        if not self._float:
            return pixels if self.layout == "NHWC" else np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
        scale, shift = (np.array(values, np.float32) for values in self._rule.affine())
        values = pixels * scale + shift
        return np.ascontiguousarray(
            values if self.layout == "NHWC" else values.transpose(0, 3, 1, 2), np.float32
        )


def _write(target: Path, data: bytes) -> None:
    """Write a file whole, or not at all."""
    with out_of_space(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.partial")
        try:
            partial.write_bytes(data)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)


def _copy_files(source: Path, target: Path) -> None:
    """Copy a folder's files beside the target, then give it its name; an older result of ours is replaced."""
    with out_of_space(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not target.is_dir():
            raise InputError(f"{target} is a file, a folder is written there", hint="another --out")
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
        try:
            shutil.copytree(source, work, dirs_exist_ok=True)
            known = set(digest.tree_files(source))
            if target.exists():
                foreign = sorted(set(digest.tree_files(target)) - known)
                if foreign:
                    raise InputError(
                        f"{target} holds {foreign[0]}, which is not ours to replace", hint="another --out"
                    )
                shutil.rmtree(target)
            work.rename(target)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _copy_out(artifact: Artifact, target: Path) -> None:
    """An artifact's files without the store's own record."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in digest.tree_files(artifact.path):
            if name != RECORD:
                (Path(scratch) / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(artifact.path / name, Path(scratch) / name)
        _copy_files(Path(scratch), target)
