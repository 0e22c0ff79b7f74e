"""Roles are drawn by class, the same on every machine, and never part equal pictures."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetl.data import split
from edgetl.errors import InputError
from edgetl.types import Role

sizes = st.lists(st.integers(3, 60), min_size=2, max_size=5)


def rows_of(counts: list[int], role: Role | None = None) -> list[tuple[str, int, Role | None]]:
    return [(f"{label}/{n}", label, role) for label, count in enumerate(counts) for n in range(count)]


def assigned(
    rows: list[tuple[str, int, Role | None]], contents: dict[str, str], seed: int = 0
) -> dict[str, Role]:
    classes = [str(label) for label in range(1 + max(label for _, label, _ in rows))]
    return split.assign(rows, contents, classes, seed)


@given(sizes, st.integers(0, 5))
def test_every_class_has_its_share_in_every_role(counts: list[int], seed: int) -> None:
    rows = rows_of(counts)
    roles = assigned(rows, {path: path for path, _, _ in rows}, seed)
    for label, count in enumerate(counts):
        found = Counter(roles[path] for path, of, _ in rows if of == label)
        assert set(found) == {"train", "select", "test"}
        assert abs(found["test"] - 0.15 * count) <= 1
        assert abs(found["select"] - 0.15 * count) <= 1


@given(sizes, st.randoms(use_true_random=False))
def test_the_order_of_the_files_changes_nothing(counts: list[int], rng: object) -> None:
    rows = rows_of(counts)
    contents = {path: path for path, _, _ in rows}
    shuffled = list(rows)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    assert assigned(rows, contents) == assigned(shuffled, contents)


@given(st.lists(st.integers(0, 9), min_size=20, max_size=60))
def test_pictures_of_equal_content_share_a_role(kinds: list[int]) -> None:
    kinds = [*kinds, *range(10)]
    rows: list[tuple[str, int, Role | None]] = [(str(n), 0, None) for n in range(len(kinds))]
    contents = {str(n): str(kind) for n, kind in enumerate(kinds)}
    roles = assigned(rows, contents)
    for kind in range(10):
        assert len({roles[path] for path, content in contents.items() if content == str(kind)}) == 1


def test_another_seed_draws_others() -> None:
    rows = rows_of([60, 60])
    contents = {path: path for path, _, _ in rows}
    assert assigned(rows, contents, 0) != assigned(rows, contents, 1)


def test_select_comes_from_train_where_a_test_set_is_given() -> None:
    rows = rows_of([40, 40], "train") + [(f"t{n}", n % 2, "test") for n in range(20)]
    roles = assigned(rows, {path: path for path, _, _ in rows})
    assert Counter(roles.values()) == {"train": 68, "select": 12, "test": 20}
    assert all(roles[f"t{n}"] == "test" for n in range(20))


def test_a_class_with_one_picture_is_named() -> None:
    rows = rows_of([10, 1])
    with pytest.raises(InputError, match=r"class '1' has 1 different picture"):
        assigned(rows, {path: path for path, _, _ in rows})


def test_a_role_for_some_only_is_refused() -> None:
    rows = [*rows_of([4, 4]), ("odd", 0, "train")]
    with pytest.raises(InputError, match="has no role"):
        assigned(rows, {path: path for path, _, _ in rows})
