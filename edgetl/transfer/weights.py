"""Pretrained weights: where they come from, that they are safe to read, and that they fit."""

from __future__ import annotations

import contextlib
import json
import pickle  # noqa: TID251 (for the name of its error only: nothing is unpickled)
import re
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from edgetl import models
from edgetl.errors import EnvironmentLacks, InputError
from edgetl.models import ModelCard

__all__ = ["HUB_FILE", "bare", "download", "fit", "kept_by_hub", "match", "preprocessing_of", "read"]

T = TypeVar("T")
State = dict[str, Tensor]

WRAPPERS = ("state_dict", "model", "model_state_dict", "net")
"""Keys under which training scripts keep the weights."""
PREFIXES = ("module.", "_orig_mod.", "model.")
"""What wrappers set before every name."""
SHOWN = 3
HUB_FILE = "model.safetensors"
"""Where timm keeps weights in a repository of Hugging Face's hub."""


def read(path: Path) -> State:
    """Tensors of a ``.safetensors`` or ``.pth`` file, float32, by the names that they have there.

    Raises
    ------
    InputError : it is missing, damaged, holds no tensors, holds NaN, or is a pickle that wants to run code.
    """
    if not path.is_file():
        raise InputError(
            f"no such weights file: {path}", hint="--weights FILE, DEFAULT or none", path=str(path)
        )
    state = _safetensors(path) if path.suffix == ".safetensors" else _torch_file(path)
    state = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    for name, tensor in state.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise InputError(
                f"{path.name} holds NaN or infinity in {name}",
                hint="the training that wrote it diverged: take an earlier file",
            )
    return state


def bare(state: State) -> State:
    """Tensors without any wrapper's prefix before their names."""
    return _spellings(state)[-1]


def _spellings(state: Mapping[str, T]) -> list[dict[str, T]]:
    """By the names as they are, for a network may itself have a ``model``; then with a prefix less each time."""
    spelt = [dict(state)]
    for prefix in PREFIXES:
        if any(name.startswith(prefix) for name in spelt[-1]):
            spelt.append({name.removeprefix(prefix): value for name, value in spelt[-1].items()})
    return spelt


def _safetensors(path: Path) -> State:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path.name} is not a whole safetensors file: {error}", hint="copy it again"
        ) from error


def _torch_file(path: Path) -> State:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        zipfile.BadZipFile,
        ValueError,
        KeyError,
    ) as error:
        if "weights_only" in str(error) or "Unsupported" in str(error):
            raise InputError(
                f"{path.name} is a pickle that wants to run code when it is read: refused",
                hint="save the state_dict alone, best as .safetensors",
                path=str(path),
            ) from error
        raise InputError(
            f"{path.name} is not a whole weights file", hint="copy it again", path=str(path)
        ) from error
    for key in WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not any(isinstance(value, Tensor) for value in found.values()):
        raise InputError(
            f"{path.name} holds no tensors by name", hint="save model.state_dict()", path=str(path)
        )
    return {str(name): value for name, value in found.items() if isinstance(value, Tensor)}


def fit(module: nn.Module, state: State, head: str, *, called: str, model: str) -> None:
    """Load weights into a network; the head's are left out, and everything else must be there and of its shape.

    Parameters
    ----------
    head : name of the module that will be replaced.
    called, model : the file and the network, for the error.

    Raises
    ------
    InputError : the weights are another network's; the first tensors that do not fit are named.
    """
    wanted = {
        name: tensor
        for name, tensor in module.state_dict().items()
        if not name.startswith(f"{head}.") and not name.endswith("num_batches_tracked")
    }
    state = max(_spellings(state), key=lambda spelt: len(wanted.keys() & spelt.keys()))
    faults = []
    for name, tensor in wanted.items():
        if name not in state:
            faults.append(f"{name} {tuple(tensor.shape)} is missing")
        elif state[name].shape != tensor.shape:
            faults.append(f"{name} is {tuple(state[name].shape)}, expected {tuple(tensor.shape)}")
    if faults:
        more = f", and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise InputError(
            f"{called} does not fit {model}: {'; '.join(faults[:SHOWN])}{more}",
            hint=f"edgetl models --match {called}   says which model it is for",
            mismatches=len(faults),
        )
    module.load_state_dict({name: state[name] for name in wanted}, strict=False)


def preprocessing_of(path: Path) -> Mapping[str, Any] | None:
    """What the file says of its preprocessing: ``FILE.json`` beside it, then the safetensors header."""
    for text in _metadata(path):
        try:
            found = json.loads(text)
        except ValueError:
            continue  # a header may hold any words
        if isinstance(found, dict) and isinstance(found.get("preprocessing"), dict):
            told: Mapping[str, Any] = found["preprocessing"]
            return told
    return None


