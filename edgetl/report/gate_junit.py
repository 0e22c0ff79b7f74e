"""What a gate came to, as JUnit XML: a test a model and a test a limit, which every CI system shows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

__all__ = ["document"]

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML 1.0 document may hold, escaped or not."""


def document(data: Mapping[str, Any]) -> str:
    """``failure`` where the answer is no, ``error`` where there is none: neither passes for a yes."""
    cases = [case for model in data["models"] for case in _cases(model)]
    failures = sum(kind == "failure" for kind, _ in cases)
    errors = sum(kind == "error" for kind, _ in cases)
    seconds = sum(model["seconds"] for model in data["models"])
    counts = f'tests="{len(cases)}" failures="{failures}" errors="{errors}" time="{seconds:.3f}"'
    body = "\n".join(text for _, text in cases)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="edgetl gate" {counts}>\n'
        f'<testsuite name="edgetl gate" {counts}>\n{body}\n</testsuite>\n</testsuites>\n'
    )


def _cases(model: Mapping[str, Any]) -> list[tuple[str, str]]:
    kinds = {"pass": "", "fail": "failure"}
    found = [
        _case(model, "latency", kinds.get(model["verdict"], "error"), model["sentence"], model["seconds"])
    ]
    kinds = {"within": "", "over": "failure"}
    return found + [
        _case(model, held["what"], kinds.get(held["verdict"], "error"), held["sentence"], 0.0)
        for held in model["limits"]
    ]


def _case(model: Mapping[str, Any], name: str, kind: str, sentence: str, seconds: float) -> tuple[str, str]:
    told = _FORBIDDEN.sub("?", sentence)
    head = f'<testcase classname={_quoted(model["name"])} name={_quoted(name)} time="{seconds:.3f}">'
    if not kind:
        return kind, f"{head}<system-out>{escape(told)}</system-out></testcase>"
    layers = _FORBIDDEN.sub("?", "\n".join(model["layers"] or []))
    return kind, f"{head}<{kind} message={_quoted(sentence)}>{escape(layers)}</{kind}></testcase>"


def _quoted(text: str) -> str:
    return quoteattr(_FORBIDDEN.sub("?", text))
