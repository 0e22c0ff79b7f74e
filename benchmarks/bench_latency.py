"""A1, A2: latency of our engines against the peers' INT8 and against the runtime's default precision, batch 1.

Every contender's fresh instances run in the same fresh processes, in mirrored turns (``edgetl.bench.compare``).
Ours take uint8 pixels as they ship; a peer takes normalised float planes as its documentation feeds it. The peers are
NNCF's default on OpenVINO, and ONNX Runtime's static quantization (its defaults, and the per-channel, reduced-range
form that its documentation names for processors without VNNI) on either runtime; the fastest of them is the target.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import _contenders
import _peers
from _results import Results, parser

from edgetl.bench.comparison import Comparison, Contender, Ratio, compare
from edgetl.bench.instance import Pace
from edgetl.search.choice import choose

OURS = ("default", "int8")
CALIBRATE = 32
"""Pictures that ranges are taken from: latency does not depend on them."""
INSTANCES = 20
PACE = Pace(rounds=2, block_ms=50.0, least_runs=4)


def main() -> None:
    options = parser(__doc__).parse_args()
    results = Results("latency", quick=options.quick, also=("nncf", "torch", "torchvision", "timm"))
    nets = _peers.NETS[:1] if options.quick else _peers.NETS
    for net in nets:
        with tempfile.TemporaryDirectory() as place:
            contenders = _made(net, Path(place))
            count, pace = (2, Pace(rounds=1, block_ms=10)) if options.quick else (INSTANCES, PACE)
            found = compare(
                contenders,
                baseline="default",
                instances=count,
                most_instances=count,
                pace=pace,
                env=_contenders.ENVIRONMENT,
            )
        results.keep(net, _contenders.block_medians(found))
        _report(results, net, found)
    results.write()


def _made(net: str, folder: Path) -> dict[str, Contender]:
    rule = _peers.preprocess_of(net)
    pictures = _contenders.pictures(rule, CALIBRATE)
    pixels, planes = _peers.float_model(net, folder), _peers.float_nchw(net, folder)
    quantized = _peers.ours(pixels, pictures, folder)
    ours = {
        name: _contenders.engine(quantized if name == "int8" else pixels, name, folder / name)
        for name in OURS
    }
    return ours | _contenders.of_peers(planes, _peers.normalised(pictures, rule), folder)


def _report(results: Results, net: str, found: Comparison) -> None:
    for name in found.names():
        shown = found.latency_ms(name)
        results.row(f"p50 {net}, {name}", shown["p50"], "ms", n=shown["n"])
    peers = [name for name in found.names() if name not in OURS]
    best = min(peers, key=lambda name: found.ratio(name).ratio)
    for name in peers:
        tag = "A1 " if name == best else ""
        _ratio(results, f"{tag}{net}, our int8 / {name}", found.ratio("int8", name), judged=bool(tag))
    versus = {
        name: {"ratio": r.ratio, "ci95": r.ci95, "verdict": r.verdict} for name, r in found.versus().items()
    }
    latency = {name: found.latency_ms(name) for name in OURS}
    shipped, _ = choose(OURS, {}, latency, versus, max_drop=math.inf, precision="auto", images=0)
    same = Ratio(ratio=1.0, ci95=(1.0, 1.0), verdict="no difference", instances=len(found.instances))
    ratio = same if shipped == "default" else found.ratio(shipped)
    _ratio(results, f"A2 {net}, shipped ({shipped}) / default precision", ratio, judged=True)


def _ratio(results: Results, what: str, ratio: Ratio, *, judged: bool) -> None:
    if judged:
        results.ratio(what, ratio=ratio.ratio, ci95=ratio.ci95, instances=ratio.instances, at_most=1.0)
    else:
        results.row(what, ratio.ratio, "ratio", ci95=ratio.ci95, n=ratio.instances)


if __name__ == "__main__":
    main()
