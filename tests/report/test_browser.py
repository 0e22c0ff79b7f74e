"""The page in a real browser: light and dark, on a phone and on paper, with nothing asked of a network."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

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
  const resources = this.contentWindow.performance.getEntriesByType("resource").map(entry => entry.name);
  const texts = [...page.querySelectorAll("svg.picture text")].map(t => t.getBoundingClientRect().height);
  document.getElementById("told").textContent = JSON.stringify({{
    wide: page.documentElement.scrollWidth,
    pictures: page.querySelectorAll("svg.picture").length,
    smallest: Math.min(...texts),
    images: [...page.images].map(i => i.naturalWidth),
    asked: resources.filter(name => !name.startsWith("data:")),
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


def browse(
    chromium: str, address: Path, *options: str, scheme: int = LIGHT
) -> subprocess.CompletedProcess[str]:
    """Open a page without a window: what the browser prints, and on stderr what the page's console holds."""
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
            "--enable-logging=stderr",
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
    return done


def in_frame(chromium: str, page: Path, width: int) -> tuple[dict[str, Any], list[str]]:
    """What a page is like in a window so wide, and the lines of its console."""
    frame = page.with_name(f"frame-{page.stem}-{width}.html")
    frame.write_text(MEASURE.format(width=width, page=page.name))
    done = browse(chromium, frame, "--dump-dom", "--virtual-time-budget=10000", f"--window-size={DESK},1000")
    told = re.search(r'<pre id="told">(.*?)</pre>', done.stdout)
    assert told is not None
    found: dict[str, Any] = json.loads(told[1])
    return found, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def screenshot(chromium: str, page: Path, scheme: int) -> npt.NDArray[np.uint8]:
    """The page as pixels, BGR."""
    out = page.parent / f"{scheme}.png"
    browse(chromium, page, f"--screenshot={out}", f"--window-size={DESK},{TALL}", scheme=scheme)
    return np.asarray(cv2.imread(str(out)), np.uint8)


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_nothing_is_cut_off_and_letters_can_be_read(chromium: str, page: Path, width: int) -> None:
    found, console = in_frame(chromium, page, width)
    assert found["wide"] <= width, "the page is wider than its window"
    assert found["pictures"] >= 15
    assert found["smallest"] >= 9.0, "letters of fewer pixels cannot be read on a phone"
    assert found["images"]
    assert all(size > 0 for size in found["images"])
    assert (found["asked"], console) == ([], [])


def test_a_page_that_asks_for_something_is_noticed(chromium: str, page: Path) -> None:
    asking = page.with_name("asking.html")
    picture = '<img src="http://127.0.0.1:9/picture.png">'
    asking.write_text(page.read_text().replace("<header>", f"<header>{picture}", 1))
    _, console = in_frame(chromium, asking, DESK)
    assert any("Content Security Policy" in line for line in console), "its own policy forbids that, aloud"
    policy = re.compile(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>")
    asking.write_text(policy.sub("", asking.read_text()))
    found, _ = in_frame(chromium, asking, DESK)
    assert found["asked"] == ["http://127.0.0.1:9/picture.png"]


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
