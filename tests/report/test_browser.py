"""The page in a real browser: light and dark, on a phone and on paper."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from edgetl.reporting import report
from tests import handmade, reported

pytestmark = pytest.mark.slow

DARK, LIGHT = 0, 1
"""What Chromium's ``preferredColorScheme`` calls them."""
PHONE, DESK = 375, 1200
TALL = 6000
MEASURE = """<!doctype html><body><iframe id="f" style="width:{width}px;height:900px;border:0" src="{page}"></iframe>
<pre id="told"></pre><script>
document.getElementById("f").onload = function () {{
  const page = this.contentDocument;
  const texts = [...page.querySelectorAll("svg.picture text")].map(t => t.getBoundingClientRect().height);
  document.getElementById("told").textContent = JSON.stringify({{
    wide: page.documentElement.scrollWidth,
    pictures: page.querySelectorAll("svg.picture").length,
    smallest: Math.min(...texts),
    images: [...page.images].map(i => i.naturalWidth),
  }});
}};</script></body>
"""


@pytest.fixture(scope="module")
def chromium() -> str:
    """The browser's program; skips with a reason where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is not None:
        return found
    reason = "no Chromium is installed (Debian: apt-get install chromium)"
    if "chromium" in os.environ.get("EDGETL_REQUIRE", "").split(","):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report over two bundles, pictures included."""
    home = tmp_path_factory.mktemp("browser")
    pictures = handmade.write_pictures(home / "colours")
    plain = handmade.write_bundle(home / "a", pictures, backend="onnxruntime")
    other = Path(shutil.copytree(plain, home / "b"))
    bundles = [reported.fill(plain, pictures), reported.fill(other, pictures, p50_ms=1.5, seed=9)]
    report(bundles, out=home / "report.html", data=str(pictures), cache=home)
    return home / "report.html"


def browse(chromium: str, address: Path, *options: str, scheme: int = LIGHT) -> str:
    """Open a page without a window, and give what the browser prints."""
    profile = address.parent / "profile"
    done = subprocess.run(
        [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--no-first-run",
            "--disable-background-networking",
            "--allow-file-access-from-files",
            f"--user-data-dir={profile}",
            f"--blink-settings=preferredColorScheme={scheme}",
            *options,
            address.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def screenshot(chromium: str, page: Path, scheme: int) -> npt.NDArray[np.uint8]:
    """The page as pixels, BGR."""
    out = page.parent / f"{scheme}.png"
    browse(chromium, page, f"--screenshot={out}", f"--window-size={DESK},{TALL}", scheme=scheme)
    return np.asarray(cv2.imread(str(out)), np.uint8)


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_nothing_is_cut_off_and_letters_can_be_read(chromium: str, page: Path, width: int) -> None:
    frame = page.with_name(f"frame-{width}.html")
    frame.write_text(MEASURE.format(width=width, page=page.name))
    dom = browse(chromium, frame, "--dump-dom", "--virtual-time-budget=10000", f"--window-size={DESK},1000")
    told = re.search(r'<pre id="told">(.*?)</pre>', dom)
    assert told is not None
    found = json.loads(told[1])
    assert found["wide"] <= width, "the page is wider than its window"
    assert found["pictures"] >= 15
    assert found["smallest"] >= 9.0, "letters of fewer pixels cannot be read on a phone"
    assert found["images"]
    assert all(size > 0 for size in found["images"])


def test_the_page_is_light_by_day_and_dark_by_night(chromium: str, page: Path) -> None:
    light, dark = screenshot(chromium, page, LIGHT), screenshot(chromium, page, DARK)
    assert light[5, 5].min() > 240
    assert dark[5, 5].max() < 60
    for image in (light, dark):  # ink stands out from paper, in pictures too: there is a whole range of grey
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        assert int(grey.max()) - int(grey.min()) > 180


def test_the_page_prints_on_a_few_sheets(chromium: str, page: Path) -> None:
    out = page.with_suffix(".pdf")
    browse(chromium, page, f"--print-to-pdf={out}", "--no-pdf-header-footer", scheme=DARK)
    body = out.read_bytes()
    assert body.startswith(b"%PDF")
    sheets = len(re.findall(rb"/Type\s*/Page\b", body))
    assert 3 <= sheets <= 14
