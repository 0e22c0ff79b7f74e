"""Write the rules as a page of the documentation: ``python -m edgetl.quantize.lint.page > docs/lint-rules.md``."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from edgetl.quantize.lint.known import OPENVINO, TENSORRT
from edgetl.quantize.lint.rules import Level, Rule

__all__ = ["page"]

CLASSES: Mapping[Level, str] = {
    "error": "error",
    "warning": "warning",
    "build": "check at build time",
    "unchecked": "not checkable in a graph",
}

HEAD = """\
# What `edgetl lint` holds a graph to

```
edgetl lint MODEL.onnx --target tensorrt        # or tensorrt-dla, openvino; a bundle knows its own
edgetl lint MODEL.onnx --target tensorrt --json # every node, for a machine
edgetl lint --rules --target tensorrt           # the list below
```

It takes any Q/DQ graph, ours or anyone's, and names node, rule, what mends it and who says so. An **error** is refused
by the target or computes something else there: exit 1. A **warning** is accepted and costs time or accuracy: exit 0,
and 1 with `--strict`. What only the vendor's builder on the device can tell is **checked at build time**; the rest
shows in no graph.

None of the rules for TensorRT was tried on an NVIDIA device here: each names its source instead. `tensorrt-dla` leaves
R16 and R18 out, for its Add is no part of a convolution and a global pool does not run there.

This page is written by `python -m edgetl.quantize.lint.page`.
"""


def page() -> str:
    """The whole page, as Markdown."""
    tables = ("## TensorRT", "", *_table(TENSORRT), "", "## OpenVINO (CPU)", "", *_table(OPENVINO))
    return "\n".join([HEAD, *tables, ""])


def _table(rules: Mapping[str, Rule]) -> list[str]:
    rows = [
        "| rule | class | what it says | mend, or what stands in its place | source |",
        "|---|---|---|---|---|",
    ]
    for rule in rules.values():
        cells = (rule.number, CLASSES[rule.level], rule.says, rule.mend, rule.source)
        rows.append(f"| {' | '.join(cells)} |")
    return rows


if __name__ == "__main__":
    sys.stdout.write(page())
