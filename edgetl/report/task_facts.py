"""One of several tasks, as a page shows it; older bundles have none."""

from __future__ import annotations

import msgspec

__all__ = ["TaskFacts"]


class TaskFacts(msgspec.Struct, frozen=True):
    """One of several tasks: accuracies from 0 to 1 of classes, ``mae`` of a value, and what was lost against f32."""

    name: str
    kind: str
    drop_pt: float
    drop_ci95_pt: tuple[float, float]
    verdict: str
    sentence: str
    budget_pt: float | None = None
    fp32: float | None = None
    shipped: float | None = None
    mae: dict[str, float] = {}
    labels: tuple[str, ...] = ()
    confusion: tuple[tuple[int, int, int], ...] = ()
    lines: tuple[str, ...] = ()

    def shipped_figure(self) -> float | None:
        """Of the shipped engine."""
        return self.mae.get("shipped") if self.kind == "value" else self.shipped

    def reference_figure(self) -> float | None:
        """Of f32."""
        return self.mae.get("fp32") if self.kind == "value" else self.fp32
