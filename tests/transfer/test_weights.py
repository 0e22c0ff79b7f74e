"""Weights files are read by the names in them, with or without what wrappers set before each."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from edgetl.errors import InputError
from edgetl.transfer import backbone, weights
from edgetl.transfer.tiny import Tiny
from edgetl.types import BuildSpec


class Wrapped(nn.Module):
    """Its layers lie below ``model``, as in many a training script."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 7)
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.model(pictures)
        return logits


PREFIXED = pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])


def written(module: nn.Module, file: Path, prefix: str) -> Path:
    """The module's tensors, with a wrapper's prefix before each name."""
    save_file({prefix + name: tensor for name, tensor in module.state_dict().items()}, file)
    return file


@PREFIXED
def test_a_network_whose_layers_lie_below_model_takes_its_own_weights(tmp_path: Path, prefix: str) -> None:
    trained = Wrapped()
    file = written(trained, tmp_path / "own.safetensors", prefix)
    made = backbone.create(BuildSpec(data="", model=f"{__name__}:Wrapped", weights=str(file)), 2)
    assert torch.equal(made.net.body.state_dict()["model.0.weight"], trained.state_dict()["model.0.weight"])


@PREFIXED
@pytest.mark.parametrize("below", ["", "model."])
def test_a_known_network_is_recognised_and_loaded_under_any_wrapper(
    tmp_path: Path, prefix: str, below: str
) -> None:
    trained = Tiny(3)
    file = written(trained, tmp_path / "tiny.safetensors", prefix + below)
    assert weights.match(file) == ["tiny"]
    made = backbone.create(BuildSpec(data="", model="tiny", weights=str(file)), 2)
    name = "stem.0.weight"
    assert torch.equal(made.net.body.state_dict()[name], trained.state_dict()[name])


def test_what_is_missing_is_named_as_the_network_calls_it(tmp_path: Path) -> None:
    state = Wrapped().state_dict()
    save_file(
        {name: tensor for name, tensor in state.items() if name != "model.0.bias"}, tmp_path / "w.safetensors"
    )
    with pytest.raises(InputError, match=r"does not fit .*: model\.0\.bias \(4,\) is missing$") as caught:
        backbone.create(
            BuildSpec(data="", model=f"{__name__}:Wrapped", weights=str(tmp_path / "w.safetensors")), 2
        )
    assert caught.value.facts["mismatches"] == 1
