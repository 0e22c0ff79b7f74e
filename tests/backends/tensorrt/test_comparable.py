"""trtexec's defaults are not the same in all releases: ours are told in the words of the one at hand."""

from __future__ import annotations

import pytest

from edgetl.backends.tensorrt.comparable import trtexec


@pytest.mark.parametrize(
    ("version", "launch", "wait", "told"),
    [
        ("10.3.0", "graph", "spin", "graph on, spin on, transfers on: --useCudaGraph --useSpinWait of trtexec 10.3.0"),
        ("10.3.0", "plain: shapes are free", "block", "graph off, spin off, transfers on: no option of trtexec 10.3.0"),
        ("11.0.0", "graph", "spin", "graph on, spin on, transfers on: --includeDataTransfers of trtexec 11.0.0"),
        (
            "11.0.0", "plain: shapes are free", "yield",
            "graph off, spin off, transfers on: "
            "--noCudaGraph --noSpinWait --includeDataTransfers of trtexec 11.0.0",
        ),
    ],
)  # fmt: skip
def test_the_options_are_those_of_the_release(version: str, launch: str, wait: str, told: str) -> None:
    assert trtexec({"launch": launch, "wait": wait}, version) == told
