"""Arrays on a device: what a launcher reads of them, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgetl.errors import InputError
from edgetl.ops.device import OnDevice, read
from tests.ops.host_device import HostDevice, Lent

Array = npt.NDArray[Any]


def test_an_array_is_where_it_says_and_its_strides_are_in_elements(device: HostDevice) -> None:
    array = np.zeros((3, 4, 5), np.float16).transpose(2, 0, 1)[::2]
    found = read(device, "x", Lent(device, array))
    assert found.address == array.ctypes.data
    assert found.dtype == np.float16
    assert (found.shape, found.strides) == ((3, 3, 4), (2, 20, 5))


def test_without_strides_it_is_in_c_order(device: HostDevice) -> None:
    found = read(device, "x", OnDevice(device, np.zeros((2, 3, 4), np.int8)))
    assert found.strides == (12, 4, 1)


def test_an_axis_of_one_may_have_any_stride(device: HostDevice) -> None:
    array = np.zeros((4, 8), np.float32)[:1]
    lie = Lent(device, array, strides=(4096, 4))
    assert read(device, "x", lie, dense=True).shape == (1, 8)


def whole() -> Array:
    return np.zeros((4, 6), np.float32)


LIES: dict[str, tuple[dict[str, Any], dict[str, bool], str]] = {
    "null": ({"data": (0, False)}, {}, "x is empty.*address 0x0"),
    "a size of zero": ({"shape": (0, 6)}, {}, r"x is empty: shape \(0, 6\)"),
    "backwards": ({"strides": (-24, 4)}, {}, "walks forward"),
    "between elements": ({"strides": (26, 4)}, {}, "whole elements"),
    "masked": ({"mask": 1}, {}, "masked"),
    "with a gap": (
        {"shape": (4, 5), "strides": (24, 4)},
        {"dense": True},
        r"not contiguous: strides of \(24, 4\)",
    ),
    "in another order": ({"strides": (4, 16)}, {"dense": True}, "not contiguous"),
    "without an address": ({"data": None}, {}, "does not tell where it is: TypeError"),
    "of no type of numpy's": ({"typestr": "zz9"}, {}, "data type 'zz9' not understood"),
    "of a size that is no number": ({"shape": (4, "6")}, {}, "does not tell where it is: TypeError"),
    "of strides that are none": ({"strides": (24.0, 4.0)}, {}, "does not tell where it is: TypeError"),
    "of fewer strides than sizes": ({"strides": (4,)}, {}, r"strides of \(4,\) bytes for shape \(4, 6\)"),
    "of nothing": ({"typestr": "|V0"}, {}, "elements of 0"),
    "of elsewhere": ({"data": (4096, False)}, {}, "x is at 0x1000, which is not here"),
}


@pytest.mark.parametrize("name", LIES)
def test_what_a_kernel_cannot_use_is_refused(device: HostDevice, name: str) -> None:
    changes, asked, words = LIES[name]
    with pytest.raises(InputError, match=words) as caught:
        read(device, "x", Lent(device, whole(), **changes), **asked)
    assert "\n" not in caught.value.problem


def test_an_address_between_two_elements_is_refused(device: HostDevice) -> None:
    array = whole()
    with pytest.raises(InputError, match="between two elements of 4 bytes"):
        read(device, "x", Lent(device, array, data=(array.ctypes.data + 2, False)))


def test_an_array_of_the_host_is_refused_by_its_type() -> None:
    with pytest.raises(InputError, match=r"x is a numpy\.ndarray on the host") as caught:
        read(HostDevice(), "x", whole())
    assert "OnDevice" in caught.value.hint


def test_an_array_that_cannot_be_lent_says_why(device: HostDevice) -> None:
    class Recording:
        @property
        def __cuda_array_interface__(self) -> None:
            raise RuntimeError("it records gradients")

    with pytest.raises(InputError, match="it records gradients"):
        read(device, "x", Recording())


def test_an_interface_that_has_no_word_for_an_array_is_refused(device: HostDevice) -> None:
    class Float8:
        @property
        def __cuda_array_interface__(self) -> None:
            raise KeyError("torch.float8_e4m3fn")

    with pytest.raises(InputError, match=r"does not tell where it is: KeyError, 'torch\.float8_e4m3fn'"):
        read(device, "x", Float8())


USES: dict[str, Callable[[OnDevice], object]] = {
    "lent": lambda array: array.__cuda_array_interface__,
    "filled": lambda array: array.fill(np.zeros((4, 6), np.float32)),
    "read": lambda array: array.numpy(),
}


@pytest.mark.parametrize("use", USES)
def test_a_closed_array_is_no_array(device: HostDevice, use: str) -> None:
    """Its memory may be another's by then."""
    array = OnDevice(device, whole())
    array.close()
    with pytest.raises(InputError, match="the array is closed"):
        USES[use](array)


def test_values_go_there_and_come_back(device: HostDevice) -> None:
    values = np.arange(24, dtype=np.float32).reshape(4, 6)
    array = OnDevice(device, values.T)
    np.testing.assert_array_equal(array.numpy(), values.T)
    array.fill(values.T + 1)
    np.testing.assert_array_equal(array.numpy(), values.T + 1)
    assert values[0, 0] == 0
    array.close()
    assert not device.open


def test_nothing_is_not_put_on_a_device(device: HostDevice) -> None:
    with pytest.raises(InputError, match="is empty"):
        OnDevice(device, np.zeros((0, 3), np.float32))
    assert not device.taken
