"""Who had the processors, from counters made up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edgetl.bench import activity
from edgetl.bench.activity import Activity


def at(all_s: float, busy_s: float, own_s: float, stolen_s: float = 0.0) -> Activity:
    """A reading."""
    return Activity(all_s=all_s, busy_s=busy_s, stolen_s=stolen_s, own_s=own_s)


def test_what_is_busy_and_not_ours_is_others() -> None:
    found = activity.between(at(100, 40, 10), at(120, 58, 18, 2))
    assert found is not None
    assert (found.others, found.stolen) == (0.5, 0.1)


def test_guest_time_is_not_counted_twice_and_idle_is_no_work(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/stat").write_text("cpu  100 0 50 700 50 0 0 100 90 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
    found = activity.read(tmp_path)
    assert found is not None
    assert found.all_s == 10 * found.stolen_s
    assert found.busy_s == 1.5 * found.stolen_s


def test_a_child_that_ended_is_no_other() -> None:
    before = activity.read()
    if before is None:
        pytest.skip("the system has no /proc/stat")
    spin = "import time\nwhile time.process_time() < 0.55: pass"  # the system counts in ticks of 10 ms
    subprocess.run([sys.executable, "-c", spin], check=True)
    after = activity.read()
    assert after is not None and after.own_s - before.own_s >= 0.5


def test_a_host_without_counters_says_nothing(tmp_path: Path) -> None:
    assert activity.read(tmp_path) is None
    assert activity.between(None, at(1, 1, 1)) is None
    assert activity.between(at(5, 1, 1), at(5, 1, 1)) is None
