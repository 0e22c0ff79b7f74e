"""What the README claims is what the results files hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_tables_are_made_from_the_results_files() -> None:
    program = ROOT / "benchmarks/tables.py"
    done = subprocess.run([sys.executable, str(program), "--check"], capture_output=True, check=False)
    assert done.returncode == 0, "run python benchmarks/tables.py"
