"""The methods by name, as data: what each reads and needs; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["METHODS", "PROBE", "TAUGHT", "TEACHER", "Known", "menu"]

TEACHER = "teacher"
"""The stage that leaves one."""
COMMON = ("epochs", "batch_size", "lr", "imbalance", "seed")
"""What every training reads of a request, beside how it varies pictures."""


@dataclass(frozen=True)
class Known:
    """What the rest of a build has to know of a method.

    Attributes
    ----------
    what : its line of ``--help``. spoken : how the summary calls what it trained.
    reads : fields of the request that shape its result, each a part of the stage's key.
    needs : stages that it reads beside those of every training.
    libraries : whose versions shape its result, beside those of every network.
    """

    what: str
    spoken: str
    reads: tuple[str, ...] = COMMON
    needs: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()


PROBE = "probe"
"""The stage that fits a head on frozen features, which other methods start from."""
METHODS: Mapping[str, Known] = {
    "auto": Known(
        "picks by the number of labels and by measuring, and says why",
        "chosen by measuring",
        needs=(PROBE,),
    ),
    "feature": Known("trains a head on frozen features", "feature method"),
    "full": Known("trains all weights", "all weights"),
    "discriminative": Known(
        "trains deep layers gently and late, from feature's head on",
        "rates by depth",
        needs=(PROBE,),
    ),
    "norm": Known(
        "trains norms, biases and the head",
        "norms, biases and head",
        needs=(PROBE,),
    ),
    "lora": Known(
        "trains low-rank updates, which are merged",
        "low-rank updates",
        reads=(*COMMON, "rank"),
        needs=(PROBE,),
        libraries=("peft",),
    ),
    "distill": Known(
        "trains all weights on what a teacher answers",
        "distilled from the teacher",
        reads=(*COMMON, "kd_temperature"),
        needs=(TEACHER,),
    ),
    "rkd": Known(
        "also on how the teacher's embeddings lie to each other",
        "answers and relations of the teacher",
        reads=(*COMMON, "kd_temperature"),
        needs=(TEACHER,),
    ),
}
TAUGHT = tuple(name for name, known in METHODS.items() if TEACHER in known.needs)
"""Methods that learn from a teacher."""


def menu() -> str:
    """One phrase a method, for the help.

    >>> menu().split("; ")[1]
    'feature trains a head on frozen features'
    """
    return "; ".join(f"{name} {known.what}" for name, known in METHODS.items())
