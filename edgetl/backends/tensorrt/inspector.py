"""The engine inspector's JSON as layers: what each computes in, and which nodes it came from."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from edgetl.types import LayerInfo

__all__ = ["layers"]

PRECISIONS = (
    (r"\bint8\b", "i8"),
    (r"\bfp8\b", "f8"),
    (r"\bint4\b", "i4"),
    (r"\b(?:fp16|half)\b", "f16"),
    (r"\bbf16\b|\bbfloat16\b", "bf16"),
    (r"\b(?:fp32|float)\b", "f32"),
)
"""How its descriptions of formats name element types, and how edgetl does."""
REFORMAT = "Reformat"
_ORIGIN = re.compile(r"\[ONNX Layer: ([^\]]*)\]")


def layers(information: str, milliseconds: Mapping[str, float]) -> list[LayerInfo]:
    """The layers of an engine, in the order they run.

    Parameters
    ----------
    information : of a whole engine, as JSON. milliseconds : mean time by layer name, as the profiler reports it.
    """
    rows = json.loads(information).get("Layers", [])
    return [_layer(row if isinstance(row, dict) else {"Name": row}, milliseconds) for row in rows]


def _layer(row: Mapping[str, Any], milliseconds: Mapping[str, float]) -> LayerInfo:
    name = str(row.get("Name", ""))
    took = milliseconds.get(name)
    kind = str(row.get("LayerType", "unknown"))
    return LayerInfo(
        name=name,
        kind="Reorder" if kind == REFORMAT else kind,
        precision=_precision(row),
        microseconds=None if took is None else 1000 * took,
        kernel=str(row.get("TacticName", "")),
        origin=", ".join(_ORIGIN.findall(str(row.get("Metadata", "")))),
    )


def _precision(row: Mapping[str, Any]) -> str:
    """What a layer reads is what it computes in: an INT8 convolution may write FP16, and is one of INT8 still."""
    for tensor in [*row.get("Inputs", []), *row.get("Outputs", [])]:
        told = str(tensor.get("Format/Datatype", "")) if isinstance(tensor, dict) else ""
        for pattern, precision in PRECISIONS:
            if re.search(pattern, told, re.IGNORECASE):
                return precision
    return "unknown"
