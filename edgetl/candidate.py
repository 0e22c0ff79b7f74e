"""Names of what is compiled and compared: a precision, with ``@backend`` where it is not the profile's own."""

from __future__ import annotations

__all__ = ["BASELINE", "CANDIDATES", "backend_of", "fused_file", "precision_of", "spoken"]

CANDIDATES = ("f32", "default", "int8")
BASELINE = "default"
"""What the others are timed against: the precision that a runtime takes when nobody asks for one."""


def precision_of(candidate: str) -> str:
    """The precision: ``int8`` of ``int8`` and of ``int8@onnxruntime``."""
    return candidate.partition("@")[0]


def backend_of(candidate: str, own: str) -> str:
    """The backend that a candidate names, or else the profile's ``own``."""
    return candidate.partition("@")[2] or own


def fused_file(model: str) -> str:
    """The name of a model's file with its head in one node.

    >>> fused_file("model.int8.onnx")
    'model.int8.fused.onnx'
    """
    return f"{model.removesuffix('.onnx')}.fused.onnx"


def spoken(candidate: str) -> str:
    """A candidate's name in a sentence.

    >>> spoken("int8@onnxruntime")
    'int8 on onnxruntime'
    """
    return candidate.replace("@", " on ")
