"""Options of trtexec that are typed here: each is answered with what says the same."""

from __future__ import annotations

import re

import pytest

from edgetl.cli import trtexec
from tests.cli.conftest import Run


@pytest.mark.parametrize(
    ("command", "option", "instead"),
    [
        ("compile", "--best", "--precision int8"),
        ("compile", "--int8", "edgetl quantize"),
        ("compile", "--fp16", "--precision default"),
        ("build", "--calib=cache.bin", "edgetl quantize"),
        ("build", "--minShapes=input:1x3x224x224", "options: {minShapes: VALUE} in a profile"),
        ("compile", "--saveEngine=m.plan", "--out DIR"),
        ("compile", "--useDLACore=0", "device: dla:N"),
        ("compile", "--workspace=1024", "memPoolSize=workspace"),
    ],
)
def test_an_option_of_trtexec_is_answered_with_its_replacement(
    run: Run, command: str, option: str, instead: str
) -> None:
    told = run(command, "model.onnx" if command == "compile" else "--data=x", option)
    assert told.code == 2
    assert f"edgetl {command} has no option '{option.partition('=')[0]}', which is trtexec's" in told.err
    assert instead in told.err


def test_what_is_neither_ours_nor_trtexecs_has_no_replacement() -> None:
    assert trtexec.replacement("--data") is None
    assert trtexec.replacement("--bestest") is None


def test_every_option_that_a_replacement_names_is_there(run: Run) -> None:
    told = " ".join(filter(None, map(trtexec.replacement, trtexec._REPLACED)))
    named = set(re.findall(r"--[a-z][a-z-]+", told))
    known = " ".join(run(command, "--help").out for command in ("compile", "build", "quantize"))
    assert named
    assert {option for option in named if option not in known} == set()
