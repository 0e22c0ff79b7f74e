"""K1 and K2: the fused head against PyTorch and cuBLAS, and against the bytes that it cannot do without.

Every contender turns the same FP16 features into the five best classes and their probabilities. Before each call a
buffer larger than L2 is overwritten; a call is timed between CUDA events of one stream, contenders take turns, and the
median is told. The queue behind the overwriting hides from events what launches cost the CPU: that is to the good of
whoever launches most. Without a GPU nothing is measured; the floors follow from bytes and the data sheet's bandwidth.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch
from _head_bytes import HEADS, TOP_K, Head, floor_us, profiles
from _results import Results, parser

from edgetl import devices, home
from edgetl.backends.cuda import on_pycuda
from edgetl.errors import EnvironmentLacks
from edgetl.ops import library
from edgetl.ops.head import Answer, FusedHead, HeadFunctions
from edgetl.ops.on_cuda import CudaDevice

Tensor = torch.Tensor
Call = Callable[[], None]

BATCHES = (1, 8, 64)
OURS, EAGER = "fused", "PyTorch eager"
TWICE, SHARE = 2.0, 0.6
K1 = "K1 fused head, {name}, batch {batch}, over the fastest of the others"
K1_EAGER = "K1 PyTorch eager over the fused head, {name}, batch 1"
K2 = "K2 byte floor over the fused head, 21k classes, batch 1"
ROUNDS, WARM = 200, 20
FLUSH_BYTES = 256 << 20
"""More than any L2."""


class Gpu:
    """This host's, with the kernels for it and a buffer that empties L2."""

    def __init__(self) -> None:
        driver = on_pycuda.find()
        if not torch.cuda.is_available():
            raise EnvironmentLacks("PyTorch sees no GPU", hint="install its build for CUDA")
        self.name = driver.facts["gpu"]
        self.device = CudaDevice(driver)
        self._kernels = library.find(self.device.capability, cache=home.cache_folder())
        self._flush = torch.empty(FLUSH_BYTES, dtype=torch.uint8, device="cuda")

    def fused(self, features: Tensor, weights: Tensor, bias: Tensor) -> tuple[Call, Answer[Tensor]]:
        """A launch of the head, and where it answers."""
        batch = len(features)
        answer = Answer(
            indices=torch.empty((batch, TOP_K), dtype=torch.int32, device="cuda"),
            scores=torch.empty((batch, TOP_K), dtype=torch.float32, device="cuda"),
            status=torch.empty(batch, dtype=torch.int32, device="cuda"),
        )
        functions = HeadFunctions.of(self._kernels.functions)
        stream = torch.cuda.current_stream().cuda_stream
        made = FusedHead(functions, self.device, weights, bias, top_k=TOP_K, stream=stream)
        return made.bind(features, answer), answer

    def times(self, calls: dict[str, Call], rounds: int) -> dict[str, list[float]]:
        """Microseconds of each call of each contender, L2 cold."""
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        found: dict[str, list[float]] = {name: [] for name in calls}
        for number in range(WARM + rounds):
            for name in list(calls) if number % 2 else reversed(calls):
                self._flush.zero_()
                start.record()
                calls[name]()
                end.record()
                end.synchronize()
                found[name].append(start.elapsed_time(end) * 1e3)
        return {name: values[WARM:] for name, values in found.items()}

    def bandwidth_gb_s(self, rounds: int) -> float:
        """That of a copy, both ways counted."""
        source = torch.empty_like(self._flush)
        taken = self.times({"copy": lambda: void(self._flush.copy_(source))}, rounds)["copy"]
        return 2 * FLUSH_BYTES / statistics.median(taken) / 1e3


def main() -> None:
    options = parser(__doc__).parse_args()
    results = Results("head", quick=options.quick, also=["pycuda", "torch", "triton"])
    rounds = 5 if options.quick else ROUNDS
    try:
        gpu = Gpu()
        compare(results, gpu, rounds)
        against_bytes(results, gpu, rounds)
    except EnvironmentLacks as error:
        tell_unmeasured(results, f"not measured: {error.problem}")
    tell_floors(results)
    results.write()


def compare(results: Results, gpu: Gpu, rounds: int) -> None:
    """K1."""
    for name, batch in cases():
        taken = gpu.times(contenders(gpu, HEADS[name], batch), rounds)
        results.keep(f"{name}, batch {batch}, microseconds", taken)
        medians = {which: statistics.median(values) for which, values in taken.items()}
        rival = min((which for which in medians if which != OURS), key=medians.__getitem__)
        note = f"{medians[OURS]:.1f} us, {rival} {medians[rival]:.1f} us; {gpu.name}"
        ratio = medians[OURS] / medians[rival]
        results.limit(K1.format(name=name, batch=batch), ratio, "ratio", at_most=1, n=rounds, note=note)
        if batch == 1:
            gain = medians[EAGER] / medians[OURS]
            target, met = f">= {TWICE:g}", gain >= TWICE
            results.row(
                K1_EAGER.format(name=name), gain, "ratio", n=rounds, target=target, met=met, note=gpu.name
            )


