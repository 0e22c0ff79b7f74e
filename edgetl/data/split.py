"""Roles by chance, drawn by class from the pictures' contents, so that they are the same on every machine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from types import MappingProxyType

from edgetl import digest
from edgetl.data import grouping, stratify
from edgetl.errors import InputError
from edgetl.types import Role

__all__ = ["ROLE_NAMES", "SELECT_SHARE", "TEST_SHARE", "Row", "assign"]

SELECT_SHARE = 0.15
TEST_SHARE = 0.15

ROLE_NAMES: dict[str, Role] = {
    "train": "train",
    "training": "train",
    "val": "select",
    "valid": "select",
    "validation": "select",
    "test": "test",
    "testing": "test",
}
"""What roles are called by folders and tables."""
Row = tuple[str, str, "Role | None"]
"""Path, class name, and the role that the source gives or ``None``."""
Numbered = tuple[str, int, "Role | None"]


def assign(
    rows: Sequence[Numbered],
    contents: Mapping[str, str],
    classes: Sequence[str],
    seed: int,
    groups: Mapping[str, str] = MappingProxyType({}),
    needed: Set[int] | None = None,
) -> dict[str, Role]:
    """The role of each path.

    Parameters
    ----------
    rows : path, class index, and the role that the source gives or ``None``.
    contents : sha256 by path; pictures of equal content always share a role.
    classes : names, for errors.
    groups : by path; pictures of one group share the role that is drawn for them. Empty: there are none.
    needed : pictures have several labels, a row for each, and these are needed in every role; ``None``: they have one.

    Raises
    ------
    InputError : some rows have a role and some have none, or a class has too few pictures or groups for its roles.
    """
    given = {role for _, _, role in rows}
    if None in given and len(given) > 1:
        bare = next(path for path, _, role in rows if role is None)
        raise InputError(f"{bare} has no role and others have", hint="give every picture a role, or none")
    roles: dict[str, Role] = {path: role for path, _, role in rows if role is not None}
    if None in given:
        shares: list[tuple[Role, float]] = [("test", TEST_SHARE), ("select", SELECT_SHARE)]
        pool = [(path, label) for path, label, _ in rows]
    elif "select" in given:
        return roles
    elif "test" in given:
        shares = [("select", SELECT_SHARE)]
        pool = [(path, label) for path, label, role in rows if role == "train"]
    else:
        raise InputError(
            "every picture is in train: none is left to test on", hint="add a test (or val) folder or role"
        )
    if needed is not None:
        units = groups or {path: path for path, _ in pool}
        roles.update(stratify.draw(pool, shares, contents, units, classes, needed, seed))
    elif groups:
        roles.update(grouping.draw(pool, shares, contents, groups, classes, seed))
    else:
        roles.update(_draw(pool, shares, contents, classes, seed))
    return roles


def _draw(
    pool: Sequence[tuple[str, int]],
    shares: Sequence[tuple[Role, float]],
    contents: Mapping[str, str],
    classes: Sequence[str],
    seed: int,
) -> dict[str, Role]:
    """Give each role its share of every class, at least one picture, and ``train`` the rest, at least one."""
    groups: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path, label in pool:
        groups[label][contents[path]].append(path)
    drawn: dict[str, Role] = {}
    for label, by_content in groups.items():
        if len(by_content) <= len(shares):
            raise InputError(
                f"class {classes[label]!r} has {len(by_content)} different picture(s) to draw from, "
                f"at least {len(shares) + 1} are needed: train and {' and '.join(role for role, _ in shares)}",
                hint="add pictures to it, or leave the class out",
            )
        order = sorted(by_content, key=lambda content: digest.of_bytes(f"{seed}:{content}".encode()))
        start = 0
        for role, share in shares:
            count = max(1, round(share * len(order)))
            for content in order[start : start + count]:
                drawn.update(dict.fromkeys(by_content[content], role))
            start += count
        for content in order[start:]:
            drawn.update(dict.fromkeys(by_content[content], "train"))
    return drawn
