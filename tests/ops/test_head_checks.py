"""What no head can be made of, beyond what ``test_head`` puts to the launcher and to its twin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgetl.errors import InputError
from edgetl.ops.head_checks import check, check_linear


@pytest.mark.parametrize("name", ["features", "weights", "bias"])
def test_what_is_no_array_is_refused(name: str) -> None:
    given: dict[str, Any] = {
        "features": np.zeros((2, 8, 3, 3), np.float32),
        "weights": np.zeros((40, 8), np.float32),
        "bias": np.zeros(40, np.float32),
    }
    with pytest.raises(InputError, match=f"{name} is a list, not an array"):
        check(**{**given, name: [1.0]}, top_k=5, scale=None)


@pytest.mark.parametrize("number", [np.int64(5), 5])
def test_a_whole_number_is_one_of_numpys_too(number: Any) -> None:
    check_linear(np.zeros((40, 8), np.float16), None, top_k=number, scale=np.float64(0.5))
