"""Layer by layer: the one that INT8 ruins comes first, and those it leaves alone come last."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgetl.backends import seam
from edgetl.devices import DeviceProfile
from edgetl.quantize import place
from edgetl.quantize.observe import observe
from edgetl.quantize.schemes import SCHEMES
from edgetl.stages.sensitivity import by_layer
from edgetl.verify.accuracy import logits_of, logits_of_model, snr_db
from tests.quantize import graphs
from tests.quantize.planted import CULPRIT, network

FLOAT = DeviceProfile(name="box", backend="openvino", device="CPU", scheme="openvino-cpu", precision="f32")
INT8 = msgspec.structs.replace(FLOAT, precision="int8")


def test_a_layer_has_the_effect_that_an_engine_of_it_alone_has(tmp_path: Path) -> None:
    """Trials take a short way to their answers; the plain one is to compile, open and run."""
    model = network(tmp_path / "model.onnx", planted=False)
    pictures = np.concatenate(list(graphs.pictures(12)))
    stats = observe(model, (picture[None] for picture in pictures))
    scheme = msgspec.structs.replace(SCHEMES["openvino-cpu"], reduce_range=True)
    reference = logits_of_model(model, FLOAT, pictures)
    effects = by_layer(
        model, stats, scheme, "minmax", reference, lambda trial: logits_of_model(trial, INT8, pictures)
    )
    worst = effects[0]
    alone = tmp_path / "alone.onnx"
    others = {effect.name for effect in effects} - {worst.name}
    place.quantize(model, stats, msgspec.structs.replace(scheme, joins=()), "minmax", alone, kept=others)
    backend = seam.find("openvino")
    session = backend.open(backend.compile(alone, INT8, tmp_path), tmp_path)
    found = logits_of(session, pictures)
    session.close()
    assert worst.snr_db == pytest.approx(snr_db(reference, found), abs=1e-6)


def test_the_planted_layer_is_the_worst_by_far(tmp_path: Path) -> None:
    model = network(tmp_path / "model.onnx", planted=True)
    pictures = np.concatenate(list(graphs.pictures(24)))
    told: list[tuple[int, int]] = []
    effects = by_layer(
        model,
        observe(model, (picture[None] for picture in pictures)),
        msgspec.structs.replace(SCHEMES["openvino-cpu"], reduce_range=True),
        "minmax",
        logits_of_model(model, FLOAT, pictures),
        lambda trial: logits_of_model(trial, INT8, pictures),
        on_progress=lambda *done: told.append(done),
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert [effect.op for effect in effects].count("Conv") == 3
    ratios = [effect.snr_db for effect in effects]
    assert effects[0].name == CULPRIT
    assert None not in ratios
    assert ratios == sorted(ratios, key=lambda ratio: ratio or 0.0)
    assert (ratios[1] or 0.0) > (ratios[0] or 0.0) + 20.0
    assert effects[-1].agreement > effects[0].agreement
