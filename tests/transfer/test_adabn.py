"""AdaBN: the statistics that a network answers by are those of the target frames, exactly."""

from __future__ import annotations

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from edgetl.errors import InputError
from edgetl.transfer import adabn
from edgetl.types import Preprocess

RULE = Preprocess(height=8, width=8, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


def network() -> nn.Sequential:
    """Two convolutions, each with a norm; dropout between them, which must stay off."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Conv2d(4, 5, 3),
        nn.BatchNorm2d(5),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(5, 2),
    ).eval()


def statistics(net: nn.Module) -> list[Tensor]:
    """Mean and variance of each norm."""
    layers = adabn.norms(net, "it")
    return [part for layer in layers for part in (layer.running_mean, layer.running_var) if part is not None]


def test_one_batch_gives_what_torch_itself_would_keep_of_it() -> None:
    frames = torch.randn(12, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * 3 + 1
    net, expected = network(), network()
    for layer in adabn.norms(expected, "it"):
        layer.train()
        layer.momentum = 1.0
    expected(frames)
    adabn.estimate(net, [frames], adabn.norms(net, "it"))
    for found, wanted in zip(statistics(net), statistics(expected)):
        torch.testing.assert_close(found, wanted)


@settings(deadline=None, max_examples=25)
@given(cuts=st.lists(st.integers(1, 19), max_size=6, unique=True), seed=st.integers(0, 99))
def test_however_frames_are_cut_the_first_norm_gets_their_mean_and_variance(
    cuts: list[int], seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randn(20, 3, 8, 8, generator=generator) + torch.arange(20.0).view(-1, 1, 1, 1)
    net = network()
    batches = [frames[a:b] for a, b in pairwise([0, *sorted(cuts), 20])]
    adabn.estimate(net, batches, adabn.norms(net, "it"))
    with torch.no_grad():
        direct = net[0](frames).double().numpy().transpose(1, 0, 2, 3).reshape(4, -1)
    np.testing.assert_allclose(statistics(net)[0], direct.mean(axis=1), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(statistics(net)[1], direct.var(axis=1, ddof=1), rtol=1e-4)


def test_weights_stay_and_the_network_answers_as_deployed_afterwards() -> None:
    net = network()
    before, momenta = copy.deepcopy(net.state_dict()), [layer.momentum for layer in adabn.norms(net, "it")]
    adabn.estimate(net, [torch.randn(8, 3, 8, 8)], adabn.norms(net, "it"))
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    kept = {name.rpartition(".")[2] for name in changed}
    assert kept == {"running_mean", "running_var", "num_batches_tracked"}
    assert not any(module.training for module in net.modules())
    assert [layer.momentum for layer in adabn.norms(net, "it")] == momenta
    assert not any(layer._forward_pre_hooks for layer in net.modules())


@pytest.mark.parametrize("count", [2, 63, 64, 65, 129])
def test_every_frame_is_seen_once_and_no_batch_is_a_rest(count: int) -> None:
    frames = np.zeros((count, 8, 8, 3), np.uint8)
    frames[:, 0, 0, 0] = np.arange(count)
    batches = list(adabn.batches_of(frames, RULE, seed=0))
    assert len(batches) == adabn.batch_count(count)
    sizes = [len(batch) for batch in batches]
    assert sum(sizes) == count
    assert 2 <= min(sizes) <= max(sizes) <= min(sizes) + 1
    seen = torch.cat([batch[:, 0, 0, 0] for batch in batches]) * 0.25 + 0.5
    assert sorted((seen * 255).round().int().tolist()) == list(range(count))


def test_a_network_without_batch_normalisation_is_refused_with_what_fits() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4))
    assert not adabn.has_norms(net)
    with pytest.raises(InputError, match=r"convnext_tiny has no batch normalisation.*GroupNorm") as caught:
        adabn.norms(net, "convnext_tiny")
    assert "coral" in caught.value.hint
