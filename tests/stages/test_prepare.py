"""Pictures of the network's size, on disk."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from edgetl import digest
from edgetl.data import layout
from edgetl.data.decode import read_image
from edgetl.pipeline import Artifact, Context
from edgetl.runtime import preprocess as rule
from edgetl.stages import prepare
from edgetl.stages.check import DATASET
from edgetl.types import ROLES, Preprocess
from tests.data.pictures import folders


def test_each_role_is_an_array_of_its_pictures_in_order(tmp_path: Path) -> None:
    root = folders(tmp_path / "pictures", {"ants": 9, "bees": 8})
    dataset = layout.scan(root, seed=0)
    wanted = Preprocess(height=20, width=24, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    (tmp_path / "check").mkdir()
    (tmp_path / "check" / DATASET).write_bytes(digest.canonical_json(dataset))
    inputs = {
        "check": Artifact(tmp_path / "check", {}, ""),
        "backbone": Artifact(tmp_path, {"preprocess": msgspec.to_builtins(wanted)}, ""),
    }
    (tmp_path / "out").mkdir()
    prepare.stage(root).run(inputs, tmp_path / "out", Context())
    made = Artifact(tmp_path / "out", {}, "")
    for role in ROLES:
        chosen = [s for s in dataset.samples if s.role == role]
        found = prepare.images(made, role)
        assert found.dtype == np.uint8 and found.shape == (len(chosen), 20, 24, 3)
        assert prepare.labels(made, role).tolist() == [s.label for s in chosen]
        for sample, picture in zip(chosen, found):
            assert np.array_equal(picture, rule.apply(read_image(root / sample.path), wanted))
