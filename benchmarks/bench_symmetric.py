"""B2: what our `tensorrt` scheme (int8, zero point 0) keeps of the float answers, against the peers' symmetric INT8.

Networks with real ImageNet weights; 300 of the shared pictures calibrate every contender, the other 700 judge it. No
TensorRT is here, so ONNX Runtime stands in, without optimisations: every Q/DQ pair is computed as ONNX defines it and
everything between in float32, which is exact, the same for every contender, and nothing of a processor's integer
kernels. ``ours`` is what ``edgetl build`` makes first, ``ours, rounded`` what the first rung of its ladder makes. The
peers are ONNX Runtime's ``quantize_static`` (int8, symmetric, a scale for each channel) and ModelOpt's ONNX PTQ with
its defaults but float32 for the rest, which no peer's noise then comes from. ModelOpt brings an ONNX Runtime of its
own: it runs in the interpreter of another environment, named by ``--modelopt-python``.
"""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import _imagenet
import _peers
import numpy as np
import numpy.typing as npt
import onnxruntime
from _results import Results, needed_data, parser
from onnxruntime.quantization import QuantType

from edgetl.quantize import observe, place, rounding, schemes
from edgetl.verify.accuracy import snr_db

Array = npt.NDArray[Any]

NETS = ("efficientnet_lite0", "mobilenet_v1_075")
OURS = ("ours", "ours, rounded")
ASYMMETRIC = {"ours": "asymmetric", "ours, rounded": "asymmetric, rounded"}
"""The `openvino-cpu` scheme, made in the same two ways."""
ORT, MODELOPT = "ONNX Runtime symmetric", "ModelOpt"
PEERS = (ORT, MODELOPT)
SNR_TARGET, AGREEMENT_TARGET = 3.0, -1.0


def main() -> None:
    options = parser(__doc__)
    options.add_argument(
        "--modelopt-python", default=sys.executable, help="interpreter that has nvidia-modelopt"
    )
    given = options.parse_args()
    data = needed_data()
    results = Results("symmetric", quick=given.quick, also=("timm", "torch"))
    rule = _peers.preprocess_of("efficientnet_lite0")  # both networks take 224 of 256, in [-1, 1]
    pictures, labels = _imagenet.pictures(data / "imagenet1k", rule)
    calibrate, judge = _imagenet.split(len(labels), quick=given.quick)
    images = _peers.normalised(pictures[calibrate], rule)
    held_out = _peers.normalised(pictures[judge], rule)
    for net in NETS[:1] if given.quick else NETS:
        with tempfile.TemporaryDirectory() as folder:
            model = _peers.real_nchw(net, Path(folder), data / "weights")
            made = _ours(model, images, Path(folder))
            made[ORT] = _peers.ort_static(
                model,
                images,
                Path(folder),
                activation_type=QuantType.QInt8,
                per_channel=True,
                extra_options={"ActivationSymmetric": True},
            )
            absent = _modelopt(given.modelopt_python, model, images, Path(folder), made)
            reference = _logits(model, held_out)
            logits = {name: _logits(path, held_out) for name, path in made.items()}
            _report(results, net, reference, logits, labels[judge], absent)
    results.write()


def _ours(model: Path, images: list[Array], folder: Path) -> dict[str, Path]:
    """Both schemes, each with weights rounded to the nearest and by what their layer answers."""
    seen = observe.observe(model, images)
    made: dict[str, Path] = {}
    for scheme_name, names in (("tensorrt", OURS), ("openvino-cpu", tuple(ASYMMETRIC.values()))):
        scheme = schemes.find(scheme_name)
        rounded = rounding.round_layers(model, images[: rounding.PICTURES], scheme)
        for name, integers in zip(names, ({}, rounded), strict=True):
            made[name] = folder / f"{name.replace(', ', '-')}.onnx"
            place.quantize(model, seen, scheme, "default", made[name], rounded=integers)
    return made


def _modelopt(python: str, model: Path, images: list[Array], folder: Path, made: dict[str, Path]) -> str:
    """Let ModelOpt quantize the model as its documentation calls it; why it could not, where it could not."""
    pictures, target = folder / "calibration.npy", folder / "modelopt.onnx"
    np.save(pictures, np.concatenate(images))
    asked: dict[str, object] = {"onnx_path": model, "calibration_data_path": pictures, "output_path": target}
    asked |= {"quantize_mode": "int8", "calibration_eps": "cpu", "high_precision_dtype": "fp32"}
    words = [word for name, value in asked.items() for word in (f"--{name}", str(value))]
    command = [python, "-m", "modelopt.onnx.quantization", *words]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    if told.returncode or not target.exists():
        return (told.stderr.strip().splitlines() or ["no output file"])[-1]
    made[MODELOPT] = target
    return ""


def _logits(model: Path, images: list[Array]) -> Array:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    feed = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {feed: image})[0] for image in images])


def _report(
    results: Results, net: str, reference: Array, logits: dict[str, Array], labels: Array, absent: str
) -> None:
    snr = {name: snr_db(reference, found) or math.inf for name, found in logits.items()}
    agrees = {name: found.argmax(axis=1) == reference.argmax(axis=1) for name, found in logits.items()}
    for name, found in logits.items():
        top = 100 * float((found.argmax(axis=1) == labels).mean())
        results.row(f"{net}, top-1 {name}", top, "%", n=len(labels))
        results.row(f"{net}, agreement {name}", 100 * float(agrees[name].mean()), "%", n=len(labels))
        results.row(f"{net}, output SNR {name}", snr[name], "dB", n=len(labels))
        results.keep(f"{net}/{name}", found.argmax(axis=1).tolist())
    for own in OURS:
        tag = "B2 " if own == "ours" else ""
        for peer in PEERS:
            what, target = (
                f"{tag}{net}, output SNR, {own} minus {peer}",
                f">= {SNR_TARGET:g}" if tag else None,
            )
            if peer not in snr:
                results.row(what, None, "dB", target=target, note=f"ModelOpt did not run: {absent}")
                continue
            gain = snr[own] - snr[peer]
            met = gain >= SNR_TARGET if tag else None
            results.row(what, gain, "dB", n=len(labels), target=target, met=met)
            _imagenet.difference(results, f"{net}, agreement, {own} minus {peer}", agrees[own], agrees[peer])
        _imagenet.difference(
            results,
            f"{tag}{net}, agreement, {own} minus {ASYMMETRIC[own]}",
            agrees[own],
            agrees[ASYMMETRIC[own]],
            at_least=AGREEMENT_TARGET if tag else None,
        )


if __name__ == "__main__":
    main()
