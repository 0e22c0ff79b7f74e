"""Opened plans and their contexts: what is passed on, what a refusal becomes, and that nothing is left."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from edgetl.errors import BackendError, InputError

Vendor = Any

FREE = {"inputs": [["input", "UINT8", [-1, 32, 32, 3]]], "outputs": [["logits", "FLOAT", [-1, 5]]]}


def opened(**rest: Any) -> Any:
    """A plan, opened in this process."""
    from edgetl.backends.tensorrt.execution import OpenedPlan

    return OpenedPlan(b"plan", **rest)


def test_tensors_have_names_types_shapes_and_directions(vendor: Vendor) -> None:
    vendor(**FREE)
    found = opened().execution().tensors()
    assert [(t.name, t.dtype, t.shape, t.mode) for t in found] == [
        ("input", "uint8", (None, 32, 32, 3), "input"),
        ("logits", "float32", (None, 5), "output"),
    ]


def test_shapes_addresses_and_a_launch_in_the_order_of_the_seam(vendor: Vendor) -> None:
    trt = vendor(**FREE)
    execution = opened().execution()
    with pytest.raises(InputError, match="still to be set"):
        execution.shape("logits")
    execution.set_shape("input", (4, 32, 32, 3))
    assert execution.shape("logits") == (4, 5)
    execution.bind("input", 4096)
    execution.bind("logits", 8192)
    execution.enqueue(77)
    assert trt.calls[-1] == ["execute", "77", "[('input', 4096), ('logits', 8192)]"]


def test_a_shape_outside_the_build_is_refused_with_its_bounds(vendor: Vendor) -> None:
    vendor(**FREE)
    with pytest.raises(InputError, match=r"\(9, 32, 32, 3\), the engine takes from \(1, .*\) to \(8, "):
        opened().execution().set_shape("input", (9, 32, 32, 3))


def test_what_the_library_refuses_while_running_is_told_from_its_log(vendor: Vendor) -> None:
    vendor(null="execute", says={"execute": [["ERROR", "Error Code 1: Cuda Runtime (out of memory)"]]})
    execution = opened().execution()
    with pytest.raises(BackendError, match="no address for 'input'"):
        execution.bind("input", 0)
    execution.bind("input", 1)
    execution.bind("logits", 2)
    with pytest.raises(BackendError, match=r"could not run the engine: .*out of memory"):
        execution.enqueue(0)


@pytest.mark.parametrize(
    ("words", "mend"),
    [
        ("IPluginRegistry::getPluginCreator: could not find plugin: Head version: 1", "no plugin"),
        (
            "Error Code 1: Serialization (Serialization assertion magicTagRead == kMAGIC_TAG failed",
            "cut short",
        ),
        (
            "Version tag does not match. Current Version: 213, Serialized Engine Version: 237",
            "another TensorRT",
        ),
        ("The engine plan file is generated on an incompatible device, expecting compute 8.7", "another GPU"),
        ("Error Code 2: OutOfMemory (no further information)", "memory ran out"),
    ],
)
def test_an_engine_that_is_not_opened_is_told_with_its_cause(vendor: Vendor, words: str, mend: str) -> None:
    vendor(null="engine", says={"open": [["ERROR", words]]})
    with pytest.raises(BackendError, match="cannot open the engine") as caught:
        opened()
    assert words in caught.value.problem
    assert mend in caught.value.hint


def test_no_memory_for_a_context_is_told(vendor: Vendor) -> None:
    vendor(
        null="context",
        says={"context": [["ERROR", "Error Code 2: OutOfMemory (Requested size was 9 bytes.)"]]},
    )
    with pytest.raises(BackendError, match=r"makes no execution context: .*OutOfMemory"):
        opened().execution()


def test_the_engine_goes_when_nothing_refers_to_it_in_any_order(vendor: Vendor) -> None:
    trt = vendor()
    plan = opened()
    first, second = plan.execution(), plan.execution()
    first.close()
    first.close()
    third = plan.execution()  # one that failed does not take the engine along
    del plan, first
    gc.collect()
    second.close()
    with pytest.raises(InputError, match="closed"):
        second.enqueue(0)
    assert ["engine gone"] not in trt.calls
    third.close()
    del second, third
    gc.collect()
    assert trt.calls.count(["engine gone"]) == 1


def test_a_plan_for_a_dla_or_any_release_is_opened_as_one(vendor: Vendor) -> None:
    trt = vendor()
    opened(dla=1, any_release=True)
    assert ["deserialize", "plan", "True", "1"] in trt.calls
    opened()
    assert ["deserialize", "plan", "False", "-1"] in trt.calls


def test_times_are_summed_by_layer(vendor: Vendor) -> None:
    vendor()
    from edgetl.backends.tensorrt.execution import Times

    times = Times()
    execution = opened().execution(times)
    for name in ("input", "logits"):
        execution.bind(name, 1)
    execution.enqueue(0)
    execution.enqueue(0)
    assert times.milliseconds == {"conv": 1.0}
