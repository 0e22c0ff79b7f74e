"""B1: what our INT8 keeps of the float answers, against NNCF with either of its bias corrections, at which latency.

Networks with real weights. 300 pictures calibrate every contender: of ImageNet's the other 700 judge it, for the
CIFAR-10 networks the test pictures do; all are engines of OpenVINO's CPU plugin that take the same normalised planes.
``ours`` is what ``edgetl build`` makes first, ``ours, rounded`` what a rung of its ladder makes.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _cifar
import _imagenet
import _peers
import msgspec
import numpy as np
import numpy.typing as npt
import openvino as ov
from _results import Results, needed_data, parser

from edgetl import devices
from edgetl.bench.comparison import Comparison, Contender, compare
from edgetl.bench.instance import Pace
from edgetl.quantize import observe, place, rounding, schemes
from edgetl.verify.accuracy import snr_db

Array = npt.NDArray[Any]

NETS = ("efficientnet_lite0", "mobilenet_v1_075")
OURS = ("ours", "ours, rounded")
PEERS = ("NNCF default", "NNCF accurate bias correction")
SNR_TARGET, AGREEMENT_TARGET = 4.0, 1.5
INSTANCES = 20
PACE = Pace(rounds=2, block_ms=50.0, least_runs=4)


@dataclass(frozen=True)
class Case:
    """A float network, what calibrates it, (1, 3, H, W) each, and what judges it with its classes."""

    net: str
    model: Path
    images: list[Array]
    held_out: list[Array]
    labels: Array


def main() -> None:
    options = parser(__doc__).parse_args()
    data = needed_data()
    results = Results("int8", quick=options.quick, also=("nncf", "openvino", "timm", "torch"))
    for cases in (_of_imagenet, _of_cifar):
        with tempfile.TemporaryDirectory() as folder:
            for case in cases(data, Path(folder), quick=options.quick):
                _compare(results, case, Path(folder) / case.net, quick=options.quick)
    results.write()


def _of_imagenet(data: Path, folder: Path, *, quick: bool) -> Iterator[Case]:
    rule = _peers.preprocess_of("efficientnet_lite0")  # both networks take 224 of 256, in [-1, 1]
    pictures, labels = _imagenet.pictures(data / "imagenet1k", rule)
    calibrate, judge = _imagenet.split(len(labels), quick=quick)
    images, held_out = (_peers.normalised(pictures[part], rule) for part in (calibrate, judge))
    for net in NETS[:1] if quick else NETS:
        model = _peers.real_nchw(net, folder, data / "weights")
        yield Case(net, model, images, held_out, labels[judge])


def _of_cifar(data: Path, folder: Path, *, quick: bool) -> Iterator[Case]:
    (train, _), (test, labels) = (
        _cifar.pictures(data / "cls_cifar10" / f"{part}.npz") for part in ("train", "test")
    )
    count, judge = (20, 40) if quick else (_imagenet.CALIBRATE, len(test))
    images = _peers.normalised(train[:count], _cifar.RULE)
    held_out = _peers.normalised(test[:judge], _cifar.RULE)
    for net in list(_cifar.NETS)[:1] if quick else _cifar.NETS:
        model = _cifar.float_nchw(net, folder, data / "weights" / f"{net}.safetensors")
        yield Case(net, model, images, held_out, labels[:judge])


def _compare(results: Results, case: Case, folder: Path, *, quick: bool) -> None:
    folder.mkdir()
    made = {**_ours(case.model, case.images, folder), **_peers_of(case.model, case.images, folder)}
    reference = _logits(case.model, case.held_out, {"INFERENCE_PRECISION_HINT": "f32"})
    logits = {name: _logits(path, case.held_out) for name, path in made.items()}
    _report(results, case.net, reference, logits, case.labels)
    _latency(results, case.net, made, quick=quick)


def _ours(model: Path, images: list[Array], folder: Path) -> dict[str, Path]:
    narrow = devices.saturates(devices.load().find("local"))
    scheme = msgspec.structs.replace(schemes.find("openvino-cpu"), reduce_range=narrow)
    seen = observe.observe(model, images)
    paths = {name: folder / f"{name.replace(', ', '-')}.onnx" for name in OURS}
    place.quantize(model, seen, scheme, "default", paths["ours"])
    rounded = rounding.round_layers(model, images[: rounding.PICTURES], scheme)
    place.quantize(model, seen, scheme, "default", paths["ours, rounded"], rounded=rounded)
    return paths


def _peers_of(model: Path, images: list[Array], folder: Path) -> dict[str, Path]:
    found = {}
    for name, variant in zip(PEERS, ({}, {"fast_bias_correction": False}), strict=True):
        part = folder / name.replace(" ", "-")
        part.mkdir()
        found[name] = _peers.nncf_default(model, images, part, **variant)
    return found


def _logits(model: Path, images: list[Array], config: dict[str, str] | None = None) -> Array:
    request = ov.Core().compile_model(model, "CPU", config or {}).create_infer_request()
    return np.concatenate([request.infer([image])[0].copy() for image in images])


def _report(results: Results, net: str, reference: Array, logits: dict[str, Array], labels: Array) -> None:
    answers = reference.argmax(axis=1)
    results.row(f"{net}, top-1 f32", 100 * float((answers == labels).mean()), "%", n=len(labels))
    snr = {name: snr_db(reference, found) or math.inf for name, found in logits.items()}
    agrees = {name: found.argmax(axis=1) == answers for name, found in logits.items()}
    for name, found in logits.items():
        top = 100 * float((found.argmax(axis=1) == labels).mean())
        results.row(f"{net}, top-1 {name}", top, "%", n=len(labels))
        results.row(f"{net}, agreement {name}", 100 * float(agrees[name].mean()), "%", n=len(labels))
        results.row(f"{net}, output SNR {name}", snr[name], "dB", n=len(labels))
        results.keep(f"{net}/{name}", found.argmax(axis=1).tolist())
    for peer in PEERS:
        for own in OURS:
            tag = "B1 " if own == "ours" else ""
            gain = snr[own] - snr[peer]
            results.row(
                f"{tag}{net}, output SNR, {own} minus {peer}",
                gain,
                "dB",
                n=len(labels),
                target=f">= {SNR_TARGET:g}" if tag else None,
                met=gain >= SNR_TARGET if tag else None,
            )
            _imagenet.difference(
                results,
                f"{tag}{net}, agreement, {own} minus {peer}",
                agrees[own],
                agrees[peer],
                at_least=AGREEMENT_TARGET if tag else None,
            )


def _latency(results: Results, net: str, made: dict[str, Path], *, quick: bool) -> None:
    contenders = {
        name: Contender(opener="_openers:openvino_model", arguments={"path": str(made[name])})
        for name in (*OURS, PEERS[0])
    }
    count, pace = (2, Pace(rounds=1, block_ms=10)) if quick else (INSTANCES, PACE)
    found: Comparison = compare(
        contenders,
        baseline=PEERS[0],
        instances=count,
        most_instances=count,
        pace=pace,
        env={"PYTHONPATH": str(Path(__file__).parent)},
    )
    for name in OURS:
        ratio = found.ratio(name, PEERS[0])
        results.ratio(
            f"B1 {net}, latency, {name} / {PEERS[0]}",
            ratio=ratio.ratio,
            ci95=ratio.ci95,
            instances=ratio.instances,
            at_most=1.0,
        )


if __name__ == "__main__":
    main()
