"""A bundle made by hand: a classifier of colours whose weights follow from its classes, so nothing is trained.

Its logits are those of the nearest class centre after normalisation: right only with the right normalisation,
the right channel order and the right labels, which is what the judges' tests break.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgetl import digest, testing
from edgetl.backends import seam
from edgetl.data import layout
from edgetl.devices import DeviceProfile
from edgetl.runtime import bundle
from edgetl.types import Engine
from edgetl.verify.accuracy import logits_of

CENTRES = {
    "blue": (0.2, 0.2, 0.7),
    "brown": (0.5, 0.35, 0.2),
    "dark": (0.2, 0.2, 0.2),
    "green": (0.2, 0.7, 0.2),
    "grey": (0.45, 0.45, 0.45),
    "light": (0.7, 0.7, 0.7),
    "red": (0.7, 0.2, 0.2),
}
"""Mean colour of each class, RGB where white is 1.0; sorted, as a scan sorts them.

The ones in the middle are lost where the normalisation is another: the outer ones take them."""
RULE = testing.RULE
TEST_IMAGES = 16
"""Of each class."""


def picture(name: str, seed: int) -> np.ndarray:
    """A noisy picture of a class, uint8 RGB."""
    rng = np.random.default_rng((seed, list(CENTRES).index(name)))
    centre = np.array(CENTRES[name]) + rng.normal(0, 0.03, 3)
    return (255 * np.clip(centre + rng.normal(0, 0.1, (RULE.height, RULE.width, 3)), 0, 1)).astype(np.uint8)


def write_pictures(root: Path) -> Path:
    """``train/`` and ``test/`` above a folder for each class."""
    for role, count, first in (("train", 6, 0), ("test", TEST_IMAGES, 1000)):
        for name in CENTRES:
            folder = root / role / name
            folder.mkdir(parents=True)
            for number in range(count):
                bgr = np.ascontiguousarray(picture(name, first + number)[..., ::-1])
                assert cv2.imwrite(str(folder / f"{number:03d}.png"), bgr)
    return root


def write_model(file: Path, *, batch: int | str = 1) -> Path:
    """The classifier as ONNX."""
    return testing.tiny_model(file, rule=RULE, colours=list(CENTRES.values()), batch=batch)


def write_bundle(
    folder: Path, data: Path, *, backend: str = "openvino", pending: bundle.Pending | None = None
) -> Path:
    """A sealed bundle of the classifier, with the figures that a build would have stored."""
    folder.mkdir(parents=True)
    model = write_model(folder / "model.fp32.onnx")
    profile = DeviceProfile(name="by-hand", backend=backend, precision="default")
    pictures = np.stack([picture(name, 2000) for name in CENTRES])
    (folder / "engine").mkdir()
    engine = seam.find(backend).compile(model, profile, folder / "engine")
    session = seam.find(backend).open(engine, folder / "engine")
    answers = logits_of(session, pictures)
    session.close()
    if pending is None:
        (folder / bundle.ENGINE).write_bytes(digest.canonical_json(engine))
    else:
        shutil.rmtree(folder / "engine")
    np.savez(folder / bundle.GOLDEN, inputs=pictures, logits=answers, logits_f32=answers)
    accuracy = {"fp32": 1.0, "shipped": 1.0, "budget_pt": 1.0, "n": TEST_IMAGES * len(CENTRES)}
    for name, content in (
        (bundle.LABELS, tuple(CENTRES)),
        (bundle.PREPROCESS, RULE),
        (bundle.RESULTS, {"accuracy": accuracy}),
    ):
        (folder / name).write_bytes(digest.canonical_json(content))
    facts = bundle.Manifest(
        schema=bundle.SCHEMA,
        name="colours",
        created="2026-01-01T00:00:00Z",
        device="by-hand",
        backend=backend,
        precision="default",
        task="classify",
        model="colours",
        method="by hand",
        seed=0,
        data=dict(layout.scan(data, seed=0).role_digests()),
        versions={},
        pending=pending,
        files={},
    )
    bundle.seal(folder, facts)
    return folder


def zero_weights(folder: Path) -> None:
    """Put an engine of the same shape, whose every weight is zero, in place of a bundle's."""
    model = onnx.load(folder / "model.fp32.onnx")
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(np.zeros(tensor.dims, np.float32), tensor.name))
    _replace_engine(folder, model)


def swap_channels(folder: Path) -> None:
    """Put an engine in place of a bundle's that takes blue, green and red where that takes red, green and blue."""
    model = onnx.load(folder / "model.fp32.onnx")
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(np.array([2, 1, 0]), "backwards"))
    planes = next(node for node in graph.node if node.op_type == "Transpose")
    turned = helper.make_node("Gather", ["planes", "backwards"], ["turned"], axis=1)
    next(node for node in graph.node if "planes" in node.input).input[0] = "turned"
    graph.node.insert(list(graph.node).index(planes) + 1, turned)
    _replace_engine(folder, model)


def _replace_engine(folder: Path, model: onnx.ModelProto) -> None:
    changed = folder / "changed.onnx"
    onnx.save(model, changed)
    stored = msgspec.json.decode((folder / bundle.ENGINE).read_bytes(), type=Engine)
    profile = DeviceProfile(name="by-hand", backend=stored.backend, precision="default")
    seam.find(stored.backend).compile(changed, profile, folder / "engine")
    changed.unlink()


def reseal(folder: Path) -> Path:
    """Make the manifest true again after a part was changed: only measuring can tell then."""
    stored = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=bundle.Manifest)
    facts = msgspec.structs.replace(stored, files={}, sha256="")
    (folder / "manifest.json").unlink()
    bundle.seal(folder, facts)
    return folder
