"""B4, B5: latency of the engine that the search chooses, against every peer and the runtime's default precision.

Networks with weights of their own where the shared data has them, else random: there only the latency is looked at.
The search gets what a build gives it, and may keep no placement that loses a point of top-1 more than f32.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import _contenders
import _imagenet
import _peers
import msgspec
from _results import Results, parser, shared_data

from edgetl.backends import folder as engines
from edgetl.backends import seam
from edgetl.backends.seam import Session
from edgetl.bench.comparison import Comparison, compare
from edgetl.bench.instance import Pace
from edgetl.quantize import observe, place, schemes
from edgetl.search.choice import choose
from edgetl.search.course import Course
from edgetl.search.latency import Raced
from edgetl.search.placements import Placement
from edgetl.stages.explain import slowest
from edgetl.verify.accuracy import logits_of, logits_of_model, paired

MOBILE = ("efficientnet_lite0", "mobilenet_v1_075", "mobilenet_v2", "mobilenet_v3_small")
NETS = (*MOBILE, "resnet18", "resnet50")
REAL = {
    "efficientnet_lite0": "efficientnet_lite0_imagenet.safetensors",
    "mobilenet_v1_075": "mobilenet_v1_075_imagenet.onnx",
}
CALIBRATE, JUDGE = 32, 200
MAX_DROP = 1.0
INSTANCES = 12
PACE = Pace(rounds=2, block_ms=50.0, least_runs=4)


def main() -> None:
    options = parser(__doc__).parse_args()
    results = Results("search", quick=options.quick, also=("nncf", "torch", "torchvision", "timm"))
    for net in NETS[3:4] if options.quick else NETS:
        with tempfile.TemporaryDirectory() as folder:
            _measure(results, net, Path(folder), quick=options.quick)
    results.write()


def _measure(results: Results, net: str, folder: Path, *, quick: bool) -> None:
    contest = _Contest(net, folder)
    best, model, raced = contest.search()
    results.keep(f"{net}, placements", raced)
    contenders = {
        "default": _contenders.engine(contest.model, "default", folder / "default"),
        "int8": _contenders.engine(model, "int8", folder / "int8"),
        **_contenders.of_peers(contest.planes, contest.images, folder),
    }
    count, pace = (2, Pace(rounds=1, block_ms=10)) if quick else (INSTANCES, PACE)
    found = compare(
        contenders,
        baseline="default",
        instances=count,
        most_instances=count,
        pace=pace,
        env=_contenders.ENVIRONMENT,
    )
    results.keep(net, _contenders.block_medians(found))
    _report(results, net, best, found, folder / "int8")


class _Contest:
    """A network, the pictures that it is calibrated with, and the search for its fastest INT8."""

    def __init__(self, net: str, folder: Path) -> None:
        self._folder = folder
        self._rule = _peers.preprocess_of("efficientnet_lite0" if net == "mobilenet_v1_075" else net)
        data = shared_data()
        weights = data / "weights" / REAL[net] if data is not None and net in REAL else None
        self.real = weights is not None
        self._pixels = _contenders.pictures(self._rule, CALIBRATE)
        self.images = _peers.normalised(self._pixels, self._rule)
        if weights is not None and weights.suffix == ".onnx":  # it takes planes, whoever runs it
            self.model = self.planes = weights
            self._feed: Sequence[_peers.Array] = self.images
        else:
            self.model = _peers.float_model(net, folder, weights)
            self.planes = _peers.float_nchw(net, folder, weights)
            self._feed = [picture[None] for picture in self._pixels]

    def search(self) -> tuple[Placement, Path, list[Raced]]:
        """What a build's search stage does, with the first INT8 model of its ladder."""
        seen = observe.observe(self.model, self._feed)

        def quantize(placement: Placement, out: Path) -> Sequence[str]:
            kept = set(placement.kept)
            return place.quantize(self.model, seen, placement.scheme, "default", out, kept=kept).layers

        default = self._folder / "searched-default"
        profile = msgspec.structs.replace(_contenders.PROFILE, precision="default")
        engines.compile_into(self.model, profile, default)
        scratch = self._folder / "placements"
        scratch.mkdir()
        scheme = msgspec.structs.replace(schemes.find("openvino-cpu"), reduce_range=_contenders.saturates())
        return Course(quantize, self._lost, default, profile, scratch).run(scheme, MAX_DROP)

    def _lost(self, session: Session) -> float:
        """Points of top-1 on pictures that did not calibrate; nothing is lost where weights are random."""
        data = shared_data()
        if not self.real or data is None:
            return 0.0
        pictures, labels = _imagenet.pictures(data / "imagenet1k", self._rule)
        pictures, labels = pictures[-JUDGE:], labels[-JUDGE:]
        if self.planes == self.model:
            pictures = _peers.stacked(pictures, self._rule)
        f32 = msgspec.structs.replace(_contenders.PROFILE, precision="f32")
        reference = logits_of_model(self.model, f32, pictures)
        return paired(labels, reference, logits_of(session, pictures)).drop_pt


def _report(results: Results, net: str, best: Placement, found: Comparison, int8: Path) -> None:
    for name in found.names():
        shown = found.latency_ms(name)
        results.row(f"p50 {net}, {name}", shown["p50"], "ms", n=shown["n"])
    ours = ("default", "int8")
    versus = {name: msgspec.to_builtins(ratio) for name, ratio in found.versus().items()}
    latency = {name: found.latency_ms(name) for name in ours}
    chosen, _ = choose(ours, {}, latency, versus, max_drop=math.inf, precision="auto", images=0)
    rivals = [name for name in found.names() if name != "int8" and name != chosen]
    rival = min(rivals, key=lambda name: 1.0 if name == "default" else found.ratio(name).ratio)
    ratio = found.ratio(chosen, rival)
    results.ratio(
        f"B4 {net}, chosen ({chosen}, {best.name}) / {rival}",
        ratio=ratio.ratio,
        ci95=ratio.ci95,
        instances=ratio.instances,
        at_most=0.95 if net in MOBILE else 1.0,
    )
    if net != "mobilenet_v3_small":
        return
    against = found.ratio("int8")
    layers = seam.find("openvino").explain(engines.read(int8), int8)
    blamed = ", ".join(f"{one['name']} {100 * one['share']:.0f} %" for one in slowest(layers))
    results.ratio(
        f"B5 {net}, int8 ({best.name}) / default precision",
        ratio=against.ratio,
        ci95=against.ci95,
        instances=against.instances,
        at_most=1.0,
        note=f"most time: {blamed}",
    )


if __name__ == "__main__":
    main()
