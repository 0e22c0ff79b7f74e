"""The sections of a page on accuracy: of all, by class, and the images that it gets most wrong."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from edgetl.candidate import spoken
from edgetl.report import pictures_accuracy
from edgetl.report.html_facts import Estimate, Facts, Thumbnail
from edgetl.report.html_parts import Photo, Section, Table, ordered
from edgetl.report.pictures import Picture
from edgetl.types import Mistake

__all__ = ["by_class", "of_all", "worst"]

SHOWN_CLASSES = 12
SHOWN_PAIRS = 20
"""Confused pairs that are listed where a matrix would have too many cells."""


def of_all(facts: Facts) -> Section:
    """Top-1 of every candidate, and what was lost against f32."""
    accuracy = facts.results.accuracy
    if accuracy.shipped is None or not accuracy.n:
        return Section("accuracy", "Accuracy", missing=["accuracy is not in results.json: build it again"])
    drawn = []
    if accuracy.drop_pt is not None and accuracy.drop_ci95_pt is not None:
        drawn.append(
            pictures_accuracy.drop(
                accuracy.drop_pt, accuracy.drop_ci95_pt, accuracy.budget_pt, _drop_title(facts)
            )
        )
    rows = [
        (spoken(name), facts.accuracies[name], facts.interval(facts.accuracies[name]), name == facts.shipped)
        for name in ordered(list(facts.accuracies))
    ]
    drawn.append(
        pictures_accuracy.shares(
            rows, _shares_title(facts), "top-1, %", f"{accuracy.n} held-out images; bars are 95 % intervals"
        )
    )
    lines = [accuracy.sentence] if accuracy.sentence else []
    if accuracy.decision:
        lines.append(f"threshold: {'; '.join(accuracy.decision)}")
    return Section("accuracy", "Accuracy", drawn, lines)


def _drop_title(facts: Facts) -> str:
    points_lost = facts.results.accuracy.drop_pt or 0.0
    told = {
        "over": "over the budget",
        "unproven": "within the budget, which so few images cannot prove",
        "within": "within the budget",
    }.get(facts.results.accuracy.verdict, "")
    verb = (
        f"loses {points_lost:.2f} points"
        if points_lost > 0
        else f"gains {-points_lost:.2f} points"
        if points_lost
        else "loses nothing"
    )
    return f"{spoken(facts.shipped)} {verb}" + (f": {told}" if told else "")


def _shares_title(facts: Facts) -> str:
    shipped = facts.results.accuracy.shipped or 0.0
    low, high = facts.interval(shipped) or (shipped, shipped)
    right = f"{spoken(facts.shipped)} is right on {100 * shipped:.1f} % of the test images"
    return f"{right}, 95 % interval [{100 * low:.1f}, {100 * high:.1f}]"


def by_class(facts: Facts) -> Section:
    """Which class is taken for which, and how many of each are recognised."""
    cells, heading = facts.results.accuracy.confusion, "By class"
    drawn = _recall(facts)
    ranked, calibrated = _ranking(facts)
    if not cells:
        told = "this bundle was built before it was kept which class is taken for which: build it again"
        return Section("classes", heading, drawn, missing=[told])
    if len(facts.labels) <= pictures_accuracy.MOST_CLASSES:
        matrix = pictures_accuracy.confusion(cells, facts.labels)
        return Section("classes", heading, [matrix, *drawn], calibrated, ranked)
    wrong = sorted((cell for cell in cells if cell[0] != cell[1]), key=lambda cell: -cell[2])
    rows = [(facts.labels[label], facts.labels[answer], str(n)) for label, answer, n in wrong[:SHOWN_PAIRS]]
    table = Table(("class", "answered", "images"), rows, (2,), max(len(wrong) - SHOWN_PAIRS, 0))
    line = f"{len(facts.labels)} classes are too many for a matrix: these pairs are confused most often"
    return Section("classes", heading, drawn, [line, *calibrated], [table, *ranked])


def _ranking(facts: Facts) -> tuple[list[Table], list[str]]:
    """How each class is told from the others by its probability, the worst first; and how true probabilities are."""
    found = facts.results.accuracy.metrics.get("shipped")
    if found is None:
        return [], []
    told = sorted(
        (one for one in found.by_class if one.roc_auc),
        key=lambda one: one.roc_auc.value if one.roc_auc else 1,
    )
    rows = [
        (one.name, str(one.n), _figure(one.roc_auc), _figure(one.average_precision))
        for one in told[:SHOWN_CLASSES]
    ]
    heads = ("class against the rest", "images", "ROC AUC, 95 % interval", "average precision, 95 % interval")
    tables = [Table(heads, rows, (1, 2, 3), max(len(told) - SHOWN_CLASSES, 0))] if rows else []
    return tables, [
        f"expected calibration error {_figure(found.calibration_error)}, {found.bins} bins of the answer's probability"
    ]


def _figure(found: Estimate | None) -> str:
    return "n/a" if found is None else f"{found.value:.3f} [{found.ci95[0]:.3f}, {found.ci95[1]:.3f}]"


def _recall(facts: Facts) -> list[Picture]:
    """The classes that fare worst; none where recalls were not kept."""
    found = facts.results.accuracy.per_class_recall
    if not found:
        return []
    left = len(found) - SHOWN_CLASSES
    note = "recall of each class, the worst first; bars are 95 % intervals"
    note += f"; {left} better ones are left out" if left > 0 else ""
    title = f"{found[0].name} fares worst: {100 * found[0].recall:.1f} % of its images are recognised"
    rows = [(one.name, one.recall, one.ci95, place == 0) for place, one in enumerate(found[:SHOWN_CLASSES])]
    return [pictures_accuracy.shares(rows, title, "recall, %", note)]


def worst(facts: Facts, data_given: bool) -> Section:
    """The images whose class was given the least probability: shown where the data is at hand, else named."""
    heading = "The images it gets most wrong"
    if not facts.results.worst_images:
        return Section(
            "worst",
            heading,
            missing=["this bundle was built before the worst images were kept: build it again"],
        )
    missing = (
        []
        if data_given
        else ["the pictures are not in the bundle: edgetl report BUNDLE --data DIR shows them here"]
    )
    found = facts.thumbnails or tuple(Thumbnail(one, None) for one in facts.results.worst_images)
    lines = ["the test images whose own class was given the least probability, the least first"]
    if not data_given:
        rows = [
            (
                one.path,
                facts.labels[one.label],
                facts.labels[one.answer],
                f"{100 * one.true_probability:.1f} %",
            )
            for one in facts.results.worst_images
        ]
        return Section(
            "worst",
            heading,
            lines=lines,
            tables=[Table(("image", "class", "answered", "of its class"), rows, (3,))],
            missing=missing,
        )
    return Section("worst", heading, lines=lines, photos=[_photo(one, facts.labels) for one in found])


def _photo(one: Thumbnail, labels: Sequence[str]) -> Photo:
    mistake = one.mistake
    uri = "" if one.jpeg is None else f"data:image/jpeg;base64,{base64.b64encode(one.jpeg).decode('ascii')}"
    own = f"{100 * mistake.true_probability:.1f} % for its own class"
    return Photo(
        uri=uri,
        why=one.why,
        label=labels[mistake.label],
        answer=_answer(mistake, labels),
        told=f"{mistake.path} · {own}",
        wrong=mistake.label != mistake.answer,
    )


def _answer(mistake: Mistake, labels: Sequence[str]) -> str:
    sure = f"{100 * mistake.probability:.0f} %"
    return (
        f"right, with {sure}"
        if mistake.label == mistake.answer
        else f"taken for {labels[mistake.answer]}, with {sure}"
    )