def against_bytes(results: Results, gpu: Gpu, rounds: int) -> None:
    """K2, and what a launch takes that has next to nothing to do."""
    head, smallest = HEADS["21k classes"], Head(8, 1, 1, TOP_K)
    calls = {name: gpu.fused(*inputs(each, 1))[0] for name, each in (("21k", head), ("smallest", smallest))}
    taken = {name: statistics.median(values) for name, values in gpu.times(calls, rounds).items()}
    bandwidth = gpu.bandwidth_gb_s(rounds)
    floor = floor_us(head.bytes(1), bandwidth)
    results.row(
        K2,
        floor / taken["21k"],
        "ratio",
        n=rounds,
        target=f">= {SHARE}",
        met=floor / taken["21k"] >= SHARE,
        note=f"{taken['21k']:.1f} us, floor {floor:.1f} us at {bandwidth:.0f} GB/s of a copy; {gpu.name}",
    )
    results.row(
        "a launch of a head of 8 channels and 5 classes", taken["smallest"], "us", n=rounds, note=gpu.name
    )


def cases() -> list[tuple[str, int]]:
    """Networks and batches of K1."""
    return [(name, batch) for name in ("ResNet-50", "MobileNetV2") for batch in BATCHES]


def inputs(head: Head, batch: int) -> tuple[Tensor, Tensor, Tensor]:
    """Features as after a ReLU, weights that spread the logits over a few units, a bias."""
    made = torch.Generator("cuda").manual_seed(0)
    shape = (batch, head.channels, head.height, head.width)
    features = torch.randn(shape, device="cuda", generator=made).relu().half()
    weights = (
        torch.randn((head.classes, head.channels), device="cuda", generator=made) * 2 / head.channels**0.5
    )
    return features, weights.half(), torch.randn(head.classes, device="cuda", generator=made)


def contenders(gpu: Gpu, head: Head, batch: int) -> dict[str, Call]:
    """All of them, once each was found to answer as the others do."""
    features, weights, bias = inputs(head, batch)
    half = bias.half()

    def eager(maps: Tensor) -> tuple[Tensor, Tensor]:
        pooled = torch.nn.functional.adaptive_avg_pool2d(maps, 1).flatten(1)
        logits = torch.nn.functional.linear(pooled, weights, half)
        scores, indices = logits.softmax(1).topk(TOP_K)
        return scores, indices

    launch, answer = gpu.fused(features, weights, bias)
    faster = torch.compile(eager, mode="max-autotune")
    graph, written = by_cublas(features, weights, half)
    launch()
    graph.replay()
    wanted = eager(features)[0].float()
    for found in (answer.scores, faster(features)[0].float(), written.float()):
        torch.testing.assert_close(found, wanted, rtol=2e-2, atol=1e-3)
    return {
        OURS: launch,
        EAGER: lambda: void(eager(features)),
        "torch.compile": lambda: void(faster(features)),
        "cuBLAS, softmax, top-k as a CUDA graph": graph.replay,
    }


def by_cublas(features: Tensor, weights: Tensor, bias: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor]:
    """Mean, GEMM with bias, softmax and top-k into memory that is there, captured once; and where scores are."""
    batch, classes = len(features), len(weights)
    pooled = features.new_empty((batch, features.shape[1]))
    logits, scores = (features.new_empty((batch, classes)) for _ in range(2))
    best = features.new_empty((batch, TOP_K))
    places = torch.empty((batch, TOP_K), dtype=torch.int64, device="cuda")

    def work() -> None:
        torch.mean(features, (2, 3), out=pooled)
        torch.addmm(bias, pooled, weights.t(), out=logits)
        torch.softmax(logits, 1, out=scores)
        torch.topk(scores, TOP_K, out=(best, places))

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # cuBLAS takes its workspace before anything is captured
        work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph, best


def void(_: object) -> None:
    """A call's answer is not looked at."""


def tell_unmeasured(results: Results, note: str) -> None:
    """Rows of K1 and K2 without a figure."""
    for name, batch in cases():
        results.row(K1.format(name=name, batch=batch), None, "ratio", target="<= 1", note=note)
        if batch == 1:
            results.row(K1_EAGER.format(name=name), None, "ratio", target=f">= {TWICE:g}", note=note)
    results.row(K2, None, "ratio", target=f">= {SHARE}", note=note)


def tell_floors(results: Results) -> None:
    """What batch 1 cannot be faster than on each profile; every batch is kept."""
    kept = {}
    for device, bandwidth in profiles(devices.load()).items():
        for name, head in HEADS.items():
            floors = {batch: round(floor_us(head.bytes(batch), bandwidth), 2) for batch in BATCHES}
            kept[f"{device}, {name}"] = floors
            results.row(
                f"byte floor, {name}, batch 1, {device}",
                floors[1],
                "us",
                note=f"computed, not measured: {head.bytes(1)} bytes at {bandwidth:g} GB/s of the data sheet; "
                "a launch comes on top",
            )
    results.keep("byte floor in microseconds, by batch", kept)


if __name__ == "__main__":
    main()
