"""What a float model is calibrated with: pictures, as the model wants them, or arrays that it takes as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from edgetl import digest
from edgetl.calibration import sampling
from edgetl.data import demo, layout
from edgetl.data.alike import Appearance, appearance
from edgetl.data.decode import load_images
from edgetl.errors import InputError
from edgetl.quantize import observe
from edgetl.quantize.penultimate import penultimate
from edgetl.runtime import preprocess as rule
from edgetl.types import USUAL, Preprocess, Reading

__all__ = ["CalibrationSource", "Samples", "data_place", "pictures_of", "samples_of"]

Array = npt.NDArray[Any]
Triple = tuple[float, float, float]
ARRAYS = (".npy", ".npz")


@dataclass(frozen=True)
class CalibrationSource:
    """What to calibrate with, and how a model without preprocessing inside wants pictures.

    Attributes
    ----------
    data : pictures, or a folder of .npy or .npz files. cache : where ``demo`` is kept.
    mean, std : normalisation where white is 1.0; ``None`` where it was not told, which a float input refuses.
    color : order of the channels that the model takes.
    select : ``stratified`` draws, evenly over the classes where there are some; ``coverage`` takes samples that leave
        no other far off in what the model's last layer reads.
    held_out : pictures that accuracy is measured on: those that are calibrated with, too, are told.
    """

    data: str
    samples: int
    seed: int
    cache: Path
    mean: Triple | None = None
    std: Triple | None = None
    color: Literal["rgb", "bgr"] = "rgb"
    crop: tuple[int, int] = (1, 1)
    select: str = "stratified"
    held_out: Path | None = None


@dataclass(frozen=True)
class Samples:
    """What calibration feeds, one after the other.

    Attributes
    ----------
    arrays : one sample each: the model's one input, or every input by its name.
    count : how many there are, of which kind: ``images`` or ``arrays``.
    drawn : their numbers in the data, whose digest is ``identity``.
    facts : what made inputs from the data.
    paths : of the files, in order. looks : how each picture looks, filled while ``arrays`` are read.
    """

    arrays: Iterator[Array | Mapping[str, Array]]
    count: int
    kind: Literal["images", "arrays"]
    drawn: list[int]
    identity: str
    facts: dict[str, Any]
    paths: list[Path]
    looks: list[Appearance]


def samples_of(
    model: Path, source: CalibrationSource, *, on_choosing: Callable[[int, int], None] | None = None
) -> Samples:
    """The samples of a source as a model takes them.

    Parameters
    ----------
    on_choosing : told ``(done, total)`` while all samples are looked at to choose some.

    Raises
    ------
    InputError : there are none; the model takes no pictures; its normalisation is not known.
    """
    place = data_place(source.data, source.cache)
    files = _arrays_in(place)
    looks: list[Appearance] = []
    facts: dict[str, Any]
    if files:
        drawn = _any_of(files, source.samples, source.seed)
        identity = digest.of_json([digest.of_file(file) for file in files])
        paths, facts = files, {"input": "arrays"}

        def read(chosen: Sequence[Path]) -> Iterator[Any]:
            return (_array(file) for file in chosen)

    else:
        feed = _Feed(model, source)
        paths, drawn, identity = _draw(place, source.samples, source.seed)
        facts = feed.facts

        def read(chosen: Sequence[Path]) -> Iterator[Any]:
            return _pictures(place, chosen, feed, looks)

    if source.select == "coverage":
        told = on_choosing or (lambda done, total: None)
        features = penultimate(model, _counted(read(paths), len(paths), told))
        drawn = sampling.coverage(features, source.samples).tolist()
        looks.clear()
    chosen = [paths[index] for index in drawn]
    kind: Literal["images", "arrays"] = "arrays" if files else "images"
    return Samples(read(chosen), len(chosen), kind, drawn, identity, facts, chosen, looks)


def _pictures(place: Path, chosen: Sequence[Path], feed: _Feed, looks: list[Appearance]) -> Iterator[Array]:
    """The model's inputs from picture files; how each looks is noted."""
    names = [str(path.absolute()) for path in chosen]
    for array, look in load_images(place, names, lambda picture: (feed.array(picture), appearance(picture))):
        looks.append(look)
        yield array


def _counted(arrays: Iterable[Any], total: int, told: Callable[[int, int], None]) -> Iterator[Any]:
    for done, array in enumerate(arrays, 1):
        yield array
        told(done, total)


def pictures_of(
    data: str, samples: int, seed: int, cache: Path, preprocess: Preprocess, reading: Reading
) -> Iterator[npt.NDArray[np.uint8]]:
    """Pictures as a bundle's engine takes them, uint8 (H, W, 3): of the train role, or any below a folder.

    Parameters
    ----------
    reading : how the bundle's data was read.

    Raises
    ------
    InputError : there are none, or one cannot be read.
    """
    place = data_place(data, cache)
    paths, drawn, _ = _draw(place, samples, seed, reading)
    chosen = [str(paths[index].absolute()) for index in drawn]
    return load_images(place, chosen, lambda picture: rule.apply(picture, preprocess))


def data_place(data: str, cache: Path) -> Path:
    """Where data is; ``demo`` is written first."""
    return demo.write(cache / "demo") if data == "demo" else Path(data)


