"""A6: ``--method feature`` against the usual loop that runs the frozen backbone in every epoch.

Both start from pictures that are decoded and resized, with the efficientnet_lite0 weights, and end with a trained
head that is judged on the same test pictures. Ours compiles the backbone, runs it once and fits the head; the peer is
the loop of the torchvision transfer tutorial with a frozen backbone in eval mode, 20 epochs of AdamW. The peer is
favoured: its pictures are decoded and resized once, are not augmented, and come in the batch size that is fastest.
Libraries are loaded by a round on a few pictures that is not counted.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from _results import Results, parser, shared_data

from edgetl import devices, export
from edgetl.backends import seam
from edgetl.data import layout
from edgetl.data.decode import load_images
from edgetl.runtime import preprocess as rule
from edgetl.transfer import backbone
from edgetl.transfer.augment import normalise
from edgetl.transfer.methods import feature
from edgetl.types import BuildSpec
from edgetl.verify.accuracy import outputs_of

EPOCHS = 20
BATCH = 8
"""The fastest for torch on a CPU: larger batches wait for memory."""
RATE = 1e-3
ROUNDS = 2
WARM = 16
"""Pictures of the round that is not counted."""


def ours(spec: BuildSpec, train: Any, labels: Any, test: Any, classes: int) -> tuple[float, Any]:
    """Seconds from pictures to a head, the export and the compilation of the backbone included; test predictions."""
    profile = msgspec.structs.replace(devices.load().find("intel-cpu"), precision="f32")
    backend = seam.find(profile.backend)
    begun = time.perf_counter()
    made = backbone.create(spec, classes)
    with tempfile.TemporaryDirectory() as scratch:
        graph = Path(scratch) / "features.onnx"
        export.export_features(made.net.body, made.preprocess, graph)
        folder = Path(scratch) / "engine"
        folder.mkdir()
        engine = backend.compile(graph, profile, folder)
        session = backend.open(engine, folder, profile)
        try:
            head = feature.fit_head(outputs_of(session, train, "features"), labels, classes, spec.seed)
            seconds = time.perf_counter() - begun
            answers = outputs_of(session, test, "features") @ head.weight.T + head.bias
        finally:
            session.close()
    return seconds, answers.argmax(axis=1)


def peer(spec: BuildSpec, train: Any, labels: Any, test: Any, classes: int, epochs: int) -> tuple[float, Any]:
    """Seconds of the epoch loop; test predictions."""
    begun = time.perf_counter()
    made = backbone.create(spec, classes)
    net = made.net.eval()
    for parameter in net.body.parameters():
        parameter.requires_grad_(False)
    optimizer = torch.optim.AdamW(net.head.parameters(), lr=RATE)
    targets = torch.from_numpy(labels)
    for _ in range(epochs):
        for rows in torch.randperm(len(targets)).split(BATCH):
            pictures = torch.from_numpy(train[rows.numpy()]).permute(0, 3, 1, 2)
            loss = torch.nn.functional.cross_entropy(net(normalise(pictures, made.preprocess)), targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    seconds = time.perf_counter() - begun
    with torch.inference_mode():
        parts = torch.from_numpy(test).permute(0, 3, 1, 2).split(BATCH)
        answers = torch.cat([net(normalise(part, made.preprocess)).argmax(1) for part in parts])
    return seconds, answers.numpy()


def main() -> None:
    """Measure, and write the file."""
    options = parser(__doc__).parse_args()
    results = Results("feature", quick=options.quick, also=("torch", "timm", "scikit-learn"))
    data = shared_data()
    if data is None:
        results.row("A6", None, "ratio", target=">= 10", note="the real data is not here (EDGETL_SHARED)")
        results.write()
        return
    file = data / "weights" / "efficientnet_lite0_imagenet.safetensors"
    spec = BuildSpec(data="", model="timm/tf_efficientnet_lite0", weights=str(file))
    root = data / "cls_hymenoptera"
    found = layout.scan(root, seed=0)
    step = 8 if options.quick else 1
    preprocess = backbone.create(spec, 2).preprocess
    sets = {}
    for role in ("train", "test"):
        chosen = [s for s in found.samples if s.role == role][::step]
        images = load_images(root, [s.path for s in chosen], lambda image: rule.apply(image, preprocess))
        sets[role] = (np.stack(list(images)), np.array([s.label for s in chosen], np.int64))
    (train, labels), (test, truth) = sets["train"], sets["test"]
    epochs, rounds = (1, 1) if options.quick else (EPOCHS, ROUNDS)
    few = np.linspace(0, len(train) - 1, WARM).astype(int)
    ours(spec, train[few], labels[few], test[:1], len(found.classes))
    fast, slow = [], []
    for number in range(rounds):
        torch.manual_seed(number)
        fast.append(ours(spec, train, labels, test, len(found.classes)))
        print(f"round {number + 1} of {rounds}: feature {fast[-1][0]:.1f} s; the loop ...", flush=True)
        slow.append(peer(spec, train, labels, test, len(found.classes), epochs))
        print(f"round {number + 1} of {rounds}: loop {slow[-1][0]:.1f} s", flush=True)
    scores = [[100 * float((answers == truth).mean()) for _, answers in side] for side in (fast, slow)]
    seconds = [[taken for taken, _ in side] for side in (fast, slow)]
    results.keep("seconds", {"feature": seconds[0], "loop": seconds[1]})
    results.keep("accuracy", {"feature": scores[0], "loop": scores[1]})
    ratios = [b / a for a, b in zip(*seconds)]
    gain = float(np.mean(scores[0]) - np.mean(scores[1]))
    ratio = float(np.median(ratios))
    results.row(
        "A6 efficientnet_lite0, hymenoptera",
        ratio,
        "times faster",
        n=rounds,
        target=">= 10, accuracy no lower",
        met=ratio >= 10 and gain >= 0,
        note=f"{np.median(seconds[0]):.1f} s with the export, "
        f"against {np.median(seconds[1]):.1f} s of {epochs} epochs; "
        f"accuracy {np.mean(scores[0]):.1f} against {np.mean(scores[1]):.1f} % on {len(truth)} images; "
        "favours the peer: it neither decodes nor augments in its epochs",
    )
    results.write()


if __name__ == "__main__":
    main()
