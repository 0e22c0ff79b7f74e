"""A named network with pretrained weights, cut at its head: body to features, head to classes."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgetl import models
from edgetl.errors import EnvironmentLacks, InputError
from edgetl.transfer import weights as weight_files
from edgetl.types import BuildSpec, Preprocess

__all__ = ["Backbone", "Net", "create", "split"]


class Net(nn.Module):
    """A classifier in two parts, so that features and logits are both at hand.

    Attributes
    ----------
    body : pictures (N, 3, H, W), normalised, to features (N, D). head : features to logits (N, classes).
    """

    def __init__(self, body: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.body = body
        self.head = head

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits (N, classes) of pictures (N, 3, H, W)."""
        logits: Tensor = self.head(self.body(pictures))
        return logits


@dataclass(frozen=True)
class Backbone:
    """A network ready to be transferred.

    Attributes
    ----------
    net : its head is new, for the user's classes, and not trained.
    preprocess : what the weights want of a picture. normalisation : where mean and std were taken from.
    notes : what the user should read. pretrained : its body's weights are not random.
    """

    net: Net
    preprocess: Preprocess
    normalisation: str
    notes: tuple[str, ...]
    pretrained: bool


def create(spec: BuildSpec, classes: int, on_note: Callable[[str], None] = lambda _: None) -> Backbone:
    """Build the network that a request names, load its weights, and give it a new head.

    Raises
    ------
    InputError : the name, the weights or the normalisation is not usable.
    EnvironmentLacks : weights that must be downloaded are out of reach, or timm is not installed.
    """
    torch.manual_seed(spec.seed)  # of the new head, and of everything where there are no weights
    module, rule, default = _construct(spec)
    body, head_name, width = split(module, spec.model)
    notes: list[str] = []
    pretrained = spec.weights not in ("DEFAULT", "none") or (
        spec.weights == "DEFAULT" and default is not None
    )
    file = None if spec.weights in ("DEFAULT", "none") else Path(spec.weights)
    if file is not None:
        weight_files.fit(module, weight_files.read(file), head_name, called=file.name, model=spec.model)
        told = weight_files.preprocessing_of(file)
        if told:
            rule = {**rule, **_rule_of(told), "source": f"{file.name}'s own metadata"}
    elif spec.weights == "DEFAULT" and default is not None:
        weight_files.fit(module, default(on_note), head_name, called="DEFAULT", model=spec.model)
    else:
        notes.append(
            f"{spec.model} has random weights: "
            + (
                "nothing is transferred, the head learns on features of a network that never learned"
                if spec.method == "feature"
                else "this is training from scratch, nothing is transferred"
            )
        )
    preprocess, normalisation = _preprocess(spec, rule)
    body.eval()
    net = Net(body, nn.Linear(width, classes))
    return Backbone(net, preprocess, normalisation, tuple(notes), pretrained)


Rule = Mapping[str, Any]
Default = Callable[[Callable[[str], None]], dict[str, Tensor]]


def _construct(spec: BuildSpec) -> tuple[nn.Module, Rule, Default | None]:
    """The network with its own head, what it wants of a picture, and how its default weights are had."""
    card = models.find(spec.model)
    if card is None and spec.model.startswith("timm/"):
        return _timm(spec.model.removeprefix("timm/"), offline=spec.offline)
    if card is None:
        rule = {
            "image_size": 224,
            "mean": (0.485, 0.456, 0.406),
            "std": (0.229, 0.224, 0.225),
            "crop": (7, 8),
        }
        return _factory(spec.model), {**rule, "source": "ImageNet's, assumed for a network of your own"}, None
    rule = {name: getattr(card, name) for name in ("image_size", "mean", "std", "crop")}
    rule["source"] = f"{spec.model}'s own"
    if card.name == "tiny":
        from edgetl.transfer import tiny

        return tiny.Tiny(), rule, (lambda _: tiny.state()) if tiny.FILE.exists() else None
    import torchvision

    kwargs: dict[str, Any] = {}
    if card.name in ("inception_v3", "googlenet"):
        # init_weights takes half a minute; transform_input is what their published weights were trained with
        kwargs = {"aux_logits": False, "init_weights": False, "transform_input": True}
    module = torchvision.models.get_model(card.name, weights=None, **kwargs)
    if card.name.startswith("squeezenet"):
        module.classifier = nn.Sequential(
            nn.Dropout(0.5), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000)
        )  # its own head is a convolution before the pooling; a linear one after it is the same up to a ReLU
    return module, rule, lambda note: weight_files.download(card, offline=spec.offline, on_note=note)


