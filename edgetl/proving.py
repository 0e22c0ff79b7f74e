"""``edgetl verify``: a bundle's digests, fused heads, golden vectors, and the accuracy of its engine."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl.bundles import Answer, opened, profile_of
from edgetl.candidate import fused_file
from edgetl.data import check, demo, frames, grouping, layout
from edgetl.data.decode import load_images
from edgetl.data.layout import Dataset
from edgetl.data.split import ROLE_NAMES
from edgetl.errors import EdgetlError, EnvironmentLacks, GateFailed, Inconclusive, InputError
from edgetl.report import robustness_lines
from edgetl.runtime import Bundle, Predictor, load
from edgetl.runtime import preprocess as rule
from edgetl.stages import prepare
from edgetl.stages.several import refuse, refuse_others
from edgetl.types import USUAL, Preprocess, Reading
from edgetl.verify import budget, by_task, decision, several
from edgetl.verify import diagnose as diagnosis
from edgetl.verify.accuracy import logits_of, logits_of_model, paired, per_class_recall
from edgetl.verify.by_task import Budgets

if TYPE_CHECKING:
    from edgetl.robust import Order

__all__ = ["verify"]

Array = npt.NDArray[Any]
OTHER_IMAGES = "note: these are not the test images of the build, so the accuracy need not be the same"
SOURCE_IMAGES = (
    "note: these are test images of the labelled data, and the network is fitted to another place: "
    "--data with the folder of --adapt judges it there"
)
COSTLY_LAYERS = "edgetl sensitivity BUNDLE --data DIR   lists the layers that INT8 costs most in"
PLACE = ("test", "select")
"""Roles that folders of target frames have; where there is a ``train``, too, the folder is a data set."""


@dataclass(frozen=True)
class _Tested:
    """Pictures to answer: labels (N,), or answers to several tasks (N, tasks); engine inputs uint8 (N, H, W, 3); and
    the digest of what they are.
    """

    labels: Array
    pictures: Array
    digest: str


def verify(
    place: Path,
    *,
    data: str | None,
    max_drop: float | None,
    diagnose: bool,
    strict: bool,
    demo_folder: Path,
    on_note: Callable[[str], None],
    reading: Reading = USUAL,
    corruptions: Order | None = None,
    max_drops: Mapping[str, str] = MappingProxyType({}),
) -> Answer:
    """Digests, fused heads and golden vectors; with ``data``, the accuracy of the compiled engine on its test images.

    Parameters
    ----------
    reading : how ``data`` is read where not as the build's own was.
    corruptions : also measure it on corrupted test images.
    max_drops : budgets of single tasks, where there are several.

    Raises
    ------
    BundleError : a byte differs. EnvironmentLacks : the engine cannot run here.
    InputError : the data has other classes.
    """
    if diagnose and data is None:
        raise InputError(
            "--diagnose measures accuracy, which takes --data", hint="--data DIR with labelled pictures"
        )
    if data is None and (strict or max_drop is not None or max_drops):
        raise InputError(
            f"{'--strict' if strict else '--max-drop'} judges an accuracy, which takes --data",
            hint="--data DIR with labelled pictures",
        )
    with opened(place) as bundle:
        if corruptions is not None:
            from edgetl import robust  # takes OpenCV, which a device need not have

            robust.check(corruptions, bundle, data)
            refuse(bundle.tasks, "--corruptions")
        if diagnose:
            refuse(bundle.tasks, "--diagnose")
        budgets = _budgets(bundle, max_drop, max_drops)
        heads, told = _heads(bundle)
        if bundle.manifest.pending:  # what comes next is an error
            for line in told:
                on_note(f"note: {' '.join(line.split())}")
        with load(bundle) as predictor:
            lines = [f"  digests    {len(bundle.manifest.files)} files are what was built", *told]
            difference = predictor.check_golden()
            lines.append(f"  golden     largest difference {difference:.1e} of the largest logit")
            found: dict[str, Any] = {
                "bundle": str(place),
                "files": len(bundle.manifest.files),
                "golden": difference,
                **({"fused_head": heads} if heads else {}),
            }
            if data is None:
                lines.append("  accuracy   not measured: --data DIR measures it on the test images")
                return Answer(found, lines)
            source = demo.write(demo_folder) if data == "demo" else Path(data)
            tested = _test_images(bundle, *_scanned(bundle, source, reading))
            if bundle.tasks:
                return _several(predictor, tested, budgets, strict, found, lines, on_note)
            answer = _accuracy(predictor, tested, max_drop, diagnose, strict, found, lines, on_note)
            return (
                answer if corruptions is None else _under_corruptions(answer, predictor, tested, corruptions)
            )


def _budgets(bundle: Bundle, common: float | None, own: Mapping[str, str]) -> Budgets:
    """What each task is held to: as asked for, else as at the build."""
    given = by_task.budgets_of(bundle.tasks, math.inf if common is None else common, own)
    if not bundle.tasks or common is not None:
        return given
    return Budgets(common=math.inf, own={**several.budgets_at_build(bundle).own, **given.own})


def _several(
    predictor: Predictor,
    tested: _Tested,
    budgets: Budgets,
    strict: bool,
    found: dict[str, Any],
    lines: list[str],
    on_note: Callable[[str], None],
) -> Answer:
    """The answer where the bundle has several tasks, or one of values."""
    answers, pictures = tested.labels, tested.pictures
    same = tested.digest == predictor.bundle.manifest.data.get("test")
    if not same:
        on_note(OTHER_IMAGES)
    reference = _f32_logits(predictor.bundle, pictures)
    shipped = logits_of(predictor.session, pictures)
    told = several.measured(predictor.bundle, answers, reference, shipped, budgets, same=same, strict=strict)
    failure = None if told.failure is None else told.failure.problem
    return Answer({**found, **told.data, "failure": failure}, [*lines, *told.lines], told.failure)


def _under_corruptions(answer: Answer, predictor: Predictor, tested: _Tested, order: Order) -> Answer:
    """The answer with what corruptions came to; whether it is a yes is decided on clean images."""
    from edgetl import robust

    found = robust.measure(
        predictor, tested.labels, tested.pictures, order, profile_of(predictor.bundle, "f32")
    )
    lines = [*answer.lines, *robustness_lines.lines(found)]
    lines += [f"  written    {place}" for place in (order.out, order.picture) if place is not None]
    return Answer({**answer.data, "corruptions": msgspec.to_builtins(found)}, lines, answer.failure)


def _heads(bundle: Bundle) -> tuple[dict[str, Any], list[str]]:
    """Each model with a fused head against the one it was made from, on the golden inputs; as data and as lines.

    Raises
    ------
    GateFailed : one is not the head that it stands for.
    """
    names = [name for name in bundle.manifest.files if name.endswith(fused_file(""))]
    if not names:
        return {}, []
    if find_spec("onnx") is None or find_spec("onnxruntime") is None:
        return {}, ["  head       not compared with the plain one: that takes pip install 'edgetl[quantize]'"]
    from edgetl.quantize import fused_reference

    found, inputs = {}, bundle.golden()["inputs"]
    for name in names:
        plain = bundle.folder / name.replace(fused_file(""), ".onnx")
        found[name] = fused_reference.compare(plain, bundle.folder / name, inputs)
    lines = [
        f"  head       {name}: {one.rewriting:.1e} of the largest logit from the plain one "
        f"without its quantizers, {one.difference:.1e} with them"
        for name, one in found.items()
    ]
    return {name: msgspec.to_builtins(one) for name, one in found.items()}, lines


def _accuracy(
    predictor: Predictor,
    tested: _Tested,
    max_drop: float | None,
    diagnose: bool,
    strict: bool,
    found: dict[str, Any],
    lines: list[str],
    on_note: Callable[[str], None],
) -> Answer:
    bundle = predictor.bundle
    labels, pictures = tested.labels, tested.pictures
    before = bundle.results["accuracy"]
    same, at_build = _at_build(bundle, tested, on_note)
    reference = _f32_logits(bundle, pictures)
    shipped = logits_of(predictor.session, pictures)
    result = paired(labels, reference, shipped)
    limit = max_drop if max_drop is not None else before["budget_pt"]
    verdict = budget.judge(result, max_drop_pt=math.inf if limit is None else limit)
    recall = per_class_recall(labels, shipped, bundle.labels)
    found["accuracy"] = {
        "fp32": result.reference_accuracy,
        "shipped": result.candidate_accuracy,
        "n": result.n,
        "drop_pt": result.drop_pt,
        "drop_ci95_pt": list(result.drop_ci95_pt),
        "verdict": verdict.verdict,
        "same_test_images": same,
        "at_build": at_build["shipped"],
        "per_class_recall": recall.rows,
    }
    told = decision.measured(bundle, labels, reference, shipped, same)
    found["accuracy"] |= told.data
    lines += [
        f"  accuracy   {100 * result.candidate_accuracy:.1f} % on {result.n} images, "
        f"f32 {100 * result.reference_accuracy:.1f} %, at the build {100 * at_build['shipped']:.1f} %",
        f"             {verdict.sentence}",
        f"             {recall.sentence}",
        *told.lines,
    ]
    failure = (
        _verdict_failure(verdict, result.candidate_accuracy, at_build["shipped"], result.n, strict, same)
        or told.failure
    )
    if diagnose:
        named = diagnosis.diagnose(
            lambda images, normalisation: _f32_logits(bundle, images, normalisation),
            pictures,
            labels,
            bundle.preprocess,
            classes=bundle.labels,
            at_build=at_build["fp32"],
        )
        found["diagnosis"] = msgspec.to_builtins(named)
        lines += named.lines()
        if named.mistake is not None or (failure is not None and verdict.verdict != "over"):
            failure = GateFailed(named.sentence, hint=named.hint)
        elif failure is not None:
            lines.append(
                f"             f32 answers {100 * named.accuracy:.1f} %: it is the precision that loses"
            )
            failure = GateFailed(verdict.sentence, hint=COSTLY_LAYERS)
    found["failure"] = None if failure is None else failure.problem
    return Answer(found, lines, failure)


def _at_build(
    bundle: Bundle, tested: _Tested, on_note: Callable[[str], None]
) -> tuple[bool, dict[str, float]]:
    """Whether the build was judged by these pictures, and the accuracies that it found."""
    before, data = bundle.results["accuracy"], bundle.manifest.data
    if tested.digest == data.get("source_test"):
        of_source = bundle.results["adaptation"]["source"]["candidate_accuracy"]
        on_note(SOURCE_IMAGES)
        return True, {"shipped": of_source, "fp32": of_source}
    same = tested.digest == data.get("test")
    if not same:
        on_note(OTHER_IMAGES)
    return same, {"shipped": before["shipped"], "fp32": before["fp32"]}


def _verdict_failure(
    verdict: budget.Verdict, accuracy: float, at_build: float, count: int, strict: bool, same: bool
) -> EdgetlError | None:
    """Over budget, or far below what the build measured: by more than chance allows two sets of images."""
    if verdict.verdict == "over":
        return GateFailed(
            verdict.sentence, hint="edgetl verify --diagnose --data DIR   looks for a wrong input"
        )
    slack = 0.02 if same else 0.02 + 2.6 * math.sqrt(2 * at_build * (1 - at_build) / count)
    if accuracy < at_build - slack:
        return GateFailed(
            f"accuracy is {100 * accuracy:.1f} %, the build measured {100 * at_build:.1f} %: more than chance explains",
            hint="edgetl verify --diagnose --data DIR   looks for wrong labels, normalisation and channel order",
            accuracy=accuracy,
            at_build=at_build,
        )
    if strict and verdict.verdict == "unproven":
        return Inconclusive(verdict.sentence, hint="more test images, or without --strict")
    return None


def _scanned(bundle: Bundle, source: Path, asked: Reading) -> tuple[Dataset, Path]:
    """Labelled pictures, read as the build read its own but for what was asked for; and the folder they hang on.

    Raises
    ------
    InputError : the classes are not the bundle's.
    """
    place = _place(bundle, source)
    if place is not None:
        return place, source
    told = {**msgspec.to_builtins(bundle.manifest.reading), **msgspec.to_builtins(asked)}
    if source.is_dir():  # its columns were of a table
        told = {
            name: value
            for name, value in told.items()
            if (name == "group_by" and grouping.is_pattern(value)) or getattr(asked, name)
        }
    if bundle.tasks and asked.label_column is None:  # few pictures may not tell of which kind a column is
        told["label_column"] = [f"{task.name}:{task.kind}" for task in bundle.tasks]
    dataset = layout.scan(source, seed=bundle.manifest.seed, reading=msgspec.convert(told, Reading))
    if bundle.tasks and [t.said() for t in dataset.tasks or ()] != [t.said() for t in bundle.tasks]:
        refuse_others(bundle.tasks, dataset.tasks or (), str(source))
    if dataset.classes != bundle.labels:
        raise InputError(
            f"{source} has the classes {', '.join(dataset.classes[:5])}, the bundle {', '.join(bundle.labels[:5])}",
            hint="the folder names must be those of the training data; in a table --label-column says where they are",
        )
    return dataset, layout.source_root(source)


def _place(bundle: Bundle, source: Path) -> Dataset | None:
    """Labelled frames of the place that a bundle was fitted to, where a folder is laid out as for ``--adapt``."""
    manifest = bundle.manifest
    if manifest.adapted is None or not source.is_dir():
        return None
    found = frames.parted(source, bundle.labels, seed=manifest.seed, grouped_by=manifest.reading.group_by)
    roles = {ROLE_NAMES.get(folder.name.lower()) for folder in source.iterdir() if folder.is_dir()}
    in_roles = "train" not in roles and not roles.isdisjoint(PLACE)
    if not found.measure or not (in_roles or found.digest == manifest.adapted.digest):
        return None
    return Dataset(classes=bundle.labels, samples=frames.tested(found.measure), layout="target frames")


def _test_images(bundle: Bundle, dataset: Dataset, root: Path) -> _Tested:
    """The test role, as the engine takes it."""
    usable = check.inspect(dataset, root, needs=("test",)).usable
    chosen = [s for s in usable.samples if s.role == "test"]
    preprocess = bundle.preprocess
    loaded = load_images(
        root,
        [s.path for s in chosen],
        lambda image: rule.apply(image, preprocess, swap=preprocess.color != "rgb"),
    )
    pixels = np.dtype((np.uint8, (preprocess.height, preprocess.width, 3)))
    pictures = np.fromiter(
        loaded, pixels, count=len(chosen)
    )  # held once, where a list of them is a second copy
    labels: Array = np.array([s.label for s in chosen], np.int64)
    if bundle.tasks:
        labels = prepare.answers_of(chosen, len(bundle.tasks))
    return _Tested(labels, pictures, usable.role_digests()["test"])


def _f32_logits(bundle: Bundle, pictures: Array, normalisation: Preprocess | None = None) -> Array:
    """What the f32 engine answers, compiled now from the bundle's own float model.

    Parameters
    ----------
    normalisation : whose mean and std are put into the graph; the bundle's own where it is ``None``.
    """
    profile = profile_of(bundle, "f32")
    model = bundle.folder / "model.fp32.onnx"
    with tempfile.TemporaryDirectory() as scratch:
        if normalisation is not None and normalisation != bundle.preprocess:
            model = _renormalised(model, normalisation, Path(scratch))
        return logits_of_model(model, profile, pictures)


def _renormalised(model: Path, normalisation: Preprocess, folder: Path) -> Path:
    try:
        from edgetl.quantize.normalisation import renormalise
    except ImportError as error:
        raise EnvironmentLacks(
            f"--diagnose changes the float model, which takes {error.name}: it is not installed",
            hint="pip install 'edgetl[quantize]'",
        ) from error
    target = folder / "renormalised.onnx"
    renormalise(model, normalisation, target)
    return target
