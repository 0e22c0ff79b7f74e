"""Pictures of the network's size, on disk."""

from __future__ import annotations

from pathlib import Path

from edgetl.stages.prepare import _allocate


def test_the_space_of_a_mapped_file_is_claimed_before_it_is_written(tmp_path: Path) -> None:
    """A sparse file on a full disk would end the process by SIGBUS, without a word."""
    file = tmp_path / "sparse"
    with file.open("wb") as opened:
        opened.truncate(1 << 20)
    assert file.stat().st_blocks * 512 < 1 << 20
    _allocate(file)
    assert file.stat().st_blocks * 512 >= 1 << 20
    assert file.stat().st_size == 1 << 20
