"""``make demo`` is the first thing that a newcomer runs: every line of it, in a checkout without history."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_make_demo_runs_to_its_last_line(tmp_path: Path) -> None:
    """With the environment that runs this test in the place of a fresh one: installing is CI's own first step."""
    make = shutil.which("make")
    if make is None:
        pytest.skip("no make on PATH")
    shutil.copyfile(ROOT / "Makefile", tmp_path / "Makefile")
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
    done = subprocess.run(
        [make, "--no-print-directory", "--assume-old", f"{sys.prefix}/.run", f"VENV={sys.prefix}", "demo"],
        cwd=tmp_path,
        env={**os.environ, "EDGETL_CACHE": str(tmp_path / "cache")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "3/0003.png: 3 " in done.stdout
    assert "7/0007.png: 7 " in done.stdout
    assert "digests    " in done.stdout
    assert done.stdout.rstrip().endswith("edgetl devices")
