"""backbone: the named network with its pretrained weights, exported up to its features."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from edgetl import digest, models
from edgetl.errors import InputError
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.types import BuildSpec

__all__ = ["FEATURES", "identity", "is_random", "network_of", "stage", "versions", "versions_of"]

FEATURES = "features.onnx"
BY_STATISTICS = ("adabn", "tent")
"""Ways of adapting that take the statistics of batch normalisation, and nothing else, from the target."""


def identity(spec: BuildSpec) -> dict[str, Any]:
    """What makes the starting network: name and code, the identity of its weights, and what the user said of pixels.

    Raises
    ------
    InputError : the weights file is not there.
    """
    card = models.find(spec.model)
    if spec.weights == "DEFAULT" and is_random(spec):
        weights = f"DEFAULT, which are random, seed {spec.seed}"
    elif spec.weights == "DEFAULT":
        weights = f"DEFAULT {card.weights_file} {card.weights}" if card else f"DEFAULT {spec.model}"
    elif spec.weights == "none":
        weights = f"none, seed {spec.seed}"
    else:
        path = Path(spec.weights)
        if not path.is_file():
            raise InputError(
                f"no such weights file: {path}", hint="--weights FILE, DEFAULT or none", path=str(path)
            )
        beside = path.with_suffix(".json")
        weights = digest.of_file(path) + (digest.of_file(beside) if beside.is_file() else "")
    return {
        "model": spec.model,
        "network": network_of(spec),
        "weights": weights,
        "mean": spec.mean,
        "std": spec.std,
        "image_size": spec.image_size,
        "crop": spec.crop,
    }


def network_of(spec: BuildSpec) -> str:
    """What tells a network from another of its name; empty for timm's, which its version tells."""
    card = models.find(spec.model)
    if card is not None:
        return card.signature
    return "" if spec.model.startswith("timm/") else models.code(spec.model)


def is_random(spec: BuildSpec) -> bool:
    """Whether the network starts from weights that were never trained."""
    if spec.weights != "DEFAULT":
        return spec.weights == "none"
    card = models.find(spec.model)
    return not card.weights if card is not None else not spec.model.startswith("timm/")


def versions_of(*names: str) -> dict[str, str]:
    """Versions of libraries that shape a result, without importing them."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def versions(spec: BuildSpec) -> dict[str, str]:
    """Libraries that shape a network and its graph."""
    names = ["torch", "torchvision", "onnx", "onnxscript"] + (
        ["timm"] if spec.model.startswith("timm/") else []
    )
    return versions_of(*names)


def stage(spec: BuildSpec, *, with_features: bool, cast_first: bool = False) -> Stage:
    """Build the network; ``with_features`` also exports its body, which the feature method runs as an engine.

    Raises, when it runs, where the request adapts by a way that does not fit the network: before it is trained.

    Parameters
    ----------
    cast_first : as TensorRT wants its pixels (``export.export_features``).
    """

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        from edgetl import export
        from edgetl.transfer import backbone

        made = backbone.create(spec, classes=2, on_note=ctx.progress.note)
        if wants_norms:
            from edgetl.transfer import adabn

            adabn.norms(made.net, spec.model)
        record: dict[str, Any] = {}
        if with_features:
            batch: export.Batch = "dynamic" if spec.batch == "dynamic" else 1
            report = export.export_features(
                made.net.body, made.preprocess, out / FEATURES, batch=batch, cast_first=cast_first
            )
            record = msgspec.to_builtins(report)
        size = made.preprocess.width
        return {
            "summary": f"{spec.model}, {size} x {size}, normalisation: {made.normalisation}",
            "preprocess": msgspec.to_builtins(made.preprocess),
            "normalisation": made.normalisation,
            "notes": list(made.notes),
            "export": record,
        }

    options = {**identity(spec), "features": with_features, "dynamic": spec.batch == "dynamic"}
    options |= {"cast_first": True} if cast_first else {}
    wants_norms = spec.adapt is not None and spec.adapt_method in BY_STATISTICS
    options |= {"wants_norms": True} if wants_norms else {}
    return Stage("backbone", 2, (), options, versions(spec), run)
