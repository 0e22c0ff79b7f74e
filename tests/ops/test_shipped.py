"""Kernels that a bundle brings: taken where they fit and every byte is there, else passed over with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgetl import digest
from edgetl.errors import BundleError, EnvironmentLacks
from edgetl.ops import shipped
from edgetl.ops.head import reference
from edgetl.ops.library import ABI
from edgetl.ops.opening import open_head
from edgetl.ops.shipped import CUBIN, FOLDER, RECORD, Kernels, Shipped
from tests.kernels.head_on_host import Library, random_case
from tests.ops.host_cuda import ENTRIES, HostCuda
from tests.ops.host_device import HostDevice

IMAGE = b"device code"


def lacking(capability: str) -> Kernels:
    """A host without a compiler."""
    raise EnvironmentLacks("no nvcc here", hint="install it")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """One that brings the head for Orin."""
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / CUBIN).write_bytes(IMAGE)
    head = shipped.Head(sha256=digest.of_bytes(IMAGE), abi=ABI, toolkit="12.6.68", entries=ENTRIES)
    return recorded(tmp_path, Shipped(capability="8.7", head=head))


def recorded(bundle: Path, record: Shipped) -> Path:
    """The bundle with another record."""
    (bundle / FOLDER / RECORD).write_bytes(digest.canonical_json(record))
    return bundle


def changed(bundle: Path, **fields: Any) -> Path:
    """The bundle, whose head is said to be another."""
    record = shipped.read(bundle / FOLDER)
    assert record is not None and record.head is not None
    head = msgspec.structs.replace(record.head, **fields)
    return recorded(bundle, msgspec.structs.replace(record, head=head))


def test_a_head_runs_on_a_gpu_without_a_compiler_by_what_the_bundle_brings(
    bundle: Path, device: HostDevice, library: Library
) -> None:
    case = random_case(np.random.default_rng(5), (3, 24, 3, 3), 50)
    cuda = HostCuda(library)
    find = shipped.before(bundle, lacking, cuda=cuda)
    head = open_head(case.weights, case.bias, device=lambda: device, library=find)
    assert head.facts["head"] == "fused: of the bundle, compiled by nvcc 12.6.68 for compute capability 8.7"
    found = head.run(case.features)
    np.testing.assert_array_equal(found.indices, reference(case.features, case.weights, case.bias).indices)
    assert cuda.image == IMAGE
    head.close()
    assert not device.open


MISFITS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "another ABI": ({"abi": ABI + 1}, {}, f"they have ABI {ABI + 1}, and this edgetl calls ABI {ABI}"),
    "a newer toolkit": (
        {"toolkit": "13.0.88"},
        {},
        "it is of CUDA 13.0.88, and this driver serves CUDA 12.6",
    ),
    "a driver that refuses": ({}, {"cuModuleLoadData": 209}, "cuModuleLoadData failed with code 209"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_what_does_not_fit_is_passed_over_with_the_reason(
    bundle: Path, device: HostDevice, library: Library, name: str
) -> None:
    fields, codes, words = MISFITS[name]
    find = shipped.before(changed(bundle, **fields), lacking, cuda=HostCuda(library, **codes))
    head = open_head(np.zeros((6, 4), np.float32), device=lambda: device, library=find)
    assert head.facts["head"].startswith("numpy: no nvcc here; ")
    assert words in head.facts["head"]


def test_for_another_gpu_it_is_not_used(bundle: Path, library: Library) -> None:
    with pytest.raises(EnvironmentLacks, match=r"for compute capability 8\.7; this GPU has 7\.5") as caught:
        shipped.head_of(bundle, "7.5", cuda=HostCuda(library))
    assert caught.value.exit_code == 5


def test_another_way_to_kernels_says_that_the_bundles_were_not_taken(bundle: Path, library: Library) -> None:
    own = shipped.head_of(bundle, "8.7", cuda=HostCuda(library))
    found = shipped.before(bundle, lambda _: own)("7.5")
    assert found.head is own.head
    assert found.origin.startswith(own.origin)
    assert "they are for compute capability 8.7" in found.origin


def test_a_byte_that_differs_is_no_lack_and_nothing_else_is_taken(bundle: Path, library: Library) -> None:
    (bundle / FOLDER / CUBIN).write_bytes(IMAGE + b"x")
    cuda = HostCuda(library)
    with pytest.raises(
        BundleError, match=r"kernels/fused_head\.cubin is not what the bundle was made with"
    ) as caught:
        shipped.before(bundle, lacking, cuda=cuda)("8.7")
    assert caught.value.exit_code == 2
    assert not cuda.image
    (bundle / FOLDER / CUBIN).unlink()
    with pytest.raises(BundleError, match="sha256 is none"):
        shipped.head_of(bundle, "8.7", cuda=cuda)


def test_a_bundle_without_any_says_why_it_has_none(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentLacks, match="it brings none"):
        shipped.head_of(tmp_path, "8.7")
    (tmp_path / FOLDER).mkdir()
    recorded(tmp_path, Shipped(capability="8.7", lacks={CUBIN: "there was no nvcc"}))
    with pytest.raises(EnvironmentLacks, match="not used: there was no nvcc"):
        shipped.head_of(tmp_path, "8.7")


@pytest.mark.parametrize(
    ("record", "words"), [(b"{}", "is not what this version"), (b"{", "is not what this version")]
)
def test_a_record_that_is_none_is_refused(tmp_path: Path, record: bytes, words: str) -> None:
    (tmp_path / RECORD).write_bytes(record)
    with pytest.raises(BundleError, match=words):
        shipped.read(tmp_path)


def test_a_newer_record_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / RECORD).write_bytes(digest.canonical_json(Shipped(schema=99, capability=None)))
    with pytest.raises(BundleError, match="has schema 99"):
        shipped.read(tmp_path)


@pytest.mark.parametrize(("number", "name"), [(62, "x86_64"), (183, "aarch64"), (9, "machine 9")])
def test_the_machine_of_a_library_is_read_off_its_header(tmp_path: Path, number: int, name: str) -> None:
    file = tmp_path / "library.so"
    file.write_bytes(b"\x7fELF" + bytes(14) + number.to_bytes(2, "little"))
    assert shipped.machine_of(file) == name
    file.write_bytes(b"text")
    assert shipped.machine_of(file) == ""
