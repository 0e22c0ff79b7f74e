"""What is wrong with an engine's input: other normalisations, swapped channels and permuted labels are tried.

A mistake between training and the device does not crash, it only costs accuracy. Each usual one is undone in
turn, and the one that brings the accuracy back is named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl import stats
from edgetl.types import Preprocess, Record

__all__ = ["NORMALISATIONS", "Answers", "Diagnosis", "Trial", "diagnose"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Answers = Callable[[Array, Preprocess], Floats]
"""Logits (N, classes) for engine inputs (N, H, W, 3), with the normalisation of the record given inside the graph."""
Triple = tuple[float, float, float]

NORMALISATIONS: dict[str, tuple[Triple, Triple]] = {
    "0 to 1 (mean 0, std 1)": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "ImageNet's mean and std": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "-1 to 1 (mean 0.5, std 0.5)": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "0 to 255 (not scaled)": ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
}
"""Name -> mean and std, where white is 1.0."""
SURE = 0.01
"""A trial is believed where chance would give its gain less often than this, over all trials together."""
SHOWN_PAIRS = 4


class Trial(Record, frozen=True, kw_only=True):
    """One mistake undone.

    Attributes
    ----------
    what : in words. mend : what to do if it is the one.
    accuracy, before : on the same ``n`` images, with the mistake undone and as the bundle is.
    p_value : McNemar, exact; one-sided changes for the worse count as 1.
    """

    what: str
    mend: str
    accuracy: float
    before: float
    n: int
    p_value: float

    @property
    def gain_pt(self) -> float:
        """Points of top-1 that it brings."""
        return 100 * (self.accuracy - self.before)


class Diagnosis(Record, frozen=True, kw_only=True):
    """What was tried, the best first.

    Attributes
    ----------
    accuracy : of the float model as the bundle is. chance : of always naming the commonest class.
    mistake : what the best trial undoes, where it is better beyond chance; else ``None``.
    sentence : the answer, one line. hint : what mends it.
    """

    accuracy: float
    chance: float
    trials: tuple[Trial, ...]
    mistake: str | None
    sentence: str
    hint: str

    def lines(self) -> list[str]:
        """A table of the trials, and the answer."""
        table = [
            f"  {'diagnosis' if index == 0 else '':<10} {trial.what:<44.44} {100 * trial.accuracy:5.1f} %"
            f"  ({trial.gain_pt:+.1f})"
            for index, trial in enumerate(self.trials)
        ]
        return [*table, f"  {'':<10} {self.sentence}"]


def diagnose(
    answers: Answers,
    pictures: Array,
    labels: Array,
    preprocess: Preprocess,
    *,
    classes: Sequence[str],
    at_build: float,
) -> Diagnosis:
    """Undo each usual mistake, and name the one that explains the accuracy.

    Parameters
    ----------
    answers : asks the float model; it is exact for any normalisation.
    pictures : uint8 (N, H, W, 3) as the bundle's rule makes them. labels : (N,), indices into ``classes``.
    at_build : accuracy of the float model that the build measured, 0 to 1.
    """
    found = answers(pictures, preprocess).argmax(axis=1)
    right = found == labels
    swapped = np.ascontiguousarray(pictures[..., ::-1])
    trials = [
        _trial(
            "red and blue swapped",
            "the channel order of the frames is not the engine's: pass color='bgr' or 'rgb' as they are, "
            "and check preprocess.json",
            answers(swapped, preprocess).argmax(axis=1) == labels,
            right,
        )
    ]
    for name, (mean, std) in NORMALISATIONS.items():
        if np.allclose((mean, std), (preprocess.mean, preprocess.std), atol=1e-3):
            continue
        other = msgspec.structs.replace(preprocess, mean=mean, std=std)
        trials.append(
            _trial(
                f"normalised as {name}",
                f"build again with --mean {_text(mean)} --std {_text(std)}",
                answers(pictures, other).argmax(axis=1) == labels,
                right,
            )
        )
    permuted = _permutation(found, labels, classes)
    trials += [permuted] if permuted is not None else []
    sure = SURE / len(trials)
    trials.sort(key=lambda trial: (trial.p_value >= sure, -trial.accuracy))
    return _conclusion(trials, right, labels, at_build)


def _text(values: Triple) -> str:
    return ",".join(f"{value:.6g}" for value in values)


def _trial(what: str, mend: str, right: Array, before: Array) -> Trial:
    """Two answers to the same images, image by image."""
    lost, gained = int((before & ~right).sum()), int((right & ~before).sum())
    return Trial(
        what=what,
        mend=mend,
        accuracy=float(right.mean()),
        before=float(before.mean()),
        n=len(right),
        p_value=stats.mcnemar_exact(lost, gained) if gained > lost else 1.0,
    )


def _permutation(found: Array, labels: Array, classes: Sequence[str]) -> Trial | None:
    """Labels that are a permutation of the right ones: each class is answered as one other.

    The permutation is read from every other image and judged on the rest, so that it cannot explain noise.
    """
    half = np.arange(len(labels)) % 2 == 0
    mapping: dict[int, int] = {}
    for label in np.unique(labels):
        seen = found[half & (labels == label)]
        mapping[int(label)] = int(np.bincount(seen).argmax()) if len(seen) else int(label)
    moved = {label: to for label, to in mapping.items() if label != to}
    if not moved or len(set(mapping.values())) < len(mapping) or half.all():
        return None
    wanted = np.array([mapping[int(label)] for label in labels])
    pairs = [f"{classes[label]!r} holds {classes[to]!r}" for label, to in sorted(moved.items())]
    more = f" and {len(pairs) - SHOWN_PAIRS} more" if len(pairs) > SHOWN_PAIRS else ""
    return _trial(
        "labels permuted",
        f"{', '.join(pairs[:SHOWN_PAIRS])}{more}: check the names of the folders, and labels.json",
        (found == wanted)[~half],
        (found == labels)[~half],
    )


def _conclusion(trials: Sequence[Trial], right: Array, labels: Array, at_build: float) -> Diagnosis:
    accuracy = float(right.mean())
    chance = float(np.bincount(labels).max() / len(labels))
    best = trials[0]
    mistake, hint = None, "look at some pictures and their labels"
    if best.p_value < SURE / len(trials):
        mistake, hint = best.what, best.mend
        sentence = (
            f"the mistake is named: {best.what} gives {100 * best.accuracy:.1f} % instead of "
            f"{100 * best.before:.1f} % ({best.gain_pt:+.1f} points on {best.n} images)"
        )
    elif stats.wilson(int(right.sum()), len(right))[1] < at_build:
        sentence = (
            f"no input that was tried explains {100 * accuracy:.1f} % where the build measured "
            f"{100 * at_build:.1f} % and the commonest class alone gives {100 * chance:.1f} %: "
            "the labels are not of these pictures, or the weights not those that were trained"
        )
    else:
        sentence = (
            "nothing that was tried is better: normalisation, channel order and labels are as in training"
        )
    return Diagnosis(
        accuracy=accuracy,
        chance=chance,
        trials=tuple(trials),
        mistake=mistake,
        sentence=sentence,
        hint=hint,
    )
