"""Two engines on corrupted images: what each corruption costs, and whether it costs the quantized one more."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl import stats
from edgetl.backends.seam import Session
from edgetl.calibration.sampling import stratified
from edgetl.errors import InputError
from edgetl.types import Corrupted, CorruptionCost, Robustness
from edgetl.verify import corruptions
from edgetl.verify.accuracy import logits_of

__all__ = ["MAX_IMAGES", "Question", "Subject", "answers", "judge", "question"]

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

MAX_IMAGES = 256
"""Of a run where nobody says: every corruption at every severity is minutes then, and a point can be told."""
WORKERS = 2
REPLICATES = 2000
LEAST = 0.01
"""Errors of the reference, as a share of the images, below which a ratio over them is not formed."""
LEVEL = 0.05
DARK = "low_light"


@dataclass(frozen=True)
class Question:
    """What to put on the images: corruptions and severities in order, at most so many images, and a seed."""

    names: tuple[str, ...]
    severities: tuple[int, ...] = corruptions.SEVERITIES
    max_images: int = MAX_IMAGES
    seed: int = 0

    @property
    def conditions(self) -> list[tuple[str, int]]:
        """Every corruption at every severity."""
        return [(name, severity) for name in self.names for severity in self.severities]


@dataclass(frozen=True)
class Subject:
    """What is compared: the bundle's name and the sha256 of its manifest, and the names of both engines."""

    name: str = ""
    manifest: str = ""
    reference: str = "f32"
    candidate: str = "int8"
    test_images: int = field(default=0)


def question(names: str, severities: str | None, max_images: int, seed: int) -> Question:
    """A question as a user writes it: ``"weather,low_light"`` at ``"1,3,5"``, all five where it is ``None``.

    Raises
    ------
    InputError : a corruption is not known; a severity is not one of 1 to 5.

    >>> question("fog", "5,1", 100, 0).conditions
    [('fog', 1), ('fog', 5)]
    """
    chosen = tuple(corruptions.named([text.strip() for text in names.split(",")]))
    if severities is None:
        return Question(chosen, max_images=max_images, seed=seed)
    levels = set()
    for text in severities.split(","):
        known = {str(level): level for level in corruptions.SEVERITIES}
        if text.strip() not in known:
            raise InputError(
                f"--severities {severities!r}: {text.strip()!r} is not one of 1 to 5",
                hint="--severities 1,3,5; 1 is mild, 5 is hard",
            )
        levels.add(known[text.strip()])
    return Question(chosen, tuple(sorted(levels)), max_images, seed)


def answers(
    reference: Session,
    candidate: Session,
    labels: Array,
    pictures: Array,
    asked: Question,
    *,
    bgr: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Bools, Bools]:
    """Which images each engine gets right, clean and under every condition.

    Both engines answer the same bytes. A corruption is put on the engine's input, after crop and resize, as
    ImageNet-C puts it on the crop of 224 pixels: what a severity does to the engine does not hang on the camera's
    resolution. Its draw is of the picture, the corruption and the seed, so that severities are nested and neither
    order nor number of the images matters.

    Parameters
    ----------
    labels : (N,). pictures : uint8 (N, H, W, 3) as the engines take them; at most ``asked.max_images`` are drawn,
        evenly over the classes. bgr : their channels are blue, green, red.
    on_progress : told ``(done, total)`` in images answered.

    Returns
    -------
    Two bool arrays (1 + conditions, n): the reference's and the candidate's; row 0 is clean.
    """
    drawn = np.sort(stratified(labels, asked.max_images, asked.seed))
    labels, clean = labels[drawn], pictures[drawn]
    conditions = asked.conditions
    total = len(clean) * (len(conditions) + 1)
    right: tuple[list[Bools], list[Bools]] = ([], [])
    with ThreadPoolExecutor(WORKERS) as pool:
        for place, condition in enumerate([None, *conditions]):
            shown = clean if condition is None else _corrupted(pool, clean, *condition, asked.seed, bgr=bgr)
            for session, kept in zip((reference, candidate), right):
                kept.append(logits_of(session, shown).argmax(axis=1) == labels)
            on_progress(len(clean) * (place + 1), total)
    return np.stack(right[0]), np.stack(right[1])


def _corrupted(
    pool: ThreadPoolExecutor, pictures: Array, name: str, severity: int, seed: int, *, bgr: bool
) -> Array:
    """All pictures under one condition, each by its own draw."""

    def work(picture: Array) -> Array:
        rng = np.random.default_rng((seed, zlib.crc32(name.encode()), zlib.crc32(picture.tobytes())))
        if bgr:
            return corruptions.apply(picture[..., ::-1], name, severity, rng)[..., ::-1]
        return corruptions.apply(picture, name, severity, rng)

    return np.stack(list(pool.map(work, pictures)))


