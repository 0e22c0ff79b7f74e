"""The fake keeps the contract, and a bundle on it is verified like any other."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgetl import bundles, runtime
from edgetl.testing import BackendContract
from tests import handmade


class TestFake(BackendContract):
    """Its answers are projections, the rest is as everywhere."""

    name = "fake"
    library = "fake"
    computes = False


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose engine needs no vendor."""
    root = tmp_path_factory.mktemp("fake")
    return handmade.write_bundle(root / "bundle", handmade.write_pictures(root / "data"), backend="fake")


def test_a_bundle_on_the_fake_is_opened_and_answers(bundle: Path) -> None:
    with runtime.load(bundle) as predictor:
        red, blue = (predictor.predict(handmade.picture(name, 1), color="rgb") for name in ("red", "blue"))
    assert red.label in handmade.CENTRES
    assert not (red.logits == blue.logits).all()


def test_inspect_says_what_the_fake_pretends(bundle: Path) -> None:
    found = bundles.inspect(bundle, precision=None, every_layer=True)
    assert [layer["kind"] for layer in found.data["executed"]["layers"]] == ["Fake"]
