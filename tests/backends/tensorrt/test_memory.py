"""Memory that is shared: what a build may take, and when it is not begun."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgetl.backends.tensorrt import memory
from edgetl.errors import EnvironmentLacks


def host(folder: Path, *, free_mib: int, swap_mib: int) -> Path:
    """A root with a ``/proc/meminfo``."""
    (folder / "proc").mkdir()
    (folder / "proc" / "meminfo").write_text(
        f"MemTotal: 9999999 kB\nMemAvailable: {free_mib * 1024} kB\nSwapFree: {swap_mib * 1024} kB\n"
    )
    return folder


@pytest.mark.parametrize(("free", "swap"), [(4000, 0), (1500, 1000), (2048, 0)])
def test_a_build_that_fits_is_begun(tmp_path: Path, free: int, swap: int) -> None:
    memory.check(1024 << 20, host(tmp_path, free_mib=free, swap_mib=swap))


@pytest.mark.parametrize(("free", "swap"), [(2000, 0), (900, 9000), (1500, 100)])
def test_one_that_does_not_is_refused_with_figures_and_mend(tmp_path: Path, free: int, swap: int) -> None:
    with pytest.raises(
        EnvironmentLacks, match=f"2048 MiB, this device has {free} MiB .* {swap} MiB"
    ) as caught:
        memory.check(1024 << 20, host(tmp_path, free_mib=free, swap_mib=swap))
    assert "workspace:256" in caught.value.hint


def test_a_host_that_does_not_tell_is_not_refused(tmp_path: Path) -> None:
    memory.check(1024 << 20, tmp_path)


def test_the_power_mode_is_the_boards(tmp_path: Path) -> None:
    assert memory.power_mode(tmp_path) == ""
    (tmp_path / "var/lib/nvpmodel").mkdir(parents=True)
    (tmp_path / "var/lib/nvpmodel/status").write_text("pmode:0002\n")
    assert memory.power_mode(tmp_path) == "pmode:0002"
