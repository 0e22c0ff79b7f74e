"""Results of one engine after another, as small files that a repository can hold, and where they changed for good."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Literal

import msgspec

from edgetl import stats
from edgetl.bench.changes import change_points
from edgetl.bench.fingerprint import Host, Subject, differences
from edgetl.types import Record

__all__ = ["KIND", "SCHEMA", "Change", "Result", "Series", "file_name", "series", "written"]

SCHEMA = 1
KIND: Literal["edgetl result"] = "edgetl result"


class Result(Record, frozen=True, kw_only=True):
    """What one build came to on one host.

    Attributes
    ----------
    name : of the bundle. created : UTC, ISO 8601. commit : git commit of the folder that the build ran in.
    manifest : sha256 of the bundle's manifest, which tells two results apart.
    model : what was trained. candidate : what ships.
    p50_ms : median of each fresh instance, in the order they were measured.
    accuracy : top-1 on n test images, 0 to 1. size_bytes : of the engine.
    subject, host : results are one series only where these are the same.
    """

    kind: Literal["edgetl result"] = KIND
    schema: int = SCHEMA
    name: str
    created: str
    commit: str | None
    manifest: str
    model: str
    candidate: str
    p50_ms: tuple[float, ...]
    accuracy: float | None = None
    n: int | None = None
    size_bytes: int | None = None
    subject: Subject
    host: Host

    def centre(self) -> float:
        """Hodges-Lehmann over the fresh instances, milliseconds."""
        return stats.hodges_lehmann(self.p50_ms)

    def interval(self) -> tuple[float, float] | None:
        """95 % interval of it; ``None`` of one instance alone."""
        return stats.signed_rank_interval(self.p50_ms)


@dataclass(frozen=True)
class Change:
    """The first result after a change, by its place in the series, and the mean p50 before and after it, ms."""

    at: int
    before_ms: float
    after_ms: float

    @property
    def ratio(self) -> float:
        """Time after the change over that before it."""
        return self.after_ms / self.before_ms


@dataclass(frozen=True)
class Series:
    """Results that can be compared, by time.

    Attributes
    ----------
    apart : why they are not compared with the series of the same name before them; empty for the first.
    """

    results: tuple[Result, ...]
    changes: tuple[Change, ...]
    apart: tuple[str, ...]

    def means_ms(self) -> list[tuple[int, int, float]]:
        """First result, the one after the last, and mean p50 of each part between two changes."""
        cuts = [0, *(change.at for change in self.changes), len(self.results)]
        return [(first, end, _mean(self.results[first:end])) for first, end in pairwise(cuts)]


def series(results: Iterable[Result]) -> list[Series]:
    """Results as series: of one bundle's name and device, split where host or question differ; each by time.

    The same result given twice counts once.
    """
    unique = {result.manifest: result for result in results}
    ordered = sorted(unique.values(), key=lambda result: (result.created, result.manifest))
    groups: dict[bytes, list[Result]] = {}
    for result in ordered:
        groups.setdefault(_key(result), []).append(result)
    found: list[Series] = []
    last: dict[tuple[str, str], Result] = {}
    for members in sorted(
        groups.values(), key=lambda group: (group[0].name, group[0].subject.device, group[0].created)
    ):
        first = members[0]
        whose = (first.name, first.subject.device)
        before = last.get(whose)
        found.append(
            Series(tuple(members), tuple(_changes(members)), () if before is None else _apart(first, before))
        )
        last[whose] = first
    return found


def _key(result: Result) -> bytes:
    return msgspec.json.encode([result.name, result.subject, result.host], order="sorted")


def _apart(result: Result, other: Result) -> tuple[str, ...]:
    return (*differences(result.subject, other.subject), *differences(result.host, other.host))


def _changes(results: Sequence[Result]) -> list[Change]:
    cuts = [0, *change_points([math.log(result.centre()) for result in results]), len(results)]
    parts = [_mean(results[first:end]) for first, end in pairwise(cuts)]
    return [Change(at, *means) for at, means in zip(cuts[1:-1], pairwise(parts))]


def _mean(results: Sequence[Result]) -> float:
    """Geometric, as ratios are what is looked at."""
    return math.exp(fmean(math.log(result.centre()) for result in results))


def written(result: Result) -> bytes:
    """A result as a repository likes it: sorted keys, a line a value, so that a change shows in a diff."""
    return msgspec.json.format(msgspec.json.encode(result, order="sorted"), indent=1) + b"\n"


def file_name(result: Result) -> str:
    """``name-device-time-digest.json``, of characters that every file system takes.

    Sorted by name, results of one bundle and device stand by time.
    """
    stamp = re.sub(r"\D", "", result.created)
    parts = (result.name, result.subject.device, stamp, result.manifest[:8])
    return "-".join(re.sub(r"[^\w.-]+", "_", part).lstrip(".") for part in parts) + ".json"
