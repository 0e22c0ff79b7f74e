"""The data behind ``--data demo``: scikit-learn's handwritten digits, as pictures in class folders."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np

from edgetl.cache import out_of_space
from edgetl.errors import EnvironmentLacks

__all__ = ["write"]

SIDE = 64
MARK = ".whole"


def write(folder: Path) -> Path:
    """Write the 1,797 digits (8 x 8, 17 grey levels) as 64 x 64 PNG files ``<digit>/<number>.png``, once.

    Raises
    ------
    EnvironmentLacks : scikit-learn or OpenCV is not installed, or there is no space.
    """
    if (folder / MARK).exists():
        return folder
    try:
        import cv2
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise EnvironmentLacks(
            f"--data demo takes {error.name}, which is not installed",
            hint="pip install 'edgetl[train,openvino]'",
        ) from error
    digits = load_digits()
    with out_of_space(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix="demo-", suffix=".partial", dir=folder.parent))
        try:
            for number, (small, label) in enumerate(zip(digits.images, digits.target)):
                grey = np.rint(small * (255 / 16)).astype(np.uint8)
                place = partial / str(label)
                place.mkdir(exist_ok=True)
                large = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR_EXACT)
                encoded = cv2.imencode(".png", large)[1]  # imwrite does not say that a disk is full
                (place / f"{number:04d}.png").write_bytes(encoded.tobytes())
            (partial / MARK).touch()
            _settle(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder


def _settle(partial: Path, folder: Path) -> None:
    """Give the whole folder its name, unless another build was first; half of one that a kill left goes."""
    try:
        partial.rename(folder)
    except OSError:
        if not (folder / MARK).exists():
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
