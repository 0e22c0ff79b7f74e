"""``examples/corruption_sheet.py`` on the road that it draws, and on a picture of the user's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

PROGRAM = Path(__file__).parents[2] / "examples/corruption_sheet.py"


def test_a_sheet_shows_every_corruption_of_the_picture_given(tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "photo.png"), np.full((90, 120, 3), 128, np.uint8))
    sheets = []
    for given in ([], ["photo.png"]):
        done = subprocess.run(
            [sys.executable, PROGRAM, *given, "sheet.png"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "19 corruptions at severities 1 to 5" in done.stdout
        sheet = cv2.imread(str(tmp_path / "sheet.png"))
        assert sheet is not None
        sheets.append(sheet)
    assert sheets[0].shape == sheets[1].shape
    assert not np.array_equal(sheets[0], sheets[1])
