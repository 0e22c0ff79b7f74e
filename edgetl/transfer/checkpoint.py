"""A trained network on disk: safetensors and JSON, nothing that can run code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file

from edgetl import digest
from edgetl.errors import InputError
from edgetl.tasks import Tasks
from edgetl.transfer import backbone
from edgetl.transfer.backbone import Net
from edgetl.types import BuildSpec, Preprocess, Record

__all__ = ["Checkpoint", "load", "samples", "save", "set_head"]

SCHEMA = 1
WEIGHTS = "model.safetensors"
RECORD = "checkpoint.json"
SAMPLES = "samples.npy"
HEAD = "head.npz"
"""A head alone, beside the network it belongs to, where a method fitted nothing else."""
FILES = (WEIGHTS, RECORD, SAMPLES, HEAD)
"""All that a checkpoint's folder may hold."""


class Checkpoint(Record, frozen=True, kw_only=True):
    """What is known of a trained network.

    Attributes
    ----------
    model : the name it was made by. method : how it was trained.
    normalisation : where mean and std come from.
    history : what training measured, one entry a step of the method.
    tasks : what the outputs answer, where that is not one class; ``classes`` then names each number of a row.
    weights : sha256 of ``model.safetensors``. initial_weights : what the training began from.
    """

    schema: int = SCHEMA
    model: str
    method: str
    classes: tuple[str, ...]
    preprocess: Preprocess
    normalisation: str
    initial_weights: str
    seed: int
    history: list[dict[str, Any]] = []
    choices: dict[str, Any] = {}
    weights: str = ""
    tasks: Tasks | msgspec.UnsetType = msgspec.UNSET


def save(net: Net, record: Checkpoint, pictures: npt.NDArray[np.uint8], folder: Path) -> Checkpoint:
    """Write a checkpoint into an empty folder.

    Parameters
    ----------
    pictures : uint8 (N, H, W, 3), a few real inputs, so that an export can prove parity on its own.

    Returns
    -------
    The record with the digest of the weights.
    """
    # a layer under two names is written twice: safetensors takes no tensors that share memory
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in net.state_dict().items()}
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
    np.save(folder / SAMPLES, pictures)
    whole = msgspec.structs.replace(record, weights=digest.of_file(folder / WEIGHTS))
    (folder / RECORD).write_bytes(digest.canonical_json(whole))
    return whole


def load(folder: Path) -> tuple[Net, Checkpoint]:
    """A checkpoint's network, in eval mode, and its record.

    Raises
    ------
    InputError : it is no checkpoint, of a newer schema, or its weights are not those that were written.
    """
    try:
        record = msgspec.json.decode((folder / RECORD).read_bytes(), type=Checkpoint)
    except OSError as error:
        raise InputError(
            f"{folder} is no checkpoint: it has no {RECORD}", hint="edgetl train writes one"
        ) from error
    except msgspec.DecodeError as error:
        raise InputError(
            f"{folder / RECORD} is not what edgetl train writes: {error}", hint="train again"
        ) from error
    if record.schema > SCHEMA:
        raise InputError(
            f"{folder} has schema {record.schema}, this edgetl reads up to {SCHEMA}", hint="a newer edgetl"
        )
    if not (folder / WEIGHTS).is_file() or digest.of_file(folder / WEIGHTS) != record.weights:
        raise InputError(
            f"{folder / WEIGHTS} is not the file that was written", hint="train again, or copy it again"
        )
    spec = BuildSpec(data="", model=record.model, weights="none", image_size=record.preprocess.height)
    net = backbone.create(spec, len(record.classes)).net
    net.load_state_dict(load_file(folder / WEIGHTS))
    return net.eval(), record


def samples(folder: Path) -> npt.NDArray[np.uint8]:
    """The pictures that a checkpoint carries, uint8 (N, H, W, 3)."""
    pictures: npt.NDArray[np.uint8] = np.load(folder / SAMPLES)
    return pictures


def set_head(net: Net, weight: npt.NDArray[np.float32], bias: npt.NDArray[np.float32]) -> None:
    """Put trained values into the head: float32 (classes, D) and (classes,)."""
    with torch.no_grad():
        net.head.weight.copy_(torch.from_numpy(weight))
        net.head.bias.copy_(torch.from_numpy(bias))