def _metadata(path: Path) -> list[str]:
    """The texts that come with weights: ``FILE.json`` beside them, then the values of the safetensors header."""
    beside = path.with_suffix(".json")
    texts = [beside.read_text(encoding="utf-8")] if beside.is_file() else []
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt") as file:
            texts += list((file.metadata() or {}).values())
    return texts


def download(card: ModelCard, *, offline: bool, on_note: Callable[[str], None]) -> State:
    """torchvision's default weights of a model, from its cache or by its own download.

    Raises
    ------
    EnvironmentLacks : they are not in the cache, and downloads are refused or fail.
    """
    import torchvision

    cached = Path(torch.hub.get_dir()) / "checkpoints" / card.weights_file
    bring = f"put {card.weights_file} into {cached.parent}, or give --weights FILE or --weights none"
    if not cached.exists():
        if offline:
            raise EnvironmentLacks(
                f"the weights of {card.name} are not on this host ({card.weights_file}, {card.weights_mb:.0f} MB), "
                "and --offline refuses to download",
                hint=bring,
                file=card.weights_file,
            )
        on_note(f"downloading {card.weights_file}, {card.weights_mb:.0f} MB, once")
    try:
        with contextlib.redirect_stdout(
            sys.stderr
        ):  # where torch says what it downloads; ours may carry JSON
            state = torchvision.models.get_weight(_weight_name(card)).get_state_dict(
                progress=False, check_hash=True
            )
    except (OSError, RuntimeError) as error:
        raise EnvironmentLacks(
            f"the weights of {card.name} ({card.weights_file}, {card.weights_mb:.0f} MB) "
            f"could not be downloaded: {error}",
            hint=bring,
            file=card.weights_file,
        ) from error
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def kept_by_hub(repository: str | None) -> Path | None:
    """The weights of a repository (``owner/name``, maybe ``@revision``) that an earlier download left on this host."""
    from huggingface_hub import try_to_load_from_cache

    name, _, revision = (repository or "").partition("@")
    found = try_to_load_from_cache(name, HUB_FILE, revision=revision or None) if name else None
    return Path(found) if isinstance(found, str) else None


def _weight_name(card: ModelCard) -> str:
    import torchvision

    return f"{torchvision.models.get_model_weights(card.name).__name__}.{card.weights}"


def match(path: Path) -> list[str]:
    """Names of the models that a weights file fits, whatever its classes: torchvision's and ours, then timm's."""
    spelt = _spellings({name: tuple(tensor.shape) for name, tensor in read(path).items()})
    known = [
        card.name
        for card in models.cards().values()
        if any(models.signature(shapes, card.head) == card.signature for shapes in spelt)
    ]
    return known or _timm_matches(spelt, _words(path))


Shapes = dict[str, tuple[int, ...]]
FAMILIES = {"conv_stem.weight": "*net*", "patch_embed.proj.weight": "*it*", "conv1.weight": "*res*"}
"""A tensor that shows the family of a timm network, and how the family is called there."""


def _timm_matches(spelt: Sequence[Shapes], words: frozenset[str]) -> list[str]:
    """timm's models of the same signature, the likeliest first.

    Networks that the file speaks of, and those whose names hold such a name, are tried first; the rest of the
    family, which takes minutes, only where none of them fits.
    """
    try:
        import timm
    except ImportError:
        return []
    names = timm.list_models()
    spoken = sorted((name for name in names if name in words), key=len, reverse=True)
    near = [name for name in names if any(word in name for word in spoken)]
    stems = set().union(*spelt)
    patterns = [pattern for stem, pattern in FAMILIES.items() if stem in stems] or ["*"]
    family = [name for pattern in patterns for name in timm.list_models(pattern)]
    for candidates in ([*spoken, *near], family):
        found = [f"timm/{name}" for name in dict.fromkeys(candidates) if _timm_fits(name, spelt)]
        if found:
            return found
    return []


def _timm_fits(name: str, spelt: Sequence[Shapes]) -> bool:
    """Whether a timm network has the tensors so spelt; it is built without memory, on torch's meta device."""
    import timm

    try:
        with torch.device("meta"):
            module = timm.create_model(name, pretrained=False)
    except (RuntimeError, NotImplementedError, AssertionError, ValueError, TypeError):
        return False  # a few networks compute with their weights while they are built
    layers = [n for n, layer in module.named_modules() if type(layer) is nn.Linear] or [""]
    own = {n: tuple(t.shape) for n, t in module.state_dict().items()}
    wanted = models.signature(own, layers[-1])
    return any(models.signature(shapes, layers[-1]) == wanted for shapes in spelt)


def _words(path: Path) -> frozenset[str]:
    """What could be a network's name in a weights file's name, with and without its ending, and in its metadata."""
    texts = [path.stem, *_metadata(path)]
    parts = path.stem.split("_")
    starts = ("_".join(parts[:end]) for end in range(1, len(parts) + 1))
    return frozenset([*re.findall(r"\w+", " ".join(texts)), *starts])
