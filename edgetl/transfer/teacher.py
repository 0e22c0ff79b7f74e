"""Teachers: a checkpoint's network, or the float graph of a bundle; in eval mode, without gradients, never saved."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from torch import Tensor

from edgetl.transfer import checkpoint
from edgetl.transfer.augment import normalise
from edgetl.transfer.backbone import Net
from edgetl.transfer.fastpath import FastPath
from edgetl.transfer.taught import Teacher
from edgetl.types import Preprocess

__all__ = ["GRAPH", "PREPROCESS", "GraphTeacher", "NetTeacher", "classes_of", "load"]

GRAPH = "teacher.onnx"
PREPROCESS = "preprocess.json"


class NetTeacher:
    """A trained network.

    Parameters
    ----------
    path : the arithmetic and layout of the student's training; it serves the teacher's forward pass too.
    """

    def __init__(self, net: Net, preprocess: Preprocess, path: FastPath) -> None:
        self.preprocess = preprocess
        self._path = path
        form = torch.channels_last if path.channels_last else torch.contiguous_format
        self._net = net.eval().requires_grad_(False).to(path.device).to(memory_format=form)

    @torch.no_grad()  # answers of inference mode could not stand in a loss
    def answers(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and embeddings of pictures (N, 3, H, W), 0 to 255."""
        with self._path.cast():
            features = self._net.body(self._path.place(normalise(pictures, self.preprocess)))
            logits = self._net.head(features)
        return logits.float(), features.float()


class GraphTeacher:
    """A graph that takes pixels, uint8 (N, H, W, 3), and answers logits and what its last layer reads."""

    def __init__(self, graph: Path, preprocess: Preprocess, threads: int) -> None:
        self.preprocess = preprocess
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # torch has the cores next
        self._session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        (self._input,) = self._session.get_inputs()

    def answers(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and embeddings of pictures (N, 3, H, W), 0 to 255."""
        whole = pictures if pictures.dtype == torch.uint8 else pictures.round().to(torch.uint8)  # mixed ones
        pixels = whole.permute(0, 2, 3, 1).contiguous().numpy()
        rows = self._input.shape[0]
        rows = rows if isinstance(rows, int) else len(pixels)
        parts = []
        for start in range(0, len(pixels), rows):
            part = pixels[start : start + rows]
            count = len(part)
            filled = np.resize(part, (rows, *part.shape[1:]))
            logits, features = self._session.run(None, {self._input.name: filled})
            parts.append((logits[:count], features.reshape(*features.shape[:2], -1).mean(axis=2)[:count]))
        logits, features = (torch.from_numpy(np.concatenate(side)) for side in zip(*parts))
        return logits, features


def classes_of(teacher: Teacher, pictures: npt.NDArray[np.uint8]) -> list[int]:
    """What a teacher calls pictures, uint8 (N, H, W, 3) of its size."""
    logits, _ = teacher.answers(torch.from_numpy(pictures).permute(0, 3, 1, 2))
    found: list[int] = logits.argmax(dim=1).tolist()
    return found


def load(folder: Path, path: FastPath, threads: int) -> Teacher:
    """The teacher that the stage of that name left."""
    if (folder / GRAPH).exists():
        preprocess = msgspec.json.decode((folder / PREPROCESS).read_bytes(), type=Preprocess)
        return GraphTeacher(folder / GRAPH, preprocess, threads)
    net, record = checkpoint.load(folder)
    return NetTeacher(net, record.preprocess, path)
