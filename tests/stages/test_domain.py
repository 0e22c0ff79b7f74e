"""The stage of target frames: what can be read is prepared, what cannot is named."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgetl.cache import Cache
from edgetl.data import frames, layout
from edgetl.errors import InputError
from edgetl.pipeline import Artifact, Context, Stage, run
from edgetl.stages import domain, prepare
from edgetl.types import Preprocess
from tests.data.pictures import folders

RULE = Preprocess(height=32, width=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled pictures."""
    return folders(tmp_path_factory.mktemp("source"), {"ants": 4, "bees": 4})


def prepared(place: Path, source: Path, cache: Path) -> Artifact:
    """What the stage leaves of a folder."""
    data = layout.scan(source, seed=0)
    found = frames.scan(place, data, seed=0)
    told = {"summary": "", "preprocess": msgspec.to_builtins(RULE)}
    rule = Stage("backbone", 1, (), {}, {}, lambda inputs, out, ctx: told)
    return run([rule, domain.stage(found, place, data, source)], Cache(cache), Context())[domain.NAME]


def test_it_is_laid_out_as_prepare_lays_out_its_own_and_labels_of_what_is_adapted_to_are_gone(
    source: Path, tmp_path: Path
) -> None:
    place = folders(tmp_path / "frames", {"ants": 10, "bees": 10}, seed=9000)
    left = prepared(place, source, tmp_path / "cache")
    assert prepare.images(left, "train").shape == (10, 32, 32, 3)
    assert not prepare.labels(left, "train").any()
    assert prepare.images(left, "test").shape == (10, 32, 32, 3)
    assert set(prepare.labels(left, "test")) == {0, 1}
    assert len(domain.adapted_to(left)) == 10


def test_what_cannot_be_read_is_named_and_left_out(source: Path, tmp_path: Path) -> None:
    place = folders(tmp_path / "frames", {"monday": 40}, seed=9000)
    whole = (place / "monday/7.png").read_bytes()
    (place / "monday/7.png").write_bytes(whole[: len(whole) // 2])
    (place / "monday/8.png").write_bytes(b"no picture")
    left = prepared(place, source, tmp_path / "cache")
    assert set(left.record["unreadable"]) == {"monday/7.png", "monday/8.png"}
    assert prepare.images(left, "train").shape == (38, 32, 32, 3)
    assert prepare.images(left, "train").any(axis=(1, 2, 3)).all()
    assert "monday/7.png" not in domain.adapted_to(left)
    assert any("2 target frames left out" in line and "truncated" in line for line in left.record["warnings"])


def test_a_folder_of_which_nothing_can_be_read_is_refused_with_the_first_and_why(
    source: Path, tmp_path: Path
) -> None:
    place = folders(tmp_path / "frames", {"monday": 4}, seed=9000)
    for file in (place / "monday").iterdir():
        file.write_bytes(b"")
    with pytest.raises(InputError, match=r"none of the target frames.*monday/0\.png.*is empty"):
        prepared(place, source, tmp_path / "cache")


def test_another_frame_is_another_key(source: Path, tmp_path: Path) -> None:
    data = layout.scan(source, seed=0)
    place = folders(tmp_path / "frames", {"monday": 4}, seed=9000)
    before = domain.stage(frames.scan(place, data, seed=0), place, data, source).options
    (place / "monday/3.png").unlink()
    assert domain.stage(frames.scan(place, data, seed=0), place, data, source).options != before


def test_the_array_holds_what_the_rule_gives(source: Path, tmp_path: Path) -> None:
    from edgetl.data.decode import read_image
    from edgetl.runtime import preprocess as rule

    place = folders(tmp_path / "frames", {"monday": 3}, seed=9000)
    left = prepared(place, source, tmp_path / "cache")
    wanted = [rule.apply(read_image(place / path), RULE) for path in domain.adapted_to(left)]
    np.testing.assert_array_equal(prepare.images(left, "train"), wanted)
