"""Every name of TensorRT's that the backend uses is there in five releases, or behind a guard; no library is needed."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

PROGRAMS = Path(__file__).parents[3] / "benchmarks"
OURS = {"append", "log", "name", "read"}
"""Names of ours, of lists and of paths that TensorRT has for something else."""
DUMP = {
    "meta": {"version": "1.0"},
    "functions": {"make": ["make(a: int, b: str = '') -> Thing"]},
    "classes": {
        "Thing": {
            "methods": {
                "__init__": ["__init__(self: Thing, size: int) -> None"],
                "part": ["part(self: Thing, index: int) -> nvinfer1::IPart"],
                "call": ["call(self: Thing, words: List[int]) -> None"],
            },
            "attributes": {"size": "r", "level": "rw"},
        },
        "Part": {"attributes": {"title": "r"}, "methods": {}},
        "Flag": {"enum": {"OLD": 0}},
    },
}


@pytest.fixture(scope="module")
def api() -> Iterator[Any]:
    """The walk that the benchmark program runs, and the reader of dumps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(PROGRAMS)
        walk, names = (importlib.import_module(f"_tensorrt_{part}") for part in ("api", "names"))
        yield SimpleNamespace(**{**vars(names), **vars(walk)})


@pytest.fixture(scope="module")
def known(api: Any, shared: Path) -> Any:
    """The names of five releases."""
    found = api.releases(shared / "tensorrt-api")
    assert [release.version.split(".")[0] for release in found] == ["10", "10", "10", "11", "8"]
    return found


def test_the_backend_uses_no_name_that_a_release_lacks(api: Any, known: Any) -> None:
    faults, uses = api.audit(api.sources(), known)
    assert faults == []
    assert len(uses) > 100


def test_nothing_that_may_be_the_vendors_goes_unlooked_at(api: Any, known: Any) -> None:
    _, uses = api.audit(api.sources(), known)
    words = set().union(*(release.words() for release in known))
    passed_over = {
        (module, node.lineno, node.attr)
        for module, text in api.sources().items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute) and node.attr in words
    } - uses
    assert {name for _, _, name in passed_over} <= OURS


def test_every_mistake_that_is_planted_is_found(api: Any, known: Any) -> None:
    mistakes = api.planted(api.sources())
    assert len(mistakes) == 5
    for texts, word in mistakes:
        faults, _ = api.audit(texts, known)
        assert any(word in fault.problem for fault in faults), word


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("trt.Thing(1).part(0).title", None),
        ("trt.Thng(1)", "there is no Thng"),
        ("trt.Thing()", "does not take these arguments (0)"),
        ("trt.Thing(1).part(0).titel", "there is no Part.titel"),
        ("trt.Thing(1).size = 2", "cannot be set"),
        ("trt.Thing(1).level = 2", None),
        ("trt.make(1, b='x').call([1, 2])", None),
        ("trt.make(1, c='x')", "does not take these arguments (1, c)"),
        ("trt.Thing(1).size.bits", "type is not known"),
        ("getattr(trt.Flag, name)", "cannot be checked"),
        ("trt.Flag.NEW", "there is no Flag.NEW"),
        ("if hasattr(trt.Flag, 'NEW'): trt.Flag.NEW", "which none has"),
        ("if hasattr(trt.Flag, 'OLD') and trt.Flag.OLD: pass", None),
        ("x = [trt.Thing(n) for n in y]\nfor t in x: t.prat(1)", "there is no Thing.prat"),
        ("def f(t: trt.Thing) -> None: t.call()", "does not take these arguments (0)"),
        ("def f(t: trt.Thin) -> None: t.call()", "there is no Thin"),
        ("class Own(trt.Thing):\n    def call(self): pass", "does not take these arguments (0)"),
        ("class Own(trt.Thing):\n    def calls(self, words): pass", "overrides nothing"),
    ],
)
def test_the_walk_sees(api: Any, code: str, problem: str | None) -> None:
    faults, _ = api.audit({"own.py": code}, [api.Release(DUMP)])
    assert [problem in fault.problem for fault in faults] == ([] if problem is None else [True])


def test_a_guard_answers_for_each_release(api: Any) -> None:
    new = {**DUMP, "meta": {"version": "2.0"}, "classes": {**DUMP["classes"], "Flag": {"enum": {"NEW": 0}}}}  # type: ignore[dict-item]
    both = [api.Release(DUMP), api.Release(new)]
    guarded = (
        "def f() -> int:\n"
        "    if not hasattr(trt.Flag, 'NEW'):\n"
        "        return trt.Flag.OLD\n"
        "    return trt.Flag.NEW\n"
    )
    assert api.audit({"own.py": guarded}, both)[0] == []
    faults, _ = api.audit({"own.py": guarded.replace("not ", "")}, both)
    assert {fault.problem for fault in faults} == {"there is no Flag.OLD", "there is no Flag.NEW"}
