"""Which layers INT8 costs most in: each alone quantized, compiled and run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl import asked, devices, target
from edgetl.bundles import Answer, opened
from edgetl.cache import write_whole
from edgetl.devices import DeviceProfile
from edgetl.errors import InputError
from edgetl.pipeline import Progress
from edgetl.quantize import observe, schemes
from edgetl.report.bars import bars
from edgetl.runtime.bundle import Bundle
from edgetl.sources import pictures_of
from edgetl.stages.sensitivity import LayerEffect, by_layer
from edgetl.tasks import Tasks
from edgetl.verify.accuracy import logits_of_model
from edgetl.words import counted

__all__ = ["sensitivity"]

Array = npt.NDArray[Any]

SHOWN = 15
"""Layers in the table; the picture and ``--json`` hold all of them."""
FEW = 16
"""Fewer pictures than this and one of them moves every figure."""
MODEL = "model.fp32.onnx"


def sensitivity(
    place: Path,
    *,
    data: str | None,
    samples: int,
    seed: int,
    devices_file: Path | None,
    picture: Path | None,
    cache: Path,
    progress: Progress,
) -> Answer:
    """The effect of INT8 in each layer of a bundle's network, on its device's engine; no label is needed.

    Parameters
    ----------
    data : pictures; those that the bundle carries where it is ``None``.
    samples : how many of them to calibrate and measure with.
    picture : SVG file to write.

    Raises
    ------
    InputError : no pictures, or a device without INT8. EnvironmentLacks : its backend is not here.
    """
    asked.svg(picture, "--picture")
    with opened(place) as bundle:
        profile = devices.load(devices_file).find(bundle.manifest.device)
        if profile.scheme == "none":
            raise InputError(f"{profile.name} has no INT8: {profile.description}")
        if MODEL not in bundle.manifest.files:
            raise InputError(f"{place} has no {MODEL}", hint="build it again")
        frames = _frames(bundle, data, samples, seed, cache)
        effects = _measure(bundle.folder / MODEL, profile, frames, progress, bundle.tasks)
        name = bundle.manifest.name
    shares = _shares(effects)
    lines = _table(effects, shares, len(frames), f"{name} for {profile.name}")
    few = (
        f"{counted(len(frames), 'picture')} tell little: --data DIR with {FEW} and more"
        if len(frames) < FEW
        else ""
    )
    if few:
        lines.append(f"  note     {few}")
    if picture is not None:
        _draw(picture, f"{name} for {profile.name}", effects, shares, len(frames))
        lines.append(f"  picture  {picture}")
    found = [
        {**msgspec.to_builtins(effect), "noise_share": share}
        for effect, share in zip(effects, shares, strict=True)
    ]
    return Answer(
        {
            "bundle": str(place),
            "device": profile.name,
            "n": len(frames),
            "notes": [few] if few else [],
            "layers": found,
        },
        lines,
    )


def _draw(
    picture: Path, title: str, effects: Sequence[LayerEffect], shares: Sequence[float], count: int
) -> None:
    """Every layer's share of the noise, as an SVG file."""
    rows = [(effect.name, share, _db(effect)) for effect, share in zip(effects, shares, strict=True)]
    drawn = bars(
        f"{title}: noise that INT8 in one layer brings",
        rows,
        note=f"{counted(count, 'picture')}; the longest bar is the layer to look at first",
    )
    write_whole(picture, drawn.encode())


def _frames(bundle: Bundle, data: str | None, samples: int, seed: int, cache: Path) -> Array:
    """Pictures as the engine takes them, uint8 (N, H, W, 3)."""
    if data is None:
        return bundle.golden()["inputs"][:samples]
    return np.stack(list(pictures_of(data, samples, seed, cache, bundle.preprocess, bundle.manifest.reading)))


def _measure(
    model: Path, profile: DeviceProfile, frames: Array, progress: Progress, tasks: Tasks
) -> list[LayerEffect]:
    runs_on, _ = target.where_it_runs(profile)
    scheme = msgspec.structs.replace(schemes.find(profile.scheme), reduce_range=devices.saturates(profile))
    progress.started("calibrate")
    stats = observe.observe(
        model,
        (np.ascontiguousarray(frame[None]) for frame in frames),
        total=len(frames),
        on_progress=lambda done, total: progress.advanced("calibrate", done, total),
    )
    reference = logits_of_model(model, msgspec.structs.replace(runs_on, precision="f32"), frames)
    quantized = msgspec.structs.replace(runs_on, precision="int8")
    progress.started("layers")
    return by_layer(
        model,
        stats,
        scheme,
        "default",
        reference,
        lambda trial: logits_of_model(trial, quantized, frames),
        on_progress=lambda done, total: progress.advanced("layers", done, total),
        tasks=tasks,
    )


def _shares(effects: Sequence[LayerEffect]) -> list[float]:
    """Each layer's share of the noise that all bring, one at a time."""
    noise = np.array([0.0 if effect.snr_db is None else 10 ** (-effect.snr_db / 10) for effect in effects])
    shares: list[float] = (noise / max(float(noise.sum()), 1e-30)).tolist()
    return shares


def _db(effect: LayerEffect) -> str:
    return "no change" if effect.snr_db is None else f"{effect.snr_db:.1f} dB"


def _table(effects: Sequence[LayerEffect], shares: Sequence[float], count: int, title: str) -> list[str]:
    lines = [
        f"  {title}: {len(effects)} layers, each alone in INT8, {counted(count, 'picture')}",
        "",
        f"  {'layer':<40} {'':<8} {'SNR':>10} {'noise':>7} {'same answer':>12}",
    ]
    for effect, share in list(zip(effects, shares, strict=True))[:SHOWN]:
        same = f"{100 * effect.agreement:.1f} %"
        lines.append(f"  {effect.name:<40} {effect.op:<8} {_db(effect):>10} {100 * share:>5.0f} % {same:>12}")
    if len(effects) > SHOWN:
        lines.append(f"  and {len(effects) - SHOWN} more with less noise (--json lists them)")
    return lines
