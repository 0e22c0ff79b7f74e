"""Training with INT8 in the loop: the network comes nearer to what it answered in float, on the grid of its weights."""

from __future__ import annotations

import copy

import numpy as np
import numpy.typing as npt
import pytest
import torch
from edgetl.calibration.affine import weight_scale
from torch import nn

from edgetl.transfer import qat
from edgetl.transfer.augment import normalise
from edgetl.transfer.qat import Integers
from edgetl.types import Preprocess
from tests.quantize import graphs

RULE = Preprocess(height=graphs.SIDE, width=graphs.SIDE, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
PICTURES: npt.NDArray[np.uint8] = np.concatenate(list(graphs.pictures(64)))
FULL = Integers(activation="uint8", symmetric=False, reduce_range=False, method="minmax")
NARROW = Integers(activation="uint8", symmetric=False, reduce_range=True, method="minmax")


def network() -> nn.Sequential:
    """Convolution, norm, depthwise convolution, classifier; one channel is much wider than the others."""
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(16)
    depthwise, head = nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.Linear(16, 5)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False),
        norm,
        nn.ReLU(),
        depthwise,
        nn.ReLU(),
        nn.Conv2d(16, 16, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        head,
    )
    with torch.no_grad():
        norm.weight[3] *= 40
        norm.bias[3] *= 40
        depthwise.weight[3] /= 40  # what one scale for all channels leaves of the others is six steps
        head.weight.mul_(20)  # confident answers, of which something can be lost
    return net.eval()


@torch.no_grad()
def divergence(net: nn.Module, teacher: nn.Module, how: Integers) -> float:
    """How far a network that computes in integers is from its teacher."""
    pixels = normalise(torch.from_numpy(PICTURES).permute(0, 3, 1, 2), RULE)
    copied = copy.deepcopy(net)
    with qat._in_integers(copied, PICTURES, RULE, how):
        return float(qat._divergence(copied, teacher, pixels))


def tuned(how: Integers, *, seconds: float = 600.0) -> tuple[nn.Module, nn.Module, int]:
    """A network before, after, and the steps between: larger ones than a real network takes, and few of them."""
    before = network()
    after = copy.deepcopy(before)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with pytest.MonkeyPatch.context() as short:
            short.setattr(qat, "STEPS", 40)
            short.setattr(qat, "RATE", 1e-3)
            done = qat.tune(after, PICTURES, RULE, how, flip=False, seed=0, seconds=seconds)
    finally:
        torch.set_num_threads(threads)
    return before, after, done


@pytest.fixture(scope="module", params=[FULL, NARROW], ids=["full range", "reduced range"])
def trained(request: pytest.FixtureRequest) -> tuple[Integers, nn.Module, nn.Module, int]:
    """What INT8 is, and the network before and after."""
    return request.param, *tuned(request.param)


def test_in_integers_it_answers_more_like_the_network_it_was(
    trained: tuple[Integers, nn.Module, nn.Module, int],
) -> None:
    how, before, after, done = trained
    assert done == 40
    assert divergence(after, before, how) < 0.7 * divergence(before, before, how)


def test_its_weights_end_on_the_grid_that_they_are_quantized_to(
    trained: tuple[Integers, nn.Module, nn.Module, int],
) -> None:
    how, _, after, _ = trained
    for layer in after.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            weights = layer.weight.detach().numpy()
            scale = weight_scale(weights, 0, reduce_range=how.reduce_range)
            steps = weights / scale.reshape(-1, *[1] * (weights.ndim - 1))
            assert np.abs(steps - np.rint(steps)).max() < 1e-3


def test_it_is_a_plain_network_again_and_its_norms_keep_their_statistics(
    trained: tuple[Integers, nn.Module, nn.Module, int],
) -> None:
    _, before, after, _ = trained
    assert after.state_dict().keys() == before.state_dict().keys()
    assert not any(layer._forward_pre_hooks for layer in after.modules())
    for name in ("1.running_mean", "1.running_var"):
        assert torch.equal(before.state_dict()[name], after.state_dict()[name])


def test_no_step_is_begun_when_the_time_is_over() -> None:
    assert tuned(FULL, seconds=0.0)[2] == 0


def test_equal_seeds_give_equal_weights(trained: tuple[Integers, nn.Module, nn.Module, int]) -> None:
    how, _, first, _ = trained
    again = tuned(how)[1].state_dict()
    assert all(torch.equal(first.state_dict()[name], again[name]) for name in again)
