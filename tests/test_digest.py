"""The one spelling of JSON, and digests of bytes, files and trees."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetl import digest
from edgetl.types import TensorSpec

NO_DEADLINE = settings(deadline=None, max_examples=50)
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("aé∂"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abé"), inner),
    max_leaves=20,
)


def test_the_spelling_is_fixed() -> None:
    value = {"b": [1, 2.5, True, None], "a": "é\n"}
    assert digest.canonical_json(value) == '{"a":"é\\n","b":[1,2.5,true,null]}\n'.encode()


@NO_DEADLINE
@given(PLAIN)
def test_what_is_read_back_is_spelt_the_same(value: Any) -> None:
    told = digest.canonical_json(value)
    assert json.loads(told) == value
    assert digest.canonical_json(json.loads(told)) == told


@NO_DEADLINE
@given(st.dictionaries(st.text("abc", min_size=1), st.integers(), min_size=2))
def test_the_order_of_keys_does_not_matter_and_the_values_do(value: dict[str, int]) -> None:
    assert digest.of_json(value) == digest.of_json(dict(reversed(value.items())))
    first = next(iter(value))
    assert digest.of_json(value) != digest.of_json({**value, first: value[first] + 1})


def test_records_are_spelt_as_their_fields() -> None:
    spec = TensorSpec(name="input", dtype="uint8", shape=(None, 3))
    assert digest.of_json({"spec": spec}) == digest.of_json(
        {"spec": {"name": "input", "dtype": "uint8", "shape": [None, 3]}}
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1.0, -float("inf")]])
def test_what_json_cannot_say_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        digest.canonical_json(value)


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_a_file_has_the_digest_of_its_bytes(tmp_path: Path, size: int) -> None:
    body = b"ab" * (size // 2) + b"c" * (size % 2)
    (tmp_path / "f").write_bytes(body)
    assert digest.of_file(tmp_path / "f") == digest.of_bytes(body) == hashlib.sha256(body).hexdigest()


def test_a_tree_is_its_names_and_bytes_and_nothing_else(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub/é.txt").write_text("x")
        (tmp_path / name / "a").write_text("y")
    (tmp_path / "two/empty").mkdir()
    first, table = digest.of_tree(tmp_path / "one")
    assert sorted(table) == ["a", "sub/é.txt"]
    assert table["a"] == {"sha256": hashlib.sha256(b"y").hexdigest(), "size": 1}
    assert digest.of_tree(tmp_path / "two")[0] == first
    (tmp_path / "two/sub/é.txt").rename(tmp_path / "two/sub/e.txt")
    assert digest.of_tree(tmp_path / "two")[0] != first
    (tmp_path / "one/a").write_text("z")
    assert digest.of_tree(tmp_path / "one")[0] != first
    assert digest.of_tree(tmp_path / "one", ["sub/é.txt"])[1].keys() == {"sub/é.txt"}
