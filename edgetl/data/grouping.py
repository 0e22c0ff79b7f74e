"""Pictures that belong together (one patient, lesion, plate or drive), and roles that never part them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgetl import digest
from edgetl.errors import InputError
from edgetl.types import Role

__all__ = ["EXAMPLE", "Unit", "draw", "found_in", "groups_of", "is_pattern", "units_of"]

PREFIX = "regex:"
EXAMPLE = r"regex:(patient\d+)_"


def is_pattern(group_by: str) -> bool:
    """Whether it is a pattern over the paths; else it is a column of the table."""
    return group_by.startswith(PREFIX)


def groups_of(paths: Sequence[str], group_by: str | None, column: Mapping[str, str]) -> dict[str, str]:
    """The group of each path; empty where pictures are not grouped.

    Parameters
    ----------
    group_by : ``regex:PATTERN``, or the name of a column whose values are ``column``, by path.

    Raises
    ------
    InputError : it is no pattern with one group, or a picture has no group by it.
    """
    if group_by is None:
        return {}
    if not is_pattern(group_by):
        found = {path: column.get(path, "") for path in paths}
        mend = "fill the column, with a value of its own for a picture that belongs to no other"
    else:
        pattern = _compiled(group_by)
        hits = {path: pattern.search(path) for path in paths}
        found = {path: (hit[1] or "") if hit else "" for path, hit in hits.items()}
        mend = f"the pattern is searched in the path below the data: --group-by '{EXAMPLE}'"
    bare = [path for path, group in found.items() if not group]
    if bare:
        raise InputError(
            f"--group-by {group_by}: {len(bare)} of {len(paths)} pictures have no group, the first {bare[0]}",
            hint=mend,
            pictures=bare[:20],
        )
    return found


def found_in(path: str, group_by: str) -> str:
    """The group that a pattern finds in a path; empty where it finds none, or where it is a column's name."""
    hit = _compiled(group_by).search(path) if is_pattern(group_by) else None
    return (hit[1] or "") if hit else ""


def _compiled(group_by: str) -> re.Pattern[str]:
    text = group_by.removeprefix(PREFIX)
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise InputError(
            f"--group-by {group_by}: not a regular expression: {error}", hint=f"--group-by '{EXAMPLE}'"
        ) from error
    if pattern.groups != 1:
        raise InputError(
            f"--group-by {group_by} has {pattern.groups} groups in parentheses, expected 1",
            hint=f"the one names what pictures share: --group-by '{EXAMPLE}'; (?:...) does not count",
        )
    return pattern


@dataclass(frozen=True)
class Unit:
    """Pictures that share a role; ``counts`` of them by class, ``order`` to break ties by."""

    paths: tuple[str, ...]
    counts: Mapping[int, int]
    order: str


def draw(
    pool: Sequence[tuple[str, int]],
    shares: Sequence[tuple[Role, float]],
    contents: Mapping[str, str],
    groups: Mapping[str, str],
    classes: Sequence[str],
    seed: int,
) -> dict[str, Role]:
    """Roles for whole groups, by class as near to the shares as groups allow; each role gets some of every class.

    Greedy, the class with the fewest groups first and its largest groups first, each to the role that it leaves
    least full: iterative stratification (Sechidis, Tsoumakas & Vlahavas 2011, ECML PKDD) over groups, as
    scikit-learn's ``StratifiedGroupKFold`` does for equal folds. Equal pictures join their groups.

    Parameters
    ----------
    pool : path and class index. shares : of every role but ``train``, which gets the rest.

    Raises
    ------
    InputError : a class has too few groups to be in every role.
    """
    units = units_of(pool, contents, groups, seed)
    roles: list[Role] = ["train", *(role for role, _ in shares)]
    _check_enough(units, roles, classes)
    wanted = _targets(units, shares)
    given: dict[Role, dict[int, int]] = {role: defaultdict(int) for role in roles}
    drawn: dict[str, Role] = {}
    left = list(units)
    while left:
        held = Counter(label for unit in left for label in unit.counts)
        label = min(held, key=lambda c: (held[c], c))
        mine = sorted((u for u in left if label in u.counts), key=lambda u: (-u.counts[label], u.order))
        for rest, unit in zip(range(len(mine), 0, -1), mine):
            bare = [role for role in roles if not given[role][label]]
            able = bare if len(bare) >= rest else roles
            role = max(able, key=lambda r: (_room(wanted[r], given[r], unit, label), -roles.index(r)))
            drawn.update(dict.fromkeys(unit.paths, role))
            for of, count in unit.counts.items():
                given[role][of] += count
        left = [unit for unit in left if label not in unit.counts]
    _check_every_role(given, classes)
    return drawn


def _room(wanted: Mapping[int, float], given: Mapping[int, int], unit: Unit, label: int) -> float:
    """Share of a role's pictures of a class that would still be missing with a unit; below 0 it has too many."""
    return (wanted[label] - given[label] - unit.counts[label]) / wanted[label]


def _targets(units: Sequence[Unit], shares: Sequence[tuple[Role, float]]) -> dict[Role, dict[int, float]]:
    totals = {label: sum(unit.counts.get(label, 0) for unit in units) for label in _labels(units)}
    wanted: dict[Role, dict[int, float]] = {
        role: {label: max(1.0, round(share * total)) for label, total in totals.items()}
        for role, share in shares
    }
    wanted["train"] = {
        label: max(1.0, total - sum(of[label] for of in wanted.values())) for label, total in totals.items()
    }
    return wanted


def _labels(units: Sequence[Unit]) -> set[int]:
    return {label for unit in units for label in unit.counts}


def units_of(
    pool: Sequence[tuple[str, int]], contents: Mapping[str, str], groups: Mapping[str, str], seed: int
) -> list[Unit]:
    """Groups, joined where they hold a picture of equal content; in an order that the files' order does not change."""
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while parent.setdefault(key, key) != key:
            parent[key] = key = parent[parent[key]]
        return key

    for path, _ in pool:
        parent[root(f"content {contents[path]}")] = root(f"group {groups[path]}")
    members: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for path, label in pool:
        members[root(f"group {groups[path]}")].append((path, label))
    return sorted((_unit(rows, contents, seed) for rows in members.values()), key=lambda unit: unit.order)


def _unit(rows: Sequence[tuple[str, int]], contents: Mapping[str, str], seed: int) -> Unit:
    counts: dict[int, int] = defaultdict(int)
    for _, label in rows:
        counts[label] += 1
    order = digest.of_json([seed, sorted(contents[path] for path, _ in rows)])
    return Unit(tuple(path for path, _ in rows), dict(counts), order)


def _check_enough(units: Sequence[Unit], roles: Sequence[Role], classes: Sequence[str]) -> None:
    for label in sorted(_labels(units)):
        count = sum(label in unit.counts for unit in units)
        if count < len(roles):
            raise InputError(
                f"class {classes[label]!r} has pictures of {count} different group(s) to draw from, "
                f"at least {len(roles)} are needed: {' and '.join(roles)}",
                hint="add groups to it, leave the class out, or give roles of your own",
            )


def _check_every_role(given: Mapping[Role, Mapping[int, int]], classes: Sequence[str]) -> None:
    """Groups with several classes can leave a role without one of them."""
    for role, counts in given.items():
        for label in {label for of in given.values() for label in of}:
            if not counts.get(label):
                raise InputError(
                    f"no way was found to keep groups whole and have class {classes[label]!r} in {role}",
                    hint="another --seed, or roles of your own: a role column in the table",
                )
