"""The linter as a command: a model or a bundle, a target, and what the answer is."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgetl.bundles import Answer, opened
from edgetl.errors import GateFailed, InputError
from edgetl.quantize import lint as rules
from edgetl.quantize.lint import told

__all__ = ["lint", "list_rules"]

INT8 = "model.int8.onnx"


def lint(source: Path | None, target: str | None, *, strict: bool) -> Answer:
    """Hold a quantized model, or that of a bundle, to a target's rules; ``strict`` fails on warnings too.

    Raises
    ------
    InputError : nothing to judge, or no such target.
    """
    if source is None:
        raise InputError(
            "lint needs a model", hint="edgetl lint MODEL.onnx --target tensorrt, or --rules alone"
        )
    if not source.exists():
        raise InputError(f"no such model: {source}", hint="a quantized .onnx file, or a bundle")
    if source.suffix == ".onnx":
        return _answer(source, source, _named(target), strict)
    with opened(source) as bundle:
        model = bundle.folder / INT8
        if INT8 not in bundle.manifest.files:
            raise InputError(f"{source} has no INT8 model: there is nothing to hold to rules")
        return _answer(source, model, target or bundle.manifest.backend, strict)


def _answer(source: Path, model: Path, target: str, strict: bool) -> Answer:
    found = rules.lint(model, target)
    broken = [finding for finding in found if strict or finding.rule.level == "error"]
    sentence = told.verdict(source.name, target, found, len(rules.checked(target)))
    data = {
        "model": str(source),
        "target": target,
        "summary": sentence,
        "findings": [
            {**msgspec.to_builtins(finding.rule), "node": finding.node, "problem": finding.problem}
            for finding in found
        ],
    }
    lines = told.findings_lines(found)
    if not broken:
        return Answer(data, [*lines, f"  {sentence}"])
    return Answer(data, lines, GateFailed(sentence, hint="the lines above name nodes and mends"))


def list_rules(target: str | None) -> Answer:
    """Every rule of a target, those that no graph can break included."""
    target = _named(target)
    known = rules.rules_of(target)
    data = {"target": target, "rules": [msgspec.to_builtins(rule) for rule in known.values()]}
    return Answer(data, [*told.table_lines(known, rules.checked(target)), "", *told.legend()])


def _named(target: str | None) -> str:
    if target is None:
        raise InputError("whose rules is it held to?", hint=f"--target {'|'.join(rules.TARGETS)}")
    return target
