"""A8: a whole ``edgetl build`` in a fresh cache against the same work by hand.

By hand (``_by_hand``): the torchvision transfer tutorial with a frozen body, which is the more favourable of its two
variants to the peer, export, NNCF with 300 samples (all of train where there are fewer), ``benchmark_app`` for 15
seconds. Every part is timed; both sides are judged on the same test pictures, with their INT8 or shipped engine.
Neither the peer's libraries, which our build has loaded by then, nor the time of whoever writes the program count.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import msgspec
from _by_hand import Amount, Work
from _results import Results, parser, shared_data

import edgetl
from edgetl.pipeline import Silent
from edgetl.types import BuildSpec


class Told(Silent):
    """Says which stage of our build runs."""

    def started(self, stage: str) -> None:
        """A stage begins."""
        print(f"ours: {stage}", flush=True)


def main() -> None:
    """Measure, and write the file."""
    options = parser(__doc__).parse_args()
    results = Results("build", quick=options.quick, also=("torch", "timm", "nncf", "openvino"))
    data = shared_data()
    if data is None:
        results.row("A8", None, "ratio", target="<= 0.5", note="the real data is not here (EDGETL_SHARED)")
        results.write()
        return
    root = data / "cls_hymenoptera"
    file = data / "weights" / "efficientnet_lite0_imagenet.safetensors"
    spec = BuildSpec(
        data=str(root),
        device="intel-cpu",
        model="timm/tf_efficientnet_lite0",
        weights=str(file),
        instances=2 if options.quick else BuildSpec(data="").instances,
    )
    amount = Amount(epochs=1, seconds=1, step=8) if options.quick else Amount()
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        begun = time.perf_counter()
        made = edgetl.build(
            msgspec.structs.replace(spec, out=str(place / "runs")), cache=place / "cache", progress=Told()
        )
        ours = time.perf_counter() - begun
        work = Work(spec, root, place, amount)
        right = work.run()
    theirs = sum(work.seconds.values())
    results.keep("ours", {row["name"]: row["seconds"] for row in made.data["stages"]} | {"whole": ours})
    results.keep("by hand", work.seconds)
    shipped = float(made.data["accuracy"]["shipped"])
    accuracy = float(right.mean())
    results.keep("accuracy", {"ours": shipped, "by hand": accuracy, "images": len(right)})
    ratio = ours / theirs
    results.row(
        "A8 efficientnet_lite0, hymenoptera",
        ratio,
        "of the time by hand",
        n=1,
        target="<= 0.5, accuracy no lower",
        met=ratio <= 0.5 and shipped >= accuracy - 1e-9,
        note=f"{ours:.0f} s against {theirs:.0f} s (the peer's body is frozen, too); "
        f"accuracy {100 * shipped:.1f} against {100 * accuracy:.1f} % on {len(right)} images",
    )
    results.write()


if __name__ == "__main__":
    main()
