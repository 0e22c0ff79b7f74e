"""Target frames: which are adapted to, which only measure, and what is odd about a folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from edgetl.data import frames, layout
from edgetl.data.frames import Frames
from edgetl.data.layout import Dataset
from edgetl.errors import InputError
from tests.data.pictures import folders


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Dataset]:
    """Labelled pictures of two classes."""
    root = folders(tmp_path_factory.mktemp("source"), {"ants": 8, "bees": 8})
    return root, layout.scan(root, seed=0)


def scan(place: Path, source: tuple[Path, Dataset], seed: int = 0) -> Frames:
    """With the classes of the source."""
    return frames.scan(place, source[1], seed=seed)


def names(part: tuple[frames.Frame, ...]) -> set[str]:
    """Paths of frames."""
    return {frame.path for frame in part}


def test_frames_without_labels_are_all_adapted_to(source: tuple[Path, Dataset], tmp_path: Path) -> None:
    found = scan(folders(tmp_path, {"monday": 20, "tuesday": 20}, seed=9000), source)
    assert len(found.adapt) == 40
    assert not found.measure
    assert not found.warnings


def test_half_of_the_labelled_frames_measure_and_the_other_half_is_adapted_to(
    source: tuple[Path, Dataset], tmp_path: Path
) -> None:
    place = folders(tmp_path, {"ants": 40, "bees": 40, "unsorted": 4}, seed=9000)
    found = scan(place, source)
    assert len(found.measure) == 40
    assert all(frame.label is not None for frame in found.measure)
    assert len(found.adapt) == 44
    assert not names(found.adapt) & names(found.measure)
    assert scan(place, source) == found
    assert names(scan(place, source, seed=1).measure) != names(found.measure)
    assert any("'unsorted'" in line for line in found.warnings)


def test_a_test_folder_says_what_measures(source: tuple[Path, Dataset], tmp_path: Path) -> None:
    folders(tmp_path / "train", {"ants": 20, "bees": 20}, seed=9000)
    folders(tmp_path / "test", {"ants": 3, "bees": 4}, seed=9500)
    found = scan(tmp_path, source)
    assert names(found.measure) == {f"test/ants/{n}.png" for n in range(3)} | {
        f"test/bees/{n}.png" for n in range(4)
    }
    assert len(found.adapt) == 40


def test_a_camera_s_folder_beside_that_of_the_labelled_frames_is_nothing_odd(
    source: tuple[Path, Dataset], tmp_path: Path
) -> None:
    folders(tmp_path, {"camera": 40}, seed=9000)
    folders(tmp_path / "test", {"ants": 3, "bees": 4}, seed=9500)
    assert not scan(tmp_path, source).warnings
    folders(tmp_path / "test", {"wasps": 3}, seed=9800)
    assert any("'wasps'" in line for line in scan(tmp_path, source).warnings)


def test_frames_of_one_drive_stay_on_one_side(source: tuple[Path, Dataset], tmp_path: Path) -> None:
    folders(tmp_path, {"ants": 40, "bees": 40}, seed=9000)
    for file in sorted(tmp_path.rglob("*.png")):
        file.rename(file.with_name(f"drive{int(file.stem) % 10}_{file.name}"))
    root, labelled = source
    grouped = msgspec.structs.replace(labelled, grouped_by=r"regex:(drive\d)_")
    found = scan(tmp_path, (root, grouped))
    adapted, measured = ({Path(f.path).name[:6] for f in part} for part in (found.adapt, found.measure))
    assert len(measured) == 5
    assert not adapted & measured
    again = frames.parted(tmp_path, labelled.classes, seed=0, grouped_by=grouped.grouped_by)
    assert again.digest == found.digest


def test_copies_of_a_frame_stay_on_one_side(source: tuple[Path, Dataset], tmp_path: Path) -> None:
    folders(tmp_path, {"ants": 20, "bees": 20}, seed=9000)
    for file in sorted((tmp_path / "ants").iterdir()):
        shutil.copy(file, file.with_name(f"copy-{file.name}"))
    found = scan(tmp_path, source)
    assert not {frame.sha256 for frame in found.adapt} & {frame.sha256 for frame in found.measure}


def test_a_folder_that_is_nearly_named_as_a_class_is_told(
    source: tuple[Path, Dataset], tmp_path: Path
) -> None:
    found = scan(folders(tmp_path, {"antz": 40}, seed=9000), source)
    assert not found.measure
    assert any("'antz' Did you mean 'ants'?" in line for line in found.warnings)


def test_few_frames_are_told(source: tuple[Path, Dataset], tmp_path: Path) -> None:
    found = scan(folders(tmp_path, {"monday": 5}, seed=9000), source)
    assert any("5 target frames are few" in line for line in found.warnings)


def test_pictures_of_the_source_among_the_frames_are_told(
    source: tuple[Path, Dataset], tmp_path: Path
) -> None:
    folders(tmp_path, {"monday": 40}, seed=9000)
    shutil.copy(source[0] / "ants/0.png", tmp_path / "monday/stray.png")
    found = scan(tmp_path, source)
    assert any("monday/stray.png" in line for line in found.warnings)


def test_the_source_itself_is_no_target(source: tuple[Path, Dataset]) -> None:
    with pytest.raises(InputError, match="nothing to adapt to"):
        scan(source[0], source)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda place: None, "no such folder"),
        (lambda place: place.write_text("path"), "is a file"),
        (lambda place: place.mkdir(), "no pictures"),
        (lambda place: folders(place, {"monday": 1}, seed=9000), "1 frame"),
    ],
)
def test_a_place_that_is_no_folder_of_frames_is_refused(
    source: tuple[Path, Dataset], tmp_path: Path, make: object, words: str
) -> None:
    assert callable(make)
    make(tmp_path / "frames")
    with pytest.raises(InputError, match=words):
        scan(tmp_path / "frames", source)


def test_frames_of_another_shape_are_told() -> None:
    assert "centre square" in frames.shape_warning((256, 256), (480, 854))
    assert "size that was learned" in frames.shape_warning((256, 256), (1024, 1024))
    assert not frames.shape_warning((256, 256), (300, 340))
    assert not frames.shape_warning((0, 0), (300, 340))