def judge(reference: Bools, candidate: Bools, asked: Question, subject: Subject) -> Robustness:
    """What the answers come to.

    Corruption errors are those of Hendrycks & Dietterich 2019 (arXiv:1903.12261), section 3, with the f32 engine where
    they have AlexNet: ``CE = sum of errors over severities / sum of the reference's``; the relative one takes the clean
    errors off both sums; mCE and relative mCE are means over corruptions.

    Parameters
    ----------
    reference, candidate : as ``answers`` returns them.
    """
    count = reference.shape[1]
    wrong = 1 - np.stack([reference, candidate]).astype(np.float64)  # (2, 1 + conditions, n)
    clean = wrong[:, :1]
    kinds = (2, len(asked.names), len(asked.severities), count)
    wrong_by_kind: Floats = wrong[:, 1:].reshape(kinds).mean(axis=2)
    errors = _ratio(wrong_by_kind, asked.seed)
    relative = _ratio(wrong_by_kind - clean, asked.seed)
    costs = _costs(wrong_by_kind, clean, errors, relative, asked.names)
    cells = [
        _cell(name, severity, reference[place], candidate[place])
        for place, (name, severity) in enumerate([("clean", 0), *asked.conditions])
    ]
    costs.sort(key=lambda cost: -cost.extra_pt)
    shown = tuple(cost.corruption for cost in costs if cost.p_holm < LEVEL and cost.extra_pt > 0)
    return Robustness(
        name=subject.name,
        manifest=subject.manifest,
        reference=subject.reference,
        candidate=subject.candidate,
        seed=asked.seed,
        n=count,
        test_images=subject.test_images or count,
        severities=asked.severities,
        clean=cells[0],
        cells=tuple(cells[1:]),
        costs=tuple(costs),
        mce_pct=errors.mean,
        mce_ci95_pct=errors.interval,
        relative_mce_pct=relative.mean,
        relative_mce_ci95_pct=relative.interval,
        costs_more=shown,
        sentence=_sentence(costs, subject.candidate),
    )


def _cell(name: str, severity: int, reference: Bools, candidate: Bools) -> Corrupted:
    lost, gained, n = int((reference & ~candidate).sum()), int((candidate & ~reference).sum()), len(reference)
    low, high = stats.tango(lost, gained, n)
    return Corrupted(
        corruption=name,
        severity=severity,
        reference=float(reference.mean()),
        candidate=float(candidate.mean()),
        drop_pt=100 * (lost - gained) / n,
        drop_ci95_pt=(100 * low, 100 * high),
        p_value=stats.mcnemar_exact(lost, gained),
    )


@dataclass(frozen=True)
class _Ratio:
    """The candidate's errors in percent of the reference's: by corruption, their mean, and its interval."""

    of: list[float | None]
    mean: float | None
    interval: tuple[float, float] | None


def _ratio(errors: Floats, seed: int) -> _Ratio:
    """Where the reference's errors are enough to divide by; the interval is a percentile bootstrap over images.

    Parameters
    ----------
    errors : (2, corruptions, n), of the reference and of the candidate.
    """
    n = errors.shape[2]
    point = errors.mean(axis=2)
    enough = point[0] >= LEAST
    if not enough.any():
        return _Ratio([None] * len(enough), None, None)
    ratios = 100 * point[1, enough] / point[0, enough]
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=REPLICATES) / n
    drawn = errors[:, enough] @ weights.T  # (2, corruptions, replicates)
    means = (100 * drawn[1] / np.maximum(drawn[0], LEAST)).mean(axis=0)
    low, high = (float(np.quantile(means, q)) for q in (0.025, 0.975))
    found = iter(ratios.tolist())
    return _Ratio([next(found) if ok else None for ok in enough], float(ratios.mean()), (low, high))


def _costs(
    wrong: Floats, clean: Floats, errors: _Ratio, relative: _Ratio, names: Sequence[str]
) -> list[CorruptionCost]:
    """Each corruption's mean over severities, and its drop beyond the clean one, image by image.

    Parameters
    ----------
    wrong : (2, corruptions, n), share of the severities at which the reference, and the candidate, is wrong.
    clean : (2, 1, n), 1 where it is wrong without a corruption.
    """
    drops = wrong[1] - wrong[0]
    scores = drops - (clean[1] - clean[0])
    tested = [stats.mean_difference(row) for row in scores]
    raised = stats.holm([p for _, p in tested])
    groups = {name: group for group, members in corruptions.GROUPS.items() for name in members}
    return [
        CorruptionCost(
            corruption=name,
            group=groups[name],
            reference=1 - float(wrong[0, place].mean()),
            candidate=1 - float(wrong[1, place].mean()),
            drop_pt=_points(drops[place]),
            extra_pt=_points(scores[place]),
            extra_ci95_pt=(100 * tested[place][0][0], 100 * tested[place][0][1]),
            p_value=tested[place][1],
            p_holm=raised[place],
            ce_pct=errors.of[place],
            relative_ce_pct=relative.of[place],
        )
        for place, name in enumerate(names)
    ]


def _points(scores: Floats) -> float:
    """Their mean in points; gains and losses that cancel are 0.0, and not the last bit of a sum."""
    return round(100 * float(scores.mean()), 9) + 0.0


def _sentence(costs: Sequence[CorruptionCost], candidate: str) -> str:
    """Whether quantization costs more in the dark, where that was asked; else in the corruption that costs most."""
    one = next((cost for cost in costs if cost.corruption == DARK), costs[0])
    low, high = one.extra_ci95_pt
    held = f" after Holm over {len(costs)}" if len(costs) > 1 else ""
    figures = f"95 % interval [{low:+.1f}, {high:+.1f}], p {one.p_holm:.2g}{held}"
    than = f"{candidate} loses {abs(one.extra_pt):.1f} points {'more' if one.extra_pt > 0 else 'less'} there"
    told = f"{than} than on clean images, {figures}" if one.extra_pt else f"no difference, {figures}"
    verdict = "not shown" if one.p_holm >= LEVEL else "yes" if one.extra_pt > 0 else "no"
    return f"does quantization cost more in {one.corruption}? {verdict}: {told}"
