"""What an engine says of a picture, as ``edgetl predict`` gives it."""

from __future__ import annotations

from typing import Any

from edgetl.runtime import Answers, Prediction, Value

__all__ = ["data", "lines"]


def data(answer: Prediction | Answers) -> dict[str, Any]:
    """For ``--json``: a class with its probability; of several tasks ``outputs``, by their names."""
    if isinstance(answer, dict):
        return {"outputs": {name: _one(of) for name, of in answer.items()}}
    return _class(answer)


def _one(answer: Prediction | Value) -> dict[str, Any]:
    return {"value": answer.value} if isinstance(answer, Value) else _class(answer)


def _class(answer: Prediction) -> dict[str, Any]:
    return {
        "label": answer.label,
        "probability": answer.probability,
        "top_k": [{"label": label, "probability": p} for label, p in answer.top_k],
    }


def lines(file: str, answer: Prediction | Answers) -> list[str]:
    """For the terminal: one line, or one for each task."""
    if not isinstance(answer, dict):
        return [f"{file}: {_said(answer)}"]
    wide = max(map(len, answer))
    return [f"{file}:", *(f"  {name:<{wide}}  {_said(of)}" for name, of in answer.items())]


def _said(answer: Prediction | Value) -> str:
    if isinstance(answer, Value):
        return f"{answer.value:.4g}"
    others = ", ".join(f"{label} {100 * p:.1f} %" for label, p in answer.top_k if label != answer.label)
    return f"{answer.label} {100 * answer.probability:.1f} %" + (f"   ({others})" if others else "")