def _draw(
    place: Path, samples: int, seed: int, reading: Reading = USUAL
) -> tuple[list[Path], list[int], str]:
    """Pictures, which of them to take, and their digest: the train role of labelled data, else any below a folder."""
    try:
        dataset = layout.scan(place, seed=seed, reading=reading)
    except InputError:
        paths = layout.pictures_in(place)
        if not paths:
            raise InputError(
                f"{place} has no pictures to calibrate with",
                hint="JPEG, PNG, WebP, BMP or GIF files, in folders or not; or .npy and .npz files",
            ) from None
        return (
            paths,
            _any_of(paths, samples, seed),
            digest.of_json([digest.of_file(path) for path in paths]),
        )
    root = layout.source_root(place)
    train = [sample for sample in dataset.samples if sample.role == "train"]
    drawn = sampling.stratified(np.array([s.label for s in train]), samples, seed)
    return [root / sample.path for sample in train], drawn.tolist(), dataset.digest


def _any_of(files: Sequence[Path], samples: int, seed: int) -> list[int]:
    drawn: list[int] = np.random.default_rng(seed).permutation(len(files))[:samples].tolist()
    return sorted(drawn)


def _arrays_in(place: Path) -> list[Path]:
    """Array files: one, or those of a folder."""
    if place.is_file():
        return [place] if place.suffix in ARRAYS else []
    return sorted(path for path in place.rglob("*") if path.suffix in ARRAYS and path.is_file())


def _array(file: Path) -> Array | dict[str, Array]:
    """What is in an array file: .npy is the one input, .npz holds every input under its name.

    Raises
    ------
    InputError : it cannot be read, or holds NaN or infinity.
    """
    try:
        held = np.load(file, allow_pickle=False)
        found: dict[str, Array] = dict(held) if isinstance(held, np.lib.npyio.NpzFile) else {"": held}
    except (ValueError, EOFError, BadZipFile, OSError) as error:
        raise InputError(f"{file.name} cannot be read as numpy arrays: {error}") from error
    for name, array in found.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            what = f"array {name!r} of {file.name}" if name else file.name
            raise InputError(f"{what} holds NaN or infinity", hint="leave it out, or mend what wrote it")
    return found if file.suffix == ".npz" else found[""]


class _Feed:
    """How a model wants a picture: uint8 or float, channels last or first, and its size.

    Attributes
    ----------
    facts : that, for the identity of statistics.

    Raises
    ------
    InputError : its input is no picture of a known size, or it is float and the normalisation was not told.
    """

    def __init__(self, model: Path, source: CalibrationSource) -> None:
        spec = observe.input_of(model)
        shape = tuple(spec.shape)
        takes = f"{model.name} takes {spec.name!r}, {spec.dtype} {_shown(shape)}"
        if len(shape) != 4 or 3 not in (shape[1], shape[3]) or spec.dtype not in ("uint8", "float32"):
            raise InputError(
                f"{takes}: that is no picture, (N, H, W, 3) or (N, 3, H, W)",
                hint="--calib-data with a folder of .npy files, one an input as the model takes it",
            )
        self._last = shape[3] == 3
        height, width = shape[1:3] if self._last else shape[2:4]
        if height is None or width is None:
            raise InputError(
                f"{takes}: its height and width are not fixed", hint="--size 224x224 (height x width)"
            )
        self._float = spec.dtype == "float32"
        mean, std = _normalisation(takes, source, floats=self._float)
        self._rule = Preprocess(
            height=height, width=width, crop=source.crop, color=source.color, mean=mean, std=std
        )
        self.facts = {
            "mean": mean,
            "std": std,
            "crop": source.crop,
            "color": source.color,
            "input": "NHWC" if self._last else "NCHW",
        }

    def array(self, picture: Array) -> Array:
        """The model's input, (1, ...), from a decoded picture."""
        values: Array = rule.apply(picture, self._rule)[None]
        if self._float:
            scale, shift = (np.array(triple, np.float32) for triple in self._rule.affine())
            values = values * scale + shift
        if self._rule.color == "bgr":  # last, for mean and std are told as R, G, B
            values = values[..., ::-1]
        return np.ascontiguousarray(values if self._last else values.transpose(0, 3, 1, 2))


def _normalisation(takes: str, source: CalibrationSource, *, floats: bool) -> tuple[Triple, Triple]:
    """Mean and std, never guessed: a wrong one gives ranges of pictures that the model never sees."""
    told = source.mean is not None or source.std is not None
    if not floats:
        if told:
            raise InputError(
                f"{takes}: pixels as they are, so its normalisation is inside",
                hint="leave --mean and --std out",
            )
        return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if not told:
        raise InputError(
            f"{takes}: how pixels are normalised for it is not in the file",
            hint="--mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 (ImageNet), --mean 0.5 --std 0.5 (-1 to 1), "
            "--mean 0 --std 1 (0 to 1), or --scale 1 with both in pixel values",
        )
    return source.mean or (0.0, 0.0, 0.0), source.std or (1.0, 1.0, 1.0)


def _shown(shape: Sequence[int | None]) -> str:
    return "[" + ", ".join("?" if dim is None else str(dim) for dim in shape) + "]"
