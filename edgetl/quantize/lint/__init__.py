"""Hold a Q/DQ graph, ours or anyone's, to the rules of the target that it is for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from edgetl.errors import InputError, did_you_mean
from edgetl.quantize import graph as graphs
from edgetl.quantize.lint import dla, form, known, openvino, placement, types
from edgetl.quantize.lint.pairs import Pairs
from edgetl.quantize.lint.rules import Fault, Finding, Rule

__all__ = ["TARGETS", "checked", "lint", "rules_of"]

Check = Callable[[Pairs], Iterable[Fault]]

_TENSORRT = {**form.CHECKS, **placement.CHECKS, **types.CHECKS}

TARGETS: Mapping[str, tuple[Mapping[str, Check], Mapping[str, Rule]]] = {
    "tensorrt": (_TENSORRT, known.TENSORRT),
    # a residual Add is an operator of its own on DLA, with a pair on both inputs, and a global pool runs elsewhere
    "tensorrt-dla": (
        {number: check for number, check in _TENSORRT.items() if number not in ("R16", "R18")}
        | dict(dla.CHECKS),
        known.TENSORRT,
    ),
    "openvino": (openvino.CHECKS, known.OPENVINO),
}


def rules_of(target: str) -> Mapping[str, Rule]:
    """Every rule of a target by its number, those that no graph can break included.

    Raises
    ------
    InputError : there is no such target.
    """
    return _target(target)[1]


def checked(target: str) -> frozenset[str]:
    """Numbers of the rules that a target's graphs are held to.

    Raises
    ------
    InputError : there is no such target.
    """
    return frozenset(_target(target)[0])


def lint(model: Path, target: str) -> list[Finding]:
    """What in a model breaks a target's rules; errors first, then in the order of the rules.

    Raises
    ------
    InputError : it cannot be read as ONNX, has no Q/DQ pair to judge, or the target is not known.
    """
    checks, table = _target(target)
    pairs = Pairs(graphs.read(model))
    found = [
        Finding(rule=table[number], node=fault.node, problem=fault.problem)
        for number, check in checks.items()
        for fault in check(pairs)
    ]
    if not pairs.halves and not any(finding.rule.level == "error" for finding in found):
        raise InputError(
            f"{model.name} has no QuantizeLinear or DequantizeLinear: there is nothing to hold to rules",
            hint="edgetl quantize makes such a graph from a float one",
        )
    return sorted(found, key=lambda finding: finding.rule.level != "error")


def _target(name: str) -> tuple[Mapping[str, Check], Mapping[str, Rule]]:
    if name not in TARGETS:
        raise InputError(
            f"no lint target {name!r}.{did_you_mean(name, TARGETS)}", hint=f"one of {', '.join(TARGETS)}"
        )
    return TARGETS[name]
