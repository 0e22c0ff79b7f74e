"""E3: LoRA of rank 8 against all weights: accuracy, numbers that are trained, memory, and what has to be kept.

efficientnet_lite0 with ImageNet's weights on ants and bees at 128 pixels, both as ``edgetl train`` does by itself. Peak
memory is that of a process of its own that makes the same network, optimizer and steps of one batch of 32. What has to
be kept of LoRA to come back to the network is the file of its updates and the head; of the other, every weight.

A run is kept once it is done: a program that was ended goes on with the next one.
"""

from __future__ import annotations

import resource
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from _results import Results, needed_data, parser
from _transfers import Ledger, Run, accuracy, few, gain, lite0, trained
from safetensors.torch import save

from edgetl import isolate
from edgetl.home import cache_folder
from edgetl.transfer import backbone
from edgetl.transfer.methods.full import Full
from edgetl.transfer.methods.lora import Lora
from edgetl.transfer.probe import Probe
from edgetl.types import BuildSpec

SEEDS = 5
SIZE = 128
RANK = 8
STEPS = 3
BATCH = 32
WITHIN = 1.0
"""Points that LoRA may be below all weights."""
SHARE = 10.0
"""Percent of the weights' number that it may train."""


def footprint_json(spec: dict[str, Any], method: str) -> dict[str, float]:
    """What a method trains, keeps and holds in memory, in this process, which does nothing else."""
    torch.set_num_threads(2)
    net = backbone.create(msgspec.convert(spec, BuildSpec), 2).net
    weights = sum(p.numel() for p in net.parameters())
    head = Probe(np.zeros((2, net.head.in_features), np.float32), np.zeros(2, np.float32))
    chosen = Lora(None, RANK, SIZE, head) if method == "lora" else Full(None)
    optimizer = torch.optim.AdamW(chosen.prepare(net))
    chosen.start(net, 0)
    before = _peak_mib()
    for _ in range(STEPS):
        chosen.step(net, torch.rand(BATCH, 3, SIZE, SIZE), torch.arange(BATCH) % 2).backward()
        optimizer.step()
        optimizer.zero_grad()
    state = net.state_dict()
    kept = {
        n: t.contiguous()
        for n, t in state.items()
        if method != "lora" or "lora_" in n or n.startswith("head.")
    }
    return {
        "trained": sum(p.numel() for group in optimizer.param_groups for p in group["params"]),
        "weights": weights,
        "kept_bytes": len(save(kept)),
        "peak_mib": _peak_mib(),
        "training_mib": _peak_mib() - before,
    }


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure, and write the file."""
    options = parser(__doc__).parse_args()
    data = needed_data()
    torch.set_num_threads(2)
    results = Results("lora", quick=options.quick, also=("torch", "timm", "peft"))
    ledger = Ledger("lora.quick" if options.quick else "lora", results.commit)
    seeds, labels, tested = (1, 12, 8) if options.quick else (SEEDS, None, None)
    rest = {"epochs": 1, "batch_size": 16} if options.quick else {}
    runs: dict[str, list[Run]] = {"full": [], "lora": []}
    with tempfile.TemporaryDirectory() as scratch:
        root = few(data / "cls_hymenoptera", Path(scratch) / "insects", labels, tested, seed=0)
        for seed in range(seeds):
            for method, found in runs.items():
                spec = lite0(data, root, method, seed, image_size=SIZE, rank=RANK, **rest)
                name = f"{method}, seed {seed}"
                found.append(ledger.of(name, lambda: trained(spec, cache_folder())))  # noqa: B023
        measured = {method: _footprint(data, root, method) for method in runs}
    _report(results, runs, measured)
    if options.quick:
        print("a whole run is 10 trainings of about 1 min each: about 10 min")
    results.write()


def _footprint(data: Path, root: Path, method: str) -> dict[str, float]:
    """Of a process of its own."""
    found: dict[str, float] = isolate.call(
        "bench_lora:footprint_json",
        {
            "spec": msgspec.to_builtins(lite0(data, root, method, 0, image_size=SIZE)),
            "method": method,
        },
        env={"PYTHONPATH": str(Path(__file__).parent)},
    )
    return found


def _report(results: Results, runs: dict[str, list[Run]], measured: dict[str, dict[str, float]]) -> None:
    count, called = len(runs["full"][0]["right"]), {"full": "all weights", "lora": f"LoRA, rank {RANK}"}
    for method, found in runs.items():
        shown = 100 * float(np.mean([accuracy(run) for run in found]))
        note = f"{len(found)} seeds"
        results.keep(called[method], {"runs": found, "footprint": measured[method]})
        results.row(f"E3 {called[method]}", shown, "% top-1", n=count, note=note)
    points, interval = gain(runs["lora"], runs["full"])
    results.row(
        "E3 LoRA over all weights",
        points,
        "points",
        ci95=interval,
        n=count,
        target=f">= -{WITHIN:g}",
        met=points >= -WITHIN,
    )
    full, lora = measured["full"], measured["lora"]
    results.limit(
        "E3 LoRA, what is trained", 100 * lora["trained"] / full["weights"], "% of the weights", at_most=SHARE
    )
    for what, key, scale, unit in (
        ("to keep", "kept_bytes", 1e6, "MB"),
        ("peak memory of the process", "peak_mib", 1, "MiB"),
        ("memory that training adds", "training_mib", 1, "MiB"),
    ):
        note = f"all weights {full[key] / scale:.1f} {unit}"
        results.row(f"E3 {what}", lora[key] / scale, unit, note=note)


if __name__ == "__main__":
    main()
