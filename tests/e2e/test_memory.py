"""Memory does not grow with the pictures: what is kept of each is its name, its label and its digest."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.slow

FEW, MANY = 400, 3200
SIDE = 96
PER_PICTURE = 4 << 10
"""Bytes; a picture of the network's size alone has 27 KiB, and what is known of one takes about 1.5."""

CHECK_PREPARE_AND_TRAIN = """
import sys
from pathlib import Path
from edgetl import pipeline
from edgetl.cache import Cache
from edgetl.data import layout
from edgetl.pipeline import Context, Stage
from edgetl.stages import check, prepare
from edgetl.transfer import augment
from edgetl.transfer.policy import policy_of
from edgetl.types import Preprocess
import msgspec

source, cache = Path(sys.argv[1]), Path(sys.argv[2])
rule = Preprocess(height=96, width=96, mean=(0, 0, 0), std=(1, 1, 1))
dataset, root = layout.scan(source, seed=0), layout.source_root(source)
known = Stage("backbone", 1, (), {}, {}, lambda *_: {"preprocess": msgspec.to_builtins(rule)})
pipeline.run([check.stage(dataset, root), known, prepare.stage(root)], Cache(cache), Context())
augment.KEPT_BYTES = 1 << 20
train = [s for s in dataset.samples if s.role == "train"]
names, labels = [s.path for s in train], [s.label for s in train]
augmenter = augment.Augmenter(policy_of("default", flip=True), rule, 2)
for _ in augment.Batches(root, names, labels, augmenter, batch_size=32, seed=0).epoch(0):
    pass
"""


def sharded(out: Path, count: int) -> Path:
    """Pictures, no two alike, in shards of 400."""
    out.mkdir()
    rng = np.random.default_rng(count)
    for first in range(0, count, 400):
        with tarfile.open(out / f"{first:06d}.tar", "w") as packed:
            for number in range(first, min(first + 400, count)):
                coarse = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
                encoded = cv2.imencode(".jpg", cv2.resize(coarse, (SIDE, SIDE)))[1].tobytes()
                for name, data in ((f"{number}.jpg", encoded), (f"{number}.cls", b"01"[number % 2 :][:1])):
                    info = tarfile.TarInfo(name)
                    info.size = len(data)
                    packed.addfile(info, io.BytesIO(data))
    return out


def unpacked(shards: Path, out: Path) -> Path:
    """The same pictures in class folders."""
    for shard in sorted(shards.glob("*.tar")):
        with tarfile.open(shard) as packed:
            held = {member.name: packed.extractfile(member) for member in packed}
            for name, stream in held.items():
                label = held[name.replace(".jpg", ".cls")]
                if name.endswith(".jpg") and stream is not None and label is not None:
                    place = out / label.read().decode() / name
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_bytes(stream.read())
    return out


def peak_bytes(source: Path, cache: Path) -> int:
    """The most memory that a process held which checks, prepares and reads all pictures."""
    child = subprocess.Popen([sys.executable, "-c", CHECK_PREPARE_AND_TRAIN, str(source), str(cache)])
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    return used.ru_maxrss << 10


@pytest.mark.parametrize("kind", ["shards", "folders"])
def test_eight_times_the_pictures_take_the_same_memory(tmp_path: Path, kind: str) -> None:
    sources = [sharded(tmp_path / f"shards-{count}", count) for count in (FEW, MANY)]
    if kind == "folders":
        sources = [unpacked(source, tmp_path / f"folders-{source.name}") for source in sources]
    few, many = (peak_bytes(source, tmp_path / f"cache-{source.name}") for source in sources)
    assert (many - few) / (MANY - FEW) < PER_PICTURE, (few, many)
