"""What MLPerf's LoadGen was asked for, and what it said: its log read, and told beside our times."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from edgetl.bench.measurement import percentiles_ms
from edgetl.errors import EnvironmentLacks
from edgetl.types import LatencyBudget, Record

__all__ = ["AHEAD", "SCENARIOS", "SHARES", "Driven", "Load", "Scenario", "parse", "reasons"]

Scenario = Literal["single-stream", "multi-stream", "server", "offline"]
SCENARIOS: tuple[Scenario, ...] = ("single-stream", "multi-stream", "server", "offline")
AHEAD = 2
"""Inferences in flight offline: the next is in the engine's queue when one ends."""
_LATENCIES = ("percentile_per_query_latency_ns", "percentile_latency_ns")
"""Names of a percentile in LoadGen's log; the second is of single samples where a query has several."""
SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
_MARK = ":::MLLOG "


class Load(Record, frozen=True, kw_only=True):
    """What LoadGen is asked for.

    Attributes
    ----------
    scenario : one of ``SCENARIOS``. seconds, runs : LoadGen goes on until both are reached.
    streams : samples a query of ``multi-stream``. qps : mean arrivals a second of ``server``.
    bound : latency that the queries of ``server`` must keep, from their arrival.
    """

    scenario: Scenario
    seconds: float
    runs: int
    streams: int = 1
    qps: float | None = None
    bound: LatencyBudget | None = None


class Driven(Record, frozen=True, kw_only=True):
    """What came of it.

    Attributes
    ----------
    load : what was asked. version : of LoadGen.
    valid : LoadGen's own word; ``reasons`` where it is not. met : its queries kept the bound (``server``).
    result : every figure of LoadGen's log by its name there (``result_90.00_percentile_latency_ns``).
    samples_ns : our times of the inferences. wild : outputs in which the engine answered NaN or infinity.
    partial : why it was cut short, and LoadGen's figures are void; empty for a whole run.
    """

    load: Load
    version: str
    valid: bool
    met: bool
    reasons: str
    result: dict[str, float]
    samples_ns: tuple[int, ...]
    wild: tuple[str, ...] = ()
    partial: str = ""

    def loadgen_ms(self) -> dict[str, float | None]:
        """LoadGen's percentiles of a query, in milliseconds; ``None`` where it gave none."""
        found = {
            name: next(
                (
                    ns
                    for kind in _LATENCIES
                    if (ns := self.result.get(f"result_{100 * q:.2f}_{kind}")) is not None
                ),
                None,
            )
            for name, q in SHARES.items()
        }
        return {name: None if ns is None else ns / 1e6 for name, ns in found.items()}

    def per_second(self) -> float | None:
        """Queries (offline: samples) a second, as LoadGen counts them."""
        names = (
            "result_qps_with_loadgen_overhead",
            "result_completed_samples_per_sec",
            "result_samples_per_second",
        )
        return next((self.result[name] for name in names if name in self.result), None)

    def summary(self) -> dict[str, Any]:
        """LoadGen's result beside ours."""
        return {
            "scenario": self.load.scenario,
            "loadgen": {
                "version": self.version,
                "valid": self.valid,
                "reasons": self.reasons,
                "latency_ms": self.loadgen_ms(),
                "per_second": self.per_second(),
                "result": self.result,
            },
            "latency_ms": percentiles_ms(self.samples_ns),
        }

    def lines(self) -> list[str]:
        """LoadGen's result and ours, one line each."""
        unit = "samples" if self.load.scenario == "offline" else "queries"
        lines = [f"  scenario   {self.load.scenario}{self._asked()}"]
        if self.partial:
            lines.append("  LoadGen    no result: it was cut short")
        else:
            rate = self.per_second()
            speed = "" if rate is None else f" · {rate:.1f} {unit} a second"
            latency = "" if self.load.scenario == "offline" else f" · {_told(self.loadgen_ms())}"
            word = "VALID" if self.valid else f"INVALID ({self.reasons})"
            lines.append(f"  LoadGen    {self.version}: {word}{latency}{speed}")
        ours = percentiles_ms(self.samples_ns)
        shown = {name: ms for name, ms in ours.items() if name != "n"}
        flight = f", {AHEAD} in flight" if self.load.scenario == "offline" else ""
        return [*lines, f"  ours       {_told(shown)} an inference · {len(self.samples_ns)} of them{flight}"]

    def _asked(self) -> str:
        load = self.load
        if load.scenario == "multi-stream":
            return f", {load.streams} samples a query"
        if load.scenario == "server" and load.qps is not None and load.bound is not None:
            return f", {load.qps:g} arrivals a second, within {load.bound.ms:g} ms at {load.bound.at}"
        return ""


def _told(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {'n/a' if ms is None else f'{ms:.3f} ms'}" for name, ms in found.items())


def parse(log: str) -> dict[str, Any]:
    """What LoadGen's detailed log says by key, the last word of each.

    Raises
    ------
    EnvironmentLacks : it has no result: LoadGen says nothing where it cannot write.
    """
    found: dict[str, Any] = {}
    for line in log.splitlines():
        if not line.startswith(_MARK):
            continue
        try:
            entry = json.loads(line[len(_MARK) :])
        except json.JSONDecodeError:  # the line at which a full disk stopped it
            continue
        if str(entry["key"]).startswith(("result_", "early_stopping_")):
            found[entry["key"]] = entry["value"]
    if "result_validity" not in found:
        raise EnvironmentLacks(
            "LoadGen wrote no result into its log", hint="is there space left for temporary files? df -h"
        )
    return found


def reasons(found: Mapping[str, Any]) -> str:
    """Why LoadGen calls a run invalid: its own sentence, or which of its conditions was not kept."""
    words = {
        "result_perf_constraints_met": "the latency bound was not kept",
        "result_min_duration_met": "it was too short",
        "result_min_queries_met": "it had too few queries",
        "early_stopping_met": "it had too few queries to be sure",
    }
    told = str(found.get("result_invalid_reason") or "").strip()
    return told or ", ".join(said for key, said in words.items() if found.get(key) is False)
