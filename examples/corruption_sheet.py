"""Every corruption at every severity on one picture, as a sheet to look at: what will `edgetl verify --corruptions` do?

python examples/corruption_sheet.py photo.jpg sheet.jpg
python examples/corruption_sheet.py sheet.jpg             # on a road that is drawn here
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from edgetl.data.decode import read_image
from edgetl.runtime import preprocess
from edgetl.types import Preprocess
from edgetl.verify import corruptions

SIDE, SHOWN, NAME = 224, 80, 18
"""Pixels: of the picture as an engine would take it, of a tile, and of the line above a row."""


def road(side: int = SIDE) -> np.ndarray:
    """A road with lanes, a tree, a car and a sign under a sky, uint8 (side, side, 3), RGB."""
    rng = np.random.default_rng(1)
    rows = np.linspace(0, 1, side)[:, None, None]
    scene = (1 - rows) * (90, 150, 225) + rows * (235, 240, 245) + np.zeros((side, side, 1))
    ground = np.array((96, 118, 70)) + rng.normal(0, 9, (side, side, 1))
    scene[side // 2 :] = ground[side // 2 :]
    image = np.clip(scene, 0, 255).astype(np.uint8)
    s = side / 224

    def shape(points: list[tuple[int, int]], colour: tuple[int, int, int]) -> None:
        cv2.fillPoly(image, [np.rint(np.array(points) * s).astype(np.int32)], colour, cv2.LINE_AA)

    shape([(104, 112), (120, 112), (216, 224), (8, 224)], (98, 98, 102))
    for top, bottom in ((120, 130), (140, 156), (172, 200)):
        shape([(111, top), (113, top), (114, bottom), (110, bottom)], (240, 240, 235))
    shape([(30, 70), (36, 70), (37, 128), (29, 128)], (86, 62, 40))
    for x, y in rng.normal((33, 66), (13, 11), (70, 2)):
        centre = round(x * s), round(y * s)
        cv2.circle(image, centre, round(6 * s), (30, int(rng.integers(80, 130)), 45), -1, cv2.LINE_AA)
    shape([(132, 140), (174, 140), (178, 166), (128, 166)], (178, 34, 40))
    shape([(138, 126), (168, 126), (174, 141), (132, 141)], (40, 52, 66))
    for x in (138, 168):
        cv2.circle(image, (round(x * s), round(167 * s)), round(6 * s), (24, 24, 26), -1, cv2.LINE_AA)
    shape([(196, 84), (199, 84), (199, 136), (196, 136)], (120, 120, 124))
    cv2.circle(image, (round(197 * s), round(76 * s)), round(12 * s), (200, 30, 36), -1, cv2.LINE_AA)
    shape([(189, 73), (205, 73), (205, 79), (189, 79)], (250, 250, 250))
    return image


def sheet(image: np.ndarray) -> np.ndarray:
    """A row for each corruption, clean first and then the five severities; two columns of rows."""
    rows = []
    for name in corruptions.named(["all"]):
        tiles = [image] + [
            corruptions.apply(image, name, severity, np.random.default_rng(5))
            for severity in corruptions.SEVERITIES
        ]
        strip = np.hstack([cv2.resize(tile, (SHOWN, SHOWN), interpolation=cv2.INTER_AREA) for tile in tiles])
        head = np.full((NAME, strip.shape[1], 3), 255, np.uint8)
        cv2.putText(head, name, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (20, 20, 20), 1, cv2.LINE_AA)
        rows.append(np.vstack([head, strip]))
    if len(rows) % 2:
        rows.append(np.full_like(rows[0], 255))
    half = len(rows) // 2
    between = np.full((half * len(rows[0]), 12, 3), 255, np.uint8)
    return np.hstack([np.vstack(rows[:half]), between, np.vstack(rows[half:])])


def main(arguments: list[str]) -> None:
    *given, out = arguments
    image = road()
    if given:
        rule = Preprocess(height=SIDE, width=SIDE, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
        image = preprocess.apply(read_image(Path(given[0])), rule)
    small = [cv2.IMWRITE_JPEG_QUALITY, 78] if Path(out).suffix == ".jpg" else []
    encoded = cv2.imencode(Path(out).suffix, sheet(image)[..., ::-1], small)[1]
    Path(out).write_bytes(encoded.tobytes())
    print(f"{out}: {len(corruptions.named(['all']))} corruptions at severities 1 to 5")


if __name__ == "__main__":
    main(sys.argv[1:])
