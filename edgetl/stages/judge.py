"""judge: what INT8 is fitted to and held to, where the network was fitted to another place.

Pictures of the source say little of a network with the target's statistics: it recognises few of them, and what INT8
costs there is noise. So frames of the target calibrate (on ResNet-20 in fog and at night, 5 to 8 dB less noise of the
logits than with the source's pictures), and others decide between candidates. These have no labels, or none that may
decide; each gets one that is drawn from the probabilities of the f32 engine. In expectation the drop is then what f32
itself believes to be lost: an answer that changes where f32 was in two minds costs little, one that changes where it
was sure costs all. Accuracy is reported by true labels alone: those of the target where there are any, else those of
the source's test images.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl import digest
from edgetl.backends import seam
from edgetl.data import frames as target
from edgetl.data.layout import Dataset
from edgetl.devices import DeviceProfile
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.stages import check, domain, prepare
from edgetl.verify.accuracy import logits_of_model

__all__ = ["NAME", "drawn_labels", "stage"]

NAME = "judge"
SHARE = 3
"""One frame in so many decides; the others calibrate."""


def stage(profile: DeviceProfile, host: Mapping[str, str], seed: int) -> Stage:
    """Arrays of every role, laid out as ``prepare`` lays out its own: ``train`` and ``select`` are target frames."""
    asked = msgspec.structs.replace(profile, precision="f32")

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        frames = prepare.images(inputs[domain.NAME], "train")
        order = np.random.default_rng(seed).permutation(len(frames))
        cut = max(1, len(frames) // SHARE)
        decide, fit = (np.ascontiguousarray(frames[np.sort(rows)]) for rows in (order[:cut], order[cut:]))
        believed = logits_of_model(inputs["export"].path / "model.onnx", asked, decide)
        reported, dataset = _reported(inputs)
        for role, pictures, labels in (
            ("train", fit, np.zeros(len(fit), np.int64)),
            ("select", decide, drawn_labels(believed, seed)),
            ("test", prepare.images(reported, "test"), prepare.labels(reported, "test")),
        ):
            np.save(out / f"{role}.npy", pictures)
            np.save(out / f"{role}.labels.npy", labels)
        (out / check.DATASET).write_bytes(digest.canonical_json(dataset))
        of = (
            "labelled target frames"
            if reported is inputs[domain.NAME]
            else "test images of the labelled data"
        )
        return {
            "summary": f"{cut} target frames decide, by what f32 believes; {len(dataset.samples)} {of} report",
            "preprocess": inputs["prepare"].record["preprocess"],
            "train_is": "target frames",
            "classes": inputs["check"].record["classes"],
            "role_digests": {"test": dataset.role_digests()["test"]},
        }

    options = {"seed": seed, "threads": profile.threads, "host": dict(host)}
    needs = ("check", "prepare", domain.NAME, "export")
    return Stage(NAME, 1, needs, options, seam.find(asked.backend).fingerprint(), run)


def drawn_labels(logits: npt.NDArray[np.float32], seed: int) -> npt.NDArray[np.int64]:
    """A class for each row of logits (N, classes), drawn from its softmax: int64 (N,)."""
    shares = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True)).cumsum(axis=1)
    places = np.random.default_rng(seed).random((len(logits), 1)) * shares[:, -1:]
    labels: npt.NDArray[np.int64] = (places >= shares).sum(axis=1)
    return labels


def _reported(inputs: Mapping[str, Artifact]) -> tuple[Artifact, Dataset]:
    """The artifact whose ``test`` arrays have true labels, and which pictures they are."""
    source = check.dataset_of(inputs["check"])
    frames = domain.measured(inputs[domain.NAME])
    if not frames:
        kept = tuple(sample for sample in source.samples if sample.role == "test")
        return inputs["prepare"], msgspec.structs.replace(source, samples=kept)
    return inputs[domain.NAME], msgspec.structs.replace(source, samples=target.tested(frames), grouped_by="")
