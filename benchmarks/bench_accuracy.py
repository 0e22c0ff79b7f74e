"""A3: what INT8 costs in accuracy, ours against NNCF's default and ONNX Runtime's static quantization.

efficientnet_lite0 on the ImageNet pictures of the shared data: ``default_rng(0).permutation(1000)``, the first 300
calibrate every contender, the other 700 judge it. All get the same pixels (the project's resize rule), all run as
engines of OpenVINO's CPU plugin, and are held against the float engine in f32.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _imagenet
import _peers
import numpy as np
import numpy.typing as npt
import openvino as ov
from _results import Results, needed_data, parser

from edgetl import devices
from edgetl.verify.accuracy import snr_db

Array = npt.NDArray[Any]

NAME = "efficientnet_lite0"
ALLOWED = 0.5
"""Points that ours may be below NNCF."""


def main() -> None:
    options = parser(__doc__).parse_args()
    data = needed_data()
    results = Results(
        "accuracy", quick=options.quick, also=("nncf", "openvino", "onnxruntime", "timm", "torch")
    )
    pictures, labels = _imagenet.pictures(data / "imagenet1k", _peers.preprocess_of(NAME))
    calibrate, judge = _imagenet.split(len(labels), quick=options.quick)
    with tempfile.TemporaryDirectory() as place:
        engines = _contenders(Path(place), data / f"weights/{NAME}_imagenet.safetensors", pictures[calibrate])
        logits = {name: np.concatenate([run(i) for i in pictures[judge]]) for name, run in engines.items()}
    _report(results, logits, labels[judge])
    results.write()


def _contenders(folder: Path, weights: Path, pictures: Array) -> dict[str, Callable[[Array], Array]]:
    """Engines by name; each takes one picture, uint8 (H, W, 3), and gives its logits (1, 1000)."""
    pixels = _peers.float_model(NAME, folder, weights)
    planes = _peers.float_nchw(NAME, folder, weights)
    rule = _peers.preprocess_of(NAME)
    images = _peers.normalised(pictures, rule)
    core = ov.Core()

    def engine(
        model: Path, *, planar: bool, config: dict[str, str] | None = None
    ) -> Callable[[Array], Array]:
        compiled = core.compile_model(model, "CPU", config or {})

        def run(picture: Array) -> Array:
            fed = _peers.normalised(picture[None], rule)[0] if planar else picture[None]
            answer: Array = compiled([fed])[0].copy()
            return answer

        return run

    narrow = {"per_channel": True, "reduce_range": devices.saturates(devices.load().find("local"))}
    return {
        "f32": engine(pixels, planar=False, config={"INFERENCE_PRECISION_HINT": "f32"}),
        "ours": engine(_peers.ours(pixels, pictures, folder), planar=False),
        "NNCF default": engine(_peers.nncf_default(planes, images, folder), planar=True),
        "ORT static": engine(_peers.ort_static(planes, images, folder), planar=True),
        "ORT static, per channel, half range without VNNI": engine(
            _peers.ort_static(planes, images, folder, **narrow), planar=True
        ),
    }


def _report(results: Results, logits: dict[str, Array], labels: Array) -> None:
    float_answers = logits["f32"].argmax(axis=1)
    right = {name: found.argmax(axis=1) == labels for name, found in logits.items()}
    agrees = {name: found.argmax(axis=1) == float_answers for name, found in logits.items()}
    for name, found in logits.items():
        results.keep(name, found.argmax(axis=1).tolist())
        results.row(f"top-1 {name}", *_percent(right[name]), n=len(labels))
        if name != "f32":
            results.row(f"agreement with f32 {name}", *_percent(agrees[name]), n=len(labels))
            results.row(f"output SNR {name}", snr_db(logits["f32"], found), "dB", n=len(labels))
    results.keep("labels", labels.tolist())
    for peer in [name for name in logits if name not in ("f32", "ours")]:
        tag = "A3 " if peer == "NNCF default" else ""
        for what, flags in (("top-1", right), ("agreement with f32", agrees)):
            _imagenet.difference(
                results,
                f"{tag}{what}, ours minus {peer}",
                flags["ours"],
                flags[peer],
                at_least=-ALLOWED if tag else None,
            )


def _percent(flags: Array) -> tuple[float, str]:
    return 100.0 * float(flags.mean()), "%"


if __name__ == "__main__":
    main()
