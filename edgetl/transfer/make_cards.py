"""Write ``edgetl/models/cards.json`` from what torchvision says of its classification models.

Run after a torchvision upgrade: ``python -m edgetl.transfer.make_cards``.
"""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import torchvision
from torch import nn

import edgetl.models

__all__ = ["card", "main"]


def card(name: str) -> dict[str, Any]:
    """The card of one torchvision model, by its default weights."""
    weights = torchvision.models.get_model_weights(name).DEFAULT
    rule = weights.transforms()
    size = rule.crop_size[0]
    crop = Fraction(size, rule.resize_size[0])
    return {
        "name": name,
        "params": weights.meta["num_params"],
        "gmacs": weights.meta["_ops"],
        "image_size": size,
        "crop": [crop.numerator, crop.denominator],
        "mean": list(rule.mean),
        "std": list(rule.std),
        "weights": weights.name,
        "weights_file": weights.url.rpartition("/")[2],
        "weights_mb": weights.meta["_file_size"],
        **_recognised(name),
    }


def _recognised(name: str) -> dict[str, str]:
    """The head's name and the signature of the rest; squeezenet's published head is a convolution."""
    kwargs = {"init_weights": False} if name in ("inception_v3", "googlenet") else {}
    module = torchvision.models.get_model(name, weights=None, **kwargs)
    layers = [n for n, m in module.named_modules() if type(m) is nn.Linear] or ["classifier.1"]
    shapes = {n: tuple(t.shape) for n, t in module.state_dict().items()}
    return {"head": layers[-1], "signature": edgetl.models.signature(shapes, layers[-1])}


def main() -> None:
    """Write the file."""
    names = torchvision.models.list_models(module=torchvision.models)
    names = [name for name in names if not name.startswith("quantized")]
    body = ",\n".join(json.dumps(card(name)) for name in sorted(names))
    Path(edgetl.models.__file__).with_name("cards.json").write_text(f"[\n{body}\n]\n")


if __name__ == "__main__":
    main()
