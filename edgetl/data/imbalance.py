"""Classes of unequal size: when training should make up for it, and by how much."""

from __future__ import annotations

from collections.abc import Sequence

from edgetl.types import Record

__all__ = ["AUTO_FROM", "WAYS", "Balance", "decide"]

WAYS = ("auto", "weights", "sampling", "none")
AUTO_FROM = 3.0
"""``auto`` weighs classes from this ratio of the largest to the smallest on: below it, it changes little."""


class Balance(Record, frozen=True, kw_only=True):
    """What training does about classes of unequal size.

    Attributes
    ----------
    way : ``weights`` in the loss, balanced ``sampling``, or ``none``.
    ratio : pictures to train on of the largest class, to those of the smallest.
    weights : of each class, (classes,), a mean of 1 over the pictures; empty for ``none``.
    chosen : ``auto`` decided it.
    """

    way: str
    ratio: float
    weights: tuple[float, ...] = ()
    chosen: bool = False

    def notes(self) -> list[str]:
        """What a user who did not ask for it should read."""
        if not self.chosen or self.way == "none":
            return []
        return [
            f"the largest class has {self.ratio:.1f} times the pictures of the smallest to train on: classes are "
            "weighted by inverse frequency, and probabilities are those of equally frequent classes "
            "(--imbalance none leaves it)"
        ]

    def said(self) -> str:
        """The end of a line of the summary; empty for ``none``."""
        return {"none": "", "weights": f" · classes weighted, {self.ratio:.1f} : 1"}.get(
            self.way, f" · classes sampled evenly, {self.ratio:.1f} : 1"
        )


def decide(asked: str, counts: Sequence[int]) -> Balance:
    """What ``--imbalance`` comes to for classes of so many pictures, all above 0.

    A class weighs ``n / (classes * its pictures)`` (King & Zeng 2001, Polit. Anal. 9:137-163; scikit-learn's
    ``balanced``), so that all classes weigh the same together; sampling draws pictures with these odds.

    >>> decide("auto", [90, 10]).weights
    (0.5555555555555556, 5.0)
    >>> decide("auto", [20, 10]).way
    'none'
    """
    ratio = max(counts) / min(counts)
    way = asked if asked != "auto" else ("weights" if ratio >= AUTO_FROM else "none")
    weights = () if way == "none" else tuple(sum(counts) / (len(counts) * count) for count in counts)
    return Balance(way=way, ratio=ratio, weights=weights, chosen=asked == "auto")
