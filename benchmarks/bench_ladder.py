"""B3: points of top-1 that INT8 loses after the ladder, on networks with real weights.

The stages are those of ``edgetl build``, from the calibration to the engine. 300 pictures calibrate. The others are
halved: the ladder judges by one half and is reported on the other, then the halves change places, so that every
picture is reported once, by a ladder that never saw it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _cifar
import _imagenet
import _peers
import numpy as np
import numpy.typing as npt
from _results import Results, needed_data, parser

from edgetl import devices, digest, pipeline
from edgetl.cache import Cache
from edgetl.devices import DeviceProfile
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.stages import calibrate, quantize, refine, verify
from edgetl.stages import compile as compile_stage
from edgetl.verify.accuracy import paired

Array = npt.NDArray[Any]

IMAGENET = ("efficientnet_lite0", "mobilenet_v1_075")
BUDGET_PT = 0.5
TIME_BUDGET_S = 3600.0
PROFILE = DeviceProfile(name="this host", backend="openvino", device="CPU", scheme="openvino-cpu")


@dataclass(frozen=True)
class Case:
    """A float network, what it reads, (N, ...), the classes, and which pictures calibrate and judge."""

    name: str
    model: Path
    pictures: Array
    labels: Array
    calibrate: Array
    judge: Array


def main() -> None:
    options = parser(__doc__).parse_args()
    data = needed_data()
    results = Results("ladder", quick=options.quick, also=("openvino", "timm", "torch"))
    with tempfile.TemporaryDirectory() as folder:
        for case in _cases(data, Path(folder), quick=options.quick):
            _report(results, case, Path(folder) / "cache")
    results.write()


def _cases(data: Path, folder: Path, *, quick: bool) -> Iterator[Case]:
    for name in list(_cifar.NETS)[:1] if quick else _cifar.NETS:
        model = _cifar.float_model(name, folder, data / "weights" / f"{name}.safetensors")
        train, test = (_cifar.pictures(data / "cls_cifar10" / f"{part}.npz") for part in ("train", "test"))
        count = 20 if quick else _imagenet.CALIBRATE
        judge = len(train[1]) + np.random.default_rng(0).permutation(len(test[1]))[: 40 if quick else None]
        pictures, labels = (np.concatenate(parts) for parts in zip(train, test))
        yield Case(name, model, pictures, labels, np.arange(count), judge)
    if quick:
        return
    rule = _peers.preprocess_of("efficientnet_lite0")  # both networks take 224 of 256, in [-1, 1]
    pictures, labels = _imagenet.pictures(data / "imagenet1k", rule)
    halves = _imagenet.split(len(labels), quick=False)
    weights = data / "weights"
    lite0 = _peers.float_model(IMAGENET[0], folder, weights / f"{IMAGENET[0]}_imagenet.safetensors")
    yield Case(IMAGENET[0], lite0, pictures, labels, *halves)
    planes = np.concatenate(_peers.normalised(pictures, rule))
    yield Case(IMAGENET[1], weights / f"{IMAGENET[1]}_imagenet.onnx", planes, labels, *halves)


def _report(results: Results, case: Case, cache: Path) -> None:
    half = len(case.judge) // 2
    folds = ((case.judge[:half], case.judge[half:]), (case.judge[half:], case.judge[:half]))
    done = [_build(case, select, test, cache) for select, test in folds]
    labels = np.concatenate([case.labels[test] for _, test in folds])
    reference = np.concatenate([verify.logits(run["verify:f32"], "test") for run in done])
    for name, tag, what in (("before", "", "before the ladder"), ("int8", "B3 ", "after the ladder")):
        found = np.concatenate([verify.logits(run[f"verify:{name}"], "test") for run in done])
        pair = paired(labels, reference, found)
        results.keep(f"{case.name}/{name}", found.argmax(axis=1).tolist())
        results.row(
            f"{tag}{case.name}, top-1 lost {what}",
            pair.drop_pt,
            "pt",
            ci95=pair.drop_ci95_pt,
            n=pair.n,
            target=f"<= {BUDGET_PT:g}" if tag else None,
            met=pair.drop_pt <= BUDGET_PT if tag else None,
            note=f"{pair.lost} lost, {pair.gained} gained, agreement {100 * pair.agreement:.1f} %",
        )
    for number, run in enumerate(done):
        told = run[refine.final()].record
        results.keep(f"{case.name}/ladder {number}", told["rungs"])
        seconds = sum(
            artifact.record["_run"]["seconds"] for name, artifact in run.items() if "refine" in name
        )
        results.row(f"{case.name}, ladder {number}, time", seconds, "s", note=told["summary"])


def _build(case: Case, select: Array, test: Array, cache: Path) -> Mapping[str, Artifact]:
    """The stages from the float model to the INT8 engine's answers, with the engine before the ladder beside it."""
    host = devices.host_fingerprint()
    narrow = devices.saturates(devices.load().find("local"))
    roles = {"train": case.calibrate, "select": select, "test": test}

    def export(inputs: object, out: Path, ctx: Context) -> Mapping[str, Any]:
        (out / "model.onnx").write_bytes(case.model.read_bytes())
        return {}

    def prepare(inputs: object, out: Path, ctx: Context) -> Mapping[str, Any]:
        for role, rows in roles.items():
            np.save(out / f"{role}.npy", case.pictures[rows])
            np.save(out / f"{role}.labels.npy", case.labels[rows])
        return {"preprocess": {}}

    rows = {role: drawn.tolist() for role, drawn in roles.items()}
    shared = [
        Stage("export", 1, (), {"model": digest.of_file(case.model)}, {}, export),
        Stage("prepare", 1, ("export",), rows, {}, prepare),
        compile_stage.stage("f32", PROFILE, host, source="export"),
        verify.stage("f32", PROFILE, host),
        calibrate.stage(len(case.calibrate), "default", 0),
        quantize.stage(PROFILE.scheme, "default", reduce_range=narrow),
    ]
    ladder = refine.stages(
        PROFILE,
        PROFILE.scheme,
        "default",
        host,
        reduce_range=narrow,
        max_drop=BUDGET_PT,
        time_budget=TIME_BUDGET_S,
        seed=0,
    )
    found: dict[str, Artifact] = {}
    for name, stages, source in (
        ("before", shared, "quantize"),
        ("int8", [*shared, *ladder], refine.final()),
    ):
        engine = compile_stage.stage("int8", PROFILE, host, source=source)
        run = pipeline.run([*stages, engine, verify.stage("int8", PROFILE, host)], Cache(cache), Context())
        found |= run | {f"verify:{name}": run["verify:int8"]}
    return found


if __name__ == "__main__":
    main()
