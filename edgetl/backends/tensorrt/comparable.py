"""How trtexec measures the same: its graph, spin and transfer choices, whose defaults 11.0 turned round."""

from __future__ import annotations

from collections.abc import Mapping

from edgetl.backends.tensorrt import stamp

__all__ = ["trtexec"]

TURNED = (11,)


def trtexec(facts: Mapping[str, str], version: str) -> str:
    """The choices of trtexec of a release that make its latency comparable with ours.

    Parameters
    ----------
    facts : of a CUDA session. version : of TensorRT.
    """
    graph, spin = facts["launch"] == "graph", facts["wait"] == "spin"
    if stamp.numbers(version) >= TURNED:
        chosen = {"--noCudaGraph": not graph, "--noSpinWait": not spin, "--includeDataTransfers": True}
    else:
        chosen = {"--useCudaGraph": graph, "--useSpinWait": spin}
    told = f"graph {_word(graph)}, spin {_word(spin)}, transfers on"
    flags = " ".join(flag for flag, wanted in chosen.items() if wanted)
    return f"{told}: {flags or 'no option'} of trtexec {version}"


def _word(on: bool) -> str:
    return "on" if on else "off"
