"""A head for the host's arrays: on the GPU, or in numpy with the reason told."""

from __future__ import annotations

import ctypes
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from edgetl.errors import BackendError, EnvironmentLacks, InputError
from edgetl.ops.head import reference
from edgetl.ops.library import Library
from edgetl.ops.opening import open_head
from tests.kernels.head_on_host import Library as HostKernels
from tests.kernels.head_on_host import random_case
from tests.ops.host_device import HostDevice, functions


def raising(error: Exception) -> Any:
    def call(*_: object) -> Any:
        raise error

    return call


def on_host(kernels: HostKernels) -> Library:
    """The kernels for the CPU, as if they had been loaded for a GPU."""
    under = functions(kernels)
    named = {f"edgetl_head_{name}": call for name, call in under._asdict().items()}
    return Library(
        Path("here"), "given", cast(ctypes.CDLL, SimpleNamespace(edgetl_status_text=under.text, **named))
    )


def test_on_the_gpu_it_answers_as_the_twin_and_takes_memory_once_a_shape(
    device: HostDevice, library: HostKernels
) -> None:
    cases = [random_case(np.random.default_rng(n), (n, 24, 3, 3), 50) for n in (2, 7)]
    weights, bias = cases[0].weights, cases[0].bias
    head = open_head(weights, bias, device=lambda: device, library=lambda _: on_host(library))
    assert head.facts["head"] == "fused: given"
    for case in cases:
        found, wanted = head.run(case.features), reference(case.features, weights, bias)
        np.testing.assert_array_equal(found.indices, wanted.indices)
        np.testing.assert_allclose(found.scores, wanted.scores, rtol=1e-4)
        taken = device.taken
        head.run(case.features)
        assert device.taken == taken
    head.close()
    head.close()
    assert not device.open


def test_the_library_is_asked_for_the_gpus_capability(device: HostDevice, library: HostKernels) -> None:
    asked: list[str] = []

    def find(capability: str) -> Library:
        asked.append(capability)
        return on_host(library)

    open_head(np.zeros((3, 4), np.float32), top_k=1, device=lambda: device, library=find).close()
    assert asked == ["8.7"]


@pytest.mark.parametrize("what", ["device", "library"])
def test_what_is_lacking_is_told_and_numpy_answers(device: HostDevice, what: str) -> None:
    case = random_case(np.random.default_rng(1), (2, 24, 3, 3), 50)
    ways: dict[str, Any] = {"device": lambda: device, "library": lambda _: None}
    ways[what] = raising(EnvironmentLacks(f"no {what} here"))
    head = open_head(case.weights, case.bias, **ways)
    assert head.facts["head"] == f"numpy: no {what} here"
    found = head.run(case.features)
    np.testing.assert_array_equal(found.scores, reference(case.features, case.weights, case.bias).scores)
    head.close()


def test_a_compiler_that_refuses_is_not_passed_over(device: HostDevice) -> None:
    with pytest.raises(BackendError, match="spilled"):
        open_head(
            np.zeros((3, 4), np.float32),
            top_k=1,
            device=lambda: device,
            library=raising(BackendError("spilled")),
        )


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"weights": np.zeros((3, 4))}, "weights are float64"),
        ({"bias": np.zeros(2, np.float32)}, "bias is float32"),
        ({"top_k": 4}, "a whole number from 1 to 3"),
        ({"scale": -1.0}, "above 0 and finite"),
    ],
)
def test_what_no_head_can_be_made_of_is_refused_before_a_gpu_is_asked_for(
    wrong: dict[str, Any], words: str
) -> None:
    ways = {"device": raising(AssertionError()), "library": raising(AssertionError())}
    with pytest.raises(InputError, match=words):
        open_head(**{"weights": np.zeros((3, 4), np.float32), "top_k": 1, **wrong, **ways})


def test_a_closed_head_says_so(device: HostDevice, library: HostKernels) -> None:
    case = random_case(np.random.default_rng(2), (2, 24, 3, 3), 50)
    head = open_head(case.weights, case.bias, device=lambda: device, library=lambda _: on_host(library))
    head.run(case.features)
    head.close()
    with pytest.raises(InputError, match="the head is closed"):
        head.run(case.features)
    assert not device.open


def test_features_that_do_not_fit_leave_it_as_it_was(device: HostDevice, library: HostKernels) -> None:
    case = random_case(np.random.default_rng(2), (2, 24, 3, 3), 50)
    head = open_head(case.weights, case.bias, device=lambda: device, library=lambda _: on_host(library))
    wrongs: list[Any] = [case.features[:, :5], case.features.astype(np.float64), case.features[:0], [1.0]]
    for wrong in wrongs:
        with pytest.raises(InputError):
            head.run(wrong)
    assert head.run(case.features).status.tolist() == [0, 0]
    head.close()
    assert not device.open
