"""How the network was trained, beside its engine: its teacher, the spread over seeds, what the transfer brought."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from edgetl.pipeline import Artifact
from edgetl.types import BuildSpec

__all__ = ["facts", "lines", "notes"]


def facts(spec: BuildSpec, artifacts: Mapping[str, Artifact]) -> dict[str, Any]:
    """What the method found on its way, its ``teacher``, its ``seeds`` and what it ``compare``s to; each if it was."""
    found = dict(artifacts["train"].record.get("training", {}))
    if "teacher" in artifacts:
        found["teacher"] = _teacher(spec, artifacts["teacher"].record)
    if "compare" in artifacts:
        found["compare"] = artifacts["compare"].record["found"]
    return found


def _teacher(spec: BuildSpec, record: Mapping[str, Any]) -> dict[str, Any]:
    """Named without the folders above it, for a bundle holds no path of this machine."""
    given = None if spec.teacher is None else PurePath(spec.teacher).name
    sentence = record["summary"]
    if given is None:
        sentence = f"none was given, so {sentence}, was trained first"
    return {"given": given, "select_accuracy": record["select_accuracy"], "sentence": sentence}


def notes(artifacts: Mapping[str, Artifact]) -> list[str]:
    """What a user should know of the pictures, the backbone, the training, and the frames that it was adapted to."""
    told = [
        *artifacts["backbone"].record.get("notes", ()),
        *artifacts["check"].record["warnings"],
        *artifacts["train"].record.get("notes", ()),
    ]
    if "domain" in artifacts:
        told += [*artifacts["domain"].record["warnings"], *artifacts["adapt"].record["notes"]]
    return told


def lines(result: Mapping[str, Any]) -> list[str]:
    """What the summary says of it; nothing of a plain training."""
    told, out = result["training"], []
    if "picked" in told:
        out.append(f"  auto    took {told['picked']}: {told['why']}")
    if "teacher" in told:
        out.append(f"  teacher {told['teacher']['sentence']}")
    if "seeds" in told:
        out.append(f"  seeds   {told['seeds']['sentence']}")
    if "compare" in told:
        first, *rest = told["compare"]["sentences"]
        out += [f"  compare {first}", *(f"          {line}" for line in rest)]
    return out
