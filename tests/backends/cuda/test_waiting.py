"""How threads wait: set where nobody chose before, told as it is where somebody did."""

from __future__ import annotations

from typing import Any

import pytest

from edgetl.backends.cuda import waiting

MAP_HOST = 8
"""A flag that has nothing to do with waiting."""


class Library:
    """The three calls of CUDA's driver library; what was set is kept."""

    def __init__(self, *, flags: int = MAP_HOST, active: bool = False, refusing: str = "") -> None:
        self.flags, self.active, self.refusing = flags, active, refusing

    def cuDeviceGet(self, device: Any, index: int) -> int:
        """The device."""
        return int(self.refusing == "device")

    def cuDevicePrimaryCtxGetState(self, device: Any, flags: Any, active: Any) -> int:
        """Flags, and whether the context is there."""
        flags._obj.value, active._obj.value = self.flags, self.active
        return int(self.refusing == "state")

    def cuDevicePrimaryCtxSetFlags_v2(self, device: Any, flags: int) -> int:
        """New flags."""
        if self.refusing == "flags":
            return 1
        self.flags = flags
        return 0


def test_waits_spin_where_nobody_chose_and_other_flags_stay() -> None:
    library = Library(flags=MAP_HOST | 4)
    assert waiting.pin(library) == "spin"
    assert library.flags == MAP_HOST | 1


@pytest.mark.parametrize(
    ("flags", "told"), [(0, "as the driver chooses"), (1, "spin"), (2, "yield"), (4, "block")]
)
def test_a_context_that_is_there_keeps_its_way_and_that_is_told(flags: int, told: str) -> None:
    library = Library(flags=MAP_HOST | flags, active=True)
    assert waiting.pin(library) == told
    assert library.flags == MAP_HOST | flags


@pytest.mark.parametrize(
    ("refusing", "told"), [("device", "unknown"), ("state", "unknown"), ("flags", "as the driver chooses")]
)
def test_a_driver_that_refuses_is_not_told_to_spin(refusing: str, told: str) -> None:
    assert waiting.pin(Library(refusing=refusing)) == told
