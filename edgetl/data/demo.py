"""The data behind ``--data demo``: scikit-learn's handwritten digits, as pictures in class folders."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np

from edgetl.errors import EnvironmentLacks

__all__ = ["write"]

SIDE = 64
MARK = ".whole"


def write(folder: Path) -> Path:
    """Write the 1,797 digits (8 x 8, 17 grey levels) as 64 x 64 PNG files ``<digit>/<number>.png``, once.

    Raises
    ------
    EnvironmentLacks : scikit-learn or OpenCV is not installed.
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
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix="demo-", dir=folder.parent))
    for number, (small, label) in enumerate(zip(digits.images, digits.target)):
        grey = np.rint(small * (255 / 16)).astype(np.uint8)
        place = partial / str(label)
        place.mkdir(exist_ok=True)
        large = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR_EXACT)
        cv2.imwrite(str(place / f"{number:04d}.png"), large)
    (partial / MARK).touch()
    try:
        partial.rename(folder)
    except OSError:  # another build wrote it meanwhile, or a kill left half of it
        if not (folder / MARK).exists():
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
        shutil.rmtree(partial, ignore_errors=True)
    return folder