def _timm(name: str, *, offline: bool) -> tuple[nn.Module, Rule, Default]:
    try:
        import timm
    except ImportError as error:
        raise EnvironmentLacks(
            f"timm/{name} takes timm, which is not installed", hint="pip install 'edgetl[timm]'"
        ) from error
    from edgetl.errors import did_you_mean

    if not timm.is_model(name):
        raise InputError(
            f"timm has no model {name!r}.{did_you_mean(name, timm.list_models())}",
            hint="edgetl models   says how to list them",
        )
    module = timm.create_model(name, pretrained=False)
    config: Any = module.pretrained_cfg
    rule = {
        "image_size": config["input_size"][-1],
        "mean": tuple(config["mean"]),
        "std": tuple(config["std"]),
        "crop": _fraction(config.get("crop_pct") or 0.875),
        "source": f"timm/{name}'s own",
    }

    def default(on_note: Callable[[str], None]) -> dict[str, Tensor]:
        kept = weight_files.kept_by_hub(config["hf_hub_id"])
        if kept is None and offline:
            raise EnvironmentLacks(
                f"the weights of timm/{name} are not on this host ({weight_files.HUB_FILE} of "
                f"{config['hf_hub_id'] or name}), and --offline refuses to download",
                hint="give --weights FILE (.safetensors or .pth), or --weights none",
                file=weight_files.HUB_FILE,
            )
        try:
            if kept is not None:
                made = timm.create_model(name, pretrained=True, pretrained_cfg_overlay={"file": str(kept)})
            else:
                on_note(f"downloading timm's weights of {name}, once")
                made = timm.create_model(name, pretrained=True)
            return dict(made.state_dict())
        except Exception as error:  # the hub's client raises errors of several libraries
            raise EnvironmentLacks(
                f"the weights of timm/{name} could not be downloaded: {str(error).splitlines()[0]}",
                hint="give --weights FILE (.safetensors or .pth), or --weights none",
            ) from error

    return module, rule, default


def _factory(name: str) -> nn.Module:
    place, _, attribute = name.partition(":")
    models.look_here()
    try:
        made = getattr(importlib.import_module(place), attribute)()
    except (ImportError, AttributeError, TypeError) as error:
        raise InputError(
            f"--model {name} could not be made: {error}",
            hint="package.module:factory names a function without arguments",
        ) from error
    if not isinstance(made, nn.Module):
        raise InputError(
            f"{name}() gave a {type(made).__name__}, expected a torch.nn.Module", hint="return the network"
        )
    return made


def split(module: nn.Module, model: str) -> tuple[nn.Module, str, int]:
    """Cut a network at its last linear layer: the body, the layer's name, and its width.

    Raises
    ------
    InputError : it has no linear layer.
    """
    linears = [(name, layer) for name, layer in module.named_modules() if type(layer) is nn.Linear]
    if not linears:
        raise InputError(
            f"{model} has no linear layer to replace",
            hint="a classifier ends in nn.Linear(features, classes)",
        )
    name, layer = linears[-1]
    parent, _, leaf = name.rpartition(".")
    setattr(module.get_submodule(parent), leaf, nn.Identity())
    return module, name, layer.in_features


def _fraction(value: float) -> tuple[int, int]:
    exact = Fraction(value).limit_denominator(1000)
    return exact.numerator, exact.denominator


def _rule_of(told: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a rule that a weights file states."""
    rule: dict[str, Any] = {
        key: tuple(told[key]) for key in ("mean", "std") if isinstance(told.get(key), list)
    }
    size, short = told.get("center_crop"), told.get("resize_short_side")
    if isinstance(size, int):
        rule["image_size"] = size
        if isinstance(short, int) and short >= size:
            rule["crop"] = _fraction(size / short)
    return rule


def _preprocess(spec: BuildSpec, rule: Rule) -> tuple[Preprocess, str]:
    """What the user typed, then the weights file, then the model."""
    size = spec.image_size or int(rule["image_size"])
    source = str(rule["source"])
    if spec.mean or spec.std:
        source = (
            "--mean and --std"
            if spec.mean and spec.std
            else f"--{'mean' if spec.mean else 'std'}, the rest {source}"
        )
    preprocess = Preprocess(
        height=size,
        width=size,
        crop=spec.crop or tuple(rule["crop"]),
        mean=spec.mean or tuple(rule["mean"]),
        std=spec.std or tuple(rule["std"]),
    )
    if min(preprocess.std) <= 0:
        raise InputError(f"std {preprocess.std} must be above 0", hint="--std 0.229,0.224,0.225")
    return preprocess, source
