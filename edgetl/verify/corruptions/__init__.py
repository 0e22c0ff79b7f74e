"""Bad weather, bad light, blur, noise and transmission, put on a picture at five severities.

After ImageNet-C (Hendrycks & Dietterich 2019, arXiv:1903.12261), with rain, low light, glare and colour quantization
beside its kinds, and with ice and snow that are drawn here: severities are as hard as theirs, about, and accuracies are
not comparable with published ones. Lengths (a blur's radius, a flake) follow the picture's short side, so that a
severity means the same at any size; noise is by pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from edgetl.errors import InputError, did_you_mean
from edgetl.verify.corruptions import blur, digital, light, noise, weather
from edgetl.verify.corruptions.texture import Picture

__all__ = ["GROUPS", "SEVERITIES", "apply", "named"]

Image = npt.NDArray[np.uint8]
Corruption = Callable[[Picture, int, np.random.Generator], Picture]

SEVERITIES = (1, 2, 3, 4, 5)
GROUPS: dict[str, dict[str, Corruption]] = {
    "weather": {"fog": weather.fog, "frost": weather.frost, "snow": weather.snow, "rain": weather.rain},
    "light": {
        "brightness": light.brightness,
        "low_light": light.low_light,
        "contrast": light.contrast,
        "glare": light.glare,
    },
    "blur": {
        "defocus_blur": blur.defocus_blur,
        "motion_blur": blur.motion_blur,
        "zoom_blur": blur.zoom_blur,
        "gaussian_blur": blur.gaussian_blur,
    },
    "noise": {
        "gaussian_noise": noise.gaussian_noise,
        "shot_noise": noise.shot_noise,
        "impulse_noise": noise.impulse_noise,
    },
    "digital": {
        "jpeg_compression": digital.jpeg_compression,
        "pixelate": digital.pixelate,
        "elastic_transform": digital.elastic_transform,
        "color_quantization": digital.color_quantization,
    },
}
"""Group -> name -> the corruption."""
ALL = "all"
_BY_NAME = {name: made for group in GROUPS.values() for name, made in group.items()}


def apply(image: npt.NDArray[np.uint8], name: str, severity: int, rng: np.random.Generator) -> Image:
    """One corruption of one picture.

    Parameters
    ----------
    image : uint8 (H, W, 3), RGB, of any size; it is not changed.
    name : one of ``GROUPS``. severity : 1 to 5.
    rng : where the flakes fall. A generator of the same seed gives the same bytes; at another severity it gives the
        same clouds and ways, harder.

    Returns
    -------
    uint8 (H, W, 3), a new array.

    Raises
    ------
    InputError : no such corruption or severity, or no such picture.

    >>> dark = apply(np.full((4, 4, 3), 200, np.uint8), "low_light", 5, np.random.default_rng(0))
    >>> dark.shape, bool(dark.max() < 100)
    ((4, 4, 3), True)
    """
    if name not in _BY_NAME:
        raise _unknown(name, _BY_NAME)
    if severity not in SEVERITIES:
        raise InputError(f"severity {severity} is not one of 1 to 5", hint="1 is mild, 5 is hard")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise InputError(
            f"a picture is {image.dtype} of shape {image.shape}, expected uint8 (height, width, 3)",
            hint="repeat a grey picture to three channels",
        )
    bright = np.asarray(image, np.float32) / np.float32(255)
    changed = _BY_NAME[name](bright, severity - 1, rng)
    return np.rint(np.clip(changed, 0, 1) * 255).astype(np.uint8)


def named(texts: Sequence[str]) -> list[str]:
    """The corruptions that groups and names stand for, in the order of ``GROUPS``, each once.

    Raises
    ------
    InputError : one is neither.

    >>> named(["noise", "fog", "fog"])
    ['fog', 'gaussian_noise', 'shot_noise', 'impulse_noise']
    """
    chosen: set[str] = set()
    for text in texts:
        if text == ALL:
            chosen |= _BY_NAME.keys()
        elif text in GROUPS:
            chosen |= GROUPS[text].keys()
        elif text in _BY_NAME:
            chosen.add(text)
        else:
            raise _unknown(text, [*GROUPS, *_BY_NAME, ALL])
    return [name for name in _BY_NAME if name in chosen]


def _unknown(name: str, known: Sequence[str] | dict[str, Corruption]) -> InputError:
    inside = next((one for one in known if name and name in one), None)  # jpeg of jpeg_compression
    near = did_you_mean(name, known) or (f" Did you mean {inside!r}?" if inside else "")
    groups = "; ".join(f"{group}: {', '.join(members)}" for group, members in GROUPS.items())
    return InputError(f"no corruption {name!r}.{near}", hint=f"{groups}; or all")
