"""Roles for pictures with several labels, drawn so that each role has its share of every label."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set

from edgetl.data.grouping import Unit, units_of
from edgetl.errors import InputError
from edgetl.types import Role

__all__ = ["draw"]

Counts = dict[Role, dict[int, float]]


def draw(
    pool: Sequence[tuple[str, int]],
    shares: Sequence[tuple[Role, float]],
    contents: Mapping[str, str],
    groups: Mapping[str, str],
    names: Sequence[str],
    needed: Set[int],
    seed: int,
) -> dict[str, Role]:
    """A role for each path; pictures of one group, or of equal content, share it.

    Iterative stratification (Sechidis, Tsoumakas & Vlahavas 2011, ECML PKDD, algorithm 1): the rarest label that is
    left goes first, and each of its pictures to the role that lacks most of it, then to the one that lacks most
    pictures. Where a role is left without a label that it needs, a picture is moved there.

    Parameters
    ----------
    pool : path and label, a row for each label of a picture. shares : of every role but ``train``, which gets the rest.
    groups : by path. names : of the labels, for errors. needed : labels that every role must have.

    Raises
    ------
    InputError : a label that is needed has some pictures or groups, too few to be in every role.
    """
    units = units_of(pool, contents, groups, seed)
    roles: list[Role] = ["train", *(role for role, _ in shares)]
    held = Counter(label for unit in units for label in unit.counts)
    for label in sorted(needed):
        if 0 < held[label] < len(roles):  # with none, the check says in which role it is
            raise InputError(
                f"class {names[label]!r} has {held[label]} different picture(s) or group(s) to draw from, "
                f"at least {len(roles)} are needed: {' and '.join(roles)}",
                hint="add pictures to it, or leave the class out",
            )
    wanted = _wanted(units, shares)
    placed = _spread(units, roles, wanted)
    _mend(units, roles, placed, needed)
    return {path: placed[unit.order] for unit in units for path in unit.paths}


ALL = -1
"""Stands for the pictures of every label."""


def _counted(unit: Unit) -> dict[int, int]:
    return {**unit.counts, ALL: len(unit.paths)}


def _wanted(units: Sequence[Unit], shares: Sequence[tuple[Role, float]]) -> Counts:
    """Pictures that each role should have of each label, and of all; at least one, and ``train`` the rest."""
    totals: Counter[int] = Counter()
    for unit in units:
        totals.update(_counted(unit))
    wanted: Counts = {
        role: {label: max(1.0, share * of) for label, of in totals.items()} for role, share in shares
    }
    wanted["train"] = {label: of - sum(one[label] for one in wanted.values()) for label, of in totals.items()}
    return wanted


def _spread(units: Sequence[Unit], roles: Sequence[Role], wanted: Counts) -> dict[str, Role]:
    """The greedy draw: a role by each unit's order."""
    lacks: Counts = {role: dict(of) for role, of in wanted.items()}
    placed: dict[str, Role] = {}
    left = list(units)
    while left:
        held = Counter(label for unit in left for label in unit.counts)
        label = min(held, key=lambda one: (held[one], one))
        mine = sorted((u for u in left if label in u.counts), key=lambda u: (-u.counts[label], u.order))
        for unit in mine:
            role = max(roles, key=lambda r: (lacks[r][label], lacks[r][ALL], -roles.index(r)))
            placed[unit.order] = role
            for of, count in _counted(unit).items():
                lacks[role][of] -= count
        left = [unit for unit in left if label not in unit.counts]
    return placed


def _mend(units: Sequence[Unit], roles: Sequence[Role], placed: dict[str, Role], needed: Set[int]) -> None:
    """Give a role that lacks a label a unit of a role that can spare it."""
    have: dict[tuple[Role, int], int] = defaultdict(int)
    for unit in units:
        for label in unit.counts:
            have[placed[unit.order], label] += 1

    def spares(unit: Unit) -> bool:
        return all(have[placed[unit.order], label] > 1 for label in unit.counts if label in needed)

    for role in roles:
        for label in sorted(needed):
            able = [u for u in units if label in u.counts and spares(u)] if not have[role, label] else []
            if able:
                unit = max(able, key=lambda u: (have[placed[u.order], label], u.order))
                for of in unit.counts:
                    have[placed[unit.order], of] -= 1
                    have[role, of] += 1
                placed[unit.order] = role
