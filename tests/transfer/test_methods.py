"""What each method trains, what it leaves alone, and that the network it gives back is a plain one."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgetl.errors import GateFailed, InputError
from edgetl.tasks import Task
from edgetl.transfer.backbone import Net
from edgetl.transfer.depth import blocks
from edgetl.transfer.goals import Several
from edgetl.transfer.methods.discriminative import DECAY, Discriminative
from edgetl.transfer.methods.full import Full
from edgetl.transfer.methods.lora import Lora, fits
from edgetl.transfer.methods.norm import Norm
from edgetl.transfer.methods.seam import Method
from edgetl.transfer.probe import Probe
from tests.transfer.networks import CLASSES, SIDE, batch, network, probe

METHODS: dict[str, Callable[[Probe], Full]] = {
    "full": lambda start: Full(None),
    "discriminative": lambda start: Discriminative(None, SIDE, start),
    "norm": lambda start: Norm(None, start),
    "lora": lambda start: Lora(1e-2, 2, SIDE, start),
}


def trained(net: Net, method: Method, *, epochs: int = 1, steps: int = 2) -> None:
    """A few steps in each of the first epochs, as the trainer does them."""
    optimizer = torch.optim.AdamW(method.prepare(net))
    pictures, targets = batch()
    for epoch in range(epochs):
        method.start(net, epoch)
        for _ in range(steps):
            method.step(net, pictures, targets).backward()
            optimizer.step()
            optimizer.zero_grad()


def moved(before: dict[str, Tensor], net: Net) -> set[str]:
    """Names of the tensors that are not what they were."""
    return {name for name, tensor in net.state_dict().items() if not torch.equal(tensor, before[name])}


def snapshot(net: Net) -> dict[str, Tensor]:
    """A copy of every tensor."""
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


@pytest.mark.parametrize("make", ["own", "transformer", "resnet10"])
@pytest.mark.parametrize("name", METHODS)
def test_a_method_trains_something_and_gives_back_a_plain_network(name: str, make: str) -> None:
    net = network(make)
    before, names = snapshot(net), list(net.state_dict())
    method = METHODS[name](probe(net))
    trained(net, method)
    plain = method.finish(net)
    assert list(plain.state_dict()) == names
    assert {n for n in moved(before, plain) if n.startswith("body.")}


@pytest.mark.parametrize("name", METHODS)
def test_a_method_learns_a_class_and_a_value_at_once(name: str) -> None:
    net = network("own")
    labels = tuple(str(number) for number in range(net.head.out_features - 1))
    tasks = (
        Task(name="kind", kind="classes", labels=labels),
        Task(name="age", kind="value", mean=40.0, std=9.0, spread=7.0),
    )
    goal, method = Several(tasks, {}), METHODS[name](probe(net))
    method.goal = goal
    pictures, classes = batch()
    answers = np.stack([classes.numpy() % len(labels), 40 + 9 * pictures.mean(dim=(1, 2, 3)).numpy()], axis=1)
    targets = torch.from_numpy(goal.targets(answers))
    optimizer = torch.optim.AdamW(method.prepare(net))
    losses = []
    for _ in range(12):
        method.start(net, 9)
        loss = method.step(net, pictures, targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", ["discriminative", "norm", "lora"])
def test_the_head_starts_from_the_probe(name: str) -> None:
    net = network("own")
    start = probe(net)
    METHODS[name](start).prepare(net)
    assert torch.equal(net.head.weight, torch.from_numpy(start.weight))
    assert torch.equal(net.head.bias, torch.from_numpy(start.bias))


def test_rates_decay_from_the_head_to_the_picture() -> None:
    net = network("resnet10")
    groups = Discriminative(1e-3, SIDE, probe(net)).prepare(net)
    rate = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert len(rate) == len(list(net.parameters())), "each weight is in one group"
    assert rate[id(net.head.weight)] == 1e-3
    parts = blocks(net.body, SIDE, 4)
    for depth, part in enumerate(reversed(parts), start=1):
        rates = {rate[id(p)] for module in part for p in module.parameters(recurse=False)}
        assert list(rates) == [pytest.approx(1e-3 / DECAY**depth)]


def test_a_part_that_is_still_frozen_keeps_its_weights_and_its_statistics() -> None:
    net = network("resnet10")
    frozen = {name for name, _ in net.named_buffers()} | {name for name, _ in net.named_parameters()}
    parts = blocks(net.body, SIDE, 4)
    names = {module: name for name, module in net.named_modules()}
    last = tuple(f"{names[m]}." for m in parts[-1] if list(m.parameters(recurse=False)))
    before = snapshot(net)
    trained(net, Discriminative(1e-2, SIDE, probe(net)))
    changed = moved(before, net)
    assert changed & frozen
    assert all(name.startswith((*last, "head.")) for name in changed), sorted(changed)[:3]


def test_statistics_of_batch_norm_stay_when_all_parts_train() -> None:
    net = network("resnet10")
    before = dict(snapshot(net))
    trained(net, Discriminative(1e-2, SIDE, probe(net)), epochs=5, steps=1)
    changed = moved(before, net)
    assert "body.conv1.weight" in changed
    assert not {name for name in changed if "running_" in name}


def test_a_part_more_is_trained_in_each_epoch() -> None:
    net = network("resnet10")
    method = Discriminative(None, SIDE, probe(net))
    method.prepare(net)
    counts = []
    for epoch in range(5):
        method.start(net, epoch)
        counts.append(sum(p.requires_grad for p in net.body.parameters()))
    assert counts[:4] == sorted(set(counts)), "more in each of the first epochs"
    assert counts[3] == counts[4] == len(list(net.body.parameters()))


def test_norm_moves_scales_shifts_and_biases_alone() -> None:
    net = network("resnet10")
    before = snapshot(net)
    trained(net, Norm(None, probe(net)))
    modules = dict(net.named_modules())
    for name in moved(before, net) - {"head.weight"}:
        owner, _, leaf = name.rpartition(".")
        assert leaf == "bias" or (leaf == "weight" and isinstance(modules[owner], nn.BatchNorm2d)), name


def test_norm_names_what_fits_a_network_without_any() -> None:
    body = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net = Net(body, nn.Linear(4, 3))
    with pytest.raises(InputError, match="neither") as caught:
        Norm(None, probe(net)).prepare(net)
    assert "--method feature" in caught.value.hint


@pytest.mark.parametrize("make", ["own", "transformer", "resnet10", "borrower"])
def test_lora_merged_answers_as_lora_unmerged(make: str) -> None:
    net = network(make)
    method = Lora(1e-1, 2, SIDE, probe(net))
    trained(net, method, steps=3)
    net.eval()
    pictures, _ = batch()
    with torch.inference_mode():
        unmerged = net(pictures)
        merged = method.finish(net)(pictures)
    assert not any("lora" in name for name in net.state_dict())
    torch.testing.assert_close(merged, unmerged, rtol=1e-4, atol=1e-4)


def test_lora_leaves_the_weights_alone_until_they_are_merged() -> None:
    net = network("own")
    before = snapshot(net)
    method = Lora(1e-1, 2, SIDE, probe(net))
    trained(net, method)
    base = {
        n.replace("base_layer.", "").replace("body.model.", "body."): t for n, t in net.state_dict().items()
    }
    assert all(torch.equal(base[name], tensor) for name, tensor in before.items() if name.startswith("body."))
    plain = method.finish(net)
    assert {"body.first.weight", "body.third.weight"} <= moved(before, plain)
    assert "body.second.weight" not in moved(before, plain), "a depthwise convolution takes no update"


def test_lora_counts_what_it_leaves_out() -> None:
    net = network("own")
    method = Lora(None, 2, SIDE, probe(net))
    method.prepare(net)
    assert "2 layers adapted, 1 layer cannot be" in method.notes[0]


def test_lora_takes_no_layer_whose_weights_are_read_by_another() -> None:
    assert fits(network("borrower").body, SIDE) == (["called"], 1)


def test_lora_takes_a_layer_by_its_whole_name() -> None:
    net = network("namesakes")
    before = snapshot(net)
    method = Lora(1e-1, 2, SIDE, probe(net))
    trained(net, method)
    changed = {name for name in moved(before, method.finish(net)) if name.startswith("body.")}
    assert changed == {"body.conv1.weight", "body.conv2.weight"}


def test_lora_leaves_out_a_convolution_with_gaps() -> None:
    gaps = nn.Conv2d(4, 4, 3, padding="same", dilation=2)
    body = nn.Sequential(nn.Conv2d(3, 4, 3), gaps, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert fits(body, SIDE) == (["0"], 1)


def test_lora_that_is_merged_wrongly_is_refused() -> None:
    twice = nn.Conv2d(3, 3, 3)  # under its second name, it has no update before it is merged
    body = nn.Sequential(twice, twice, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net = Net(body, nn.Linear(3, CLASSES))
    method = Lora(1e-1, 2, SIDE, probe(net))
    trained(net, method, steps=3)
    with pytest.raises(GateFailed, match="merged into the weights") as caught:
        method.finish(net)
    assert "--method discriminative" in caught.value.hint


def test_lora_of_a_higher_rank_trains_more() -> None:
    counts = []
    for rank in (2, 4):
        net = network("resnet10")
        groups = Lora(None, rank, SIDE, probe(net)).prepare(net)
        head = sum(p.numel() for p in net.head.parameters())
        counts.append(sum(p.numel() for group in groups for p in group["params"]) - head)
    assert counts[1] == 2 * counts[0]


def test_lora_names_what_fits_a_network_without_a_layer_it_can_take() -> None:
    body = nn.Sequential(nn.Conv2d(3, 6, 3, groups=3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net = Net(body, nn.Linear(6, 3))
    with pytest.raises(InputError, match="1 other layer with weights") as caught:
        Lora(None, 2, SIDE, probe(net)).prepare(net)
    assert "--method norm" in caught.value.hint


def test_frozen_bodies_answer_as_they_will_in_the_engine() -> None:
    for name in ("norm", "lora"):
        net = network("own")
        method = METHODS[name](probe(net))
        method.prepare(net)
        method.start(net, 0)
        pictures, targets = batch()
        statistics = copy.deepcopy({n: b for n, b in net.named_buffers()})
        method.step(net, pictures, targets)
        assert all(torch.equal(statistics[n], b) for n, b in net.named_buffers())
