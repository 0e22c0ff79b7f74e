"""A8: a whole ``edgetl build`` in a fresh cache against the same work by hand.

By hand: the torchvision transfer tutorial's "ConvNet as fixed feature extractor" (the frozen variant, which is the more
favourable one to the peer: only the head is trained), 25 epochs of SGD with its rate, momentum and schedule; export;
NNCF's default post-training quantization with 300 samples (all of train where there are fewer); ``benchmark_app`` for
15 seconds on the result. Every part is timed; both sides are judged on the same test pictures, with their INT8 or
shipped engine. The peer is favoured: its pictures are decoded and resized once and only mirrored, and neither its
libraries, which our build has loaded by then, nor the time of whoever writes the program count.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from _results import Results, parser, shared_data

import edgetl
from edgetl.data import layout
from edgetl.data.decode import load_images
from edgetl.pipeline import Silent
from edgetl.runtime import preprocess as rule
from edgetl.transfer import backbone
from edgetl.transfer.augment import normalise
from edgetl.types import BuildSpec

EPOCHS = 25
SAMPLES = 300
SECONDS = 15


class Told(Silent):
    """Says which stage of our build runs."""

    def started(self, stage: str) -> None:
        """A stage begins."""
        print(f"ours: {stage}", flush=True)


def pictures_of(root: Path, spec: BuildSpec, role: str, step: int) -> tuple[Any, Any]:
    """Decoded and resized pictures, uint8 (N, H, W, 3), and labels of a role; the peer holds them in memory."""
    chosen = [s for s in layout.scan(root, seed=0).samples if s.role == role][::step]
    wanted = backbone.create(spec, 2).preprocess
    images = load_images(root, [s.path for s in chosen], lambda image: rule.apply(image, wanted))
    return np.stack(list(images)), np.array([s.label for s in chosen], np.int64)


def tutorial(spec: BuildSpec, train: Any, labels: Any, epochs: int) -> tuple[torch.nn.Module, Any]:
    """The tutorial's training loop on a frozen body, mirrored pictures, batches of 4 (its own)."""
    made = backbone.create(spec, 2)
    net = made.net
    for parameter in net.body.parameters():
        parameter.requires_grad_(False)
    optimizer = torch.optim.SGD(net.head.parameters(), lr=0.001, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
    targets = torch.from_numpy(labels)
    for epoch in range(epochs):
        print(f"by hand: epoch {epoch + 1} of {epochs}", flush=True)
        net.train()
        for rows in torch.randperm(len(targets)).split(4):
            pictures = torch.from_numpy(train[rows.numpy()]).permute(0, 3, 1, 2)
            mirrored = torch.rand(len(rows)) < 0.5
            pictures[mirrored] = pictures[mirrored].flip(3)
            optimizer.zero_grad()
            answers = net(normalise(pictures, made.preprocess))
            torch.nn.functional.cross_entropy(answers, targets[rows]).backward()
            optimizer.step()
        schedule.step()
    return net.eval(), made.preprocess


def by_hand(
    spec: BuildSpec, root: Path, folder: Path, epochs: int, seconds: int, step: int
) -> tuple[dict[str, float], Any]:
    """Seconds of each part, and the predictions of the INT8 engine on the test pictures."""
    import nncf
    import openvino as ov

    parts: dict[str, float] = {}
    begun = time.perf_counter()
    train, labels = pictures_of(root, spec, "train", step)
    parts["decode"] = time.perf_counter() - begun
    begun = time.perf_counter()
    net, wanted = tutorial(spec, train, labels, epochs)
    parts["train"] = time.perf_counter() - begun
    print("by hand: export, quantization, benchmark_app", flush=True)
    begun = time.perf_counter()
    example = torch.zeros(1, 3, wanted.height, wanted.width)
    torch.onnx.export(net, (example,), folder / "model.onnx", dynamo=True, verbose=False)
    model = ov.Core().read_model(folder / "model.onnx")
    parts["export"] = time.perf_counter() - begun

    def feed(picture: Any) -> Any:
        return normalise(torch.from_numpy(picture[None]).permute(0, 3, 1, 2), wanted).numpy()

    begun = time.perf_counter()
    rows = np.random.default_rng(0).permutation(len(train))[:SAMPLES]
    quantized = nncf.quantize(model, nncf.Dataset(train[rows], feed), subset_size=len(rows))
    ov.save_model(quantized, folder / "int8.xml")
    parts["quantize"] = time.perf_counter() - begun
    begun = time.perf_counter()
    app = Path(sys.executable).with_name("benchmark_app")
    command = [str(app), "-m", str(folder / "int8.xml"), "-d", "CPU", "-hint", "latency", "-t", str(seconds)]
    subprocess.run(command, check=True, capture_output=True)
    parts["benchmark_app"] = time.perf_counter() - begun
    begun = time.perf_counter()
    engine = ov.Core().compile_model(folder / "int8.xml", "CPU")
    test, truth = pictures_of(root, spec, "test", 1)
    answers = np.array([int(engine(feed(picture))[0].argmax()) for picture in test])
    parts["verify"] = time.perf_counter() - begun
    return parts, answers == truth


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
    epochs, seconds, step = (1, 1, 8) if options.quick else (EPOCHS, SECONDS, 1)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        begun = time.perf_counter()
        made = edgetl.build(
            msgspec.structs.replace(spec, out=str(place / "runs")), cache=place / "cache", progress=Told()
        )
        ours = time.perf_counter() - begun
        torch.manual_seed(0)
        parts, right = by_hand(spec, root, place, epochs, seconds, step)
    theirs = sum(parts.values())
    results.keep("ours", {row["name"]: row["seconds"] for row in made.data["stages"]} | {"whole": ours})
    results.keep("by hand", parts)
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
        note=f"{ours:.0f} s against {theirs:.0f} s (favours the peer: frozen body, pictures decoded once, no crops); "
        f"accuracy {100 * shipped:.1f} against {100 * accuracy:.1f} % on {len(right)} images",
    )
    results.write()


if __name__ == "__main__":
    main()
