"""What a build is for, and what this host can do of it."""

from __future__ import annotations

import msgspec
import pytest

from edgetl import devices, target
from edgetl.backends import seam
from edgetl.backends.seam import Probe
from edgetl.devices import DeviceProfile

JETSON = DeviceProfile(
    name="board", backend="tensorrt", device="GPU", scheme="tensorrt", options={"versionCompatible": True}
)


class Compiler:
    """A backend of which only the answer to ``probe`` is asked."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe

    def probe(self) -> Probe:
        """What the test says."""
        return self._probe


def here(monkeypatch: pytest.MonkeyPatch, probe: Probe, *, is_device: bool = True) -> None:
    """Make this host the device, with a compiler that answers so."""
    monkeypatch.setattr(devices, "host_is", lambda profile: is_device)
    monkeypatch.setattr(seam, "find", lambda name: Compiler(probe))


def test_on_the_device_itself_its_engine_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    here(monkeypatch, Probe(usable=True, devices=("GPU",)))
    assert target.where_it_runs(JETSON) == (JETSON, None)


@pytest.mark.parametrize(
    ("probe", "is_device"),
    [
        (Probe(usable=True, devices=("GPU",)), False),
        (Probe(usable=False, reason="no driver"), True),
        (Probe(usable=True, devices=("CPU",)), True),
    ],
    ids=["another host", "no driver", "another device"],
)
def test_elsewhere_the_engine_is_pending_and_a_reference_stands_in(
    monkeypatch: pytest.MonkeyPatch, probe: Probe, is_device: bool
) -> None:
    here(monkeypatch, probe, is_device=is_device)
    runs_on, pending = target.where_it_runs(JETSON)
    assert pending is not None
    assert pending["reason"]
    assert pending["next"]
    assert (runs_on.backend, runs_on.device, runs_on.options) == ("onnxruntime", "CPU", {})


@pytest.mark.parametrize(("typed", "file"), [(True, "model.int8.fp16.onnx"), (False, "model.int8.onnx")])
def test_the_model_of_a_bundle_is_the_one_whose_types_the_release_takes(
    monkeypatch: pytest.MonkeyPatch, typed: bool, file: str
) -> None:
    here(monkeypatch, Probe(usable=True, devices=("GPU",), typed=typed))
    assert target.quantized_file(JETSON) == file
    assert target.quantized_file(msgspec.structs.replace(JETSON, backend="openvino")) == "model.int8.onnx"
