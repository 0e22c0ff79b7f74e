"""The five releases, each with genuine bindings, a stand-in, and a way to run our code on both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edgetl.testing import tiny_model
from tests.nvidia import environment
from tests.nvidia.environment import RELEASES, ROOT, Release
from tests.nvidia.recording import Recording, Vocabulary, prepared

GPU = {
    "driver.cuDeviceGetCount": 1,
    "driver.cuDriverGetVersion": 12060,
    "driver.cuDeviceTotalMem": 8 << 30,
    "driver.cuDeviceGetAttribute(75)": 8,
    "driver.cuDeviceGetAttribute(76)": 7,
}
"""A driver with one GPU of compute capability 8.7 and memory of its own."""

NETWORK = {
    "INetworkDefinition.getNbInputs": 1,
    "INetworkDefinition.getInput(0)": "@input",
    "ITensor@input.getName": "input",
    "ITensor@input.getType": 5,  # uint8, the same number in every release
    "ITensor@input.getDimensions": (1, 32, 32, 3),
    "INetworkDefinition.getNbOutputs": 1,
    "INetworkDefinition.getOutput(0)": "@logits",
    "ITensor@logits.getName": "logits",
    "ITensor@logits.getType": 0,  # float32
    "ITensor@logits.getDimensions": (1, 5),
    "INetworkDefinition.getNbLayers": 2,
    "INetworkDefinition.getLayer(0)": "@conv",
    "ILayer@conv.getName": "conv",
    "INetworkDefinition.getLayer(1)": "@scatter",
    "ILayer@scatter.getName": "scatter",
    "IBuilder.buildSerializedNetwork": b"ftrt and a plan",
    "ITimingCache.serialize": b"timings of this build",
}
"""What parsing gives: the stand-in parses nothing."""


@dataclass(frozen=True)
class Outcome:
    """What a child's task came to: ``result``, or ``error`` with class, problem and hint; and its calls."""

    recording: Recording
    result: Any = None
    error: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Child:
    """Runs tasks of ``tests.nvidia.drive`` in processes that import one release as ``tensorrt``."""

    release: Release
    env: Mapping[str, str]
    place: Path
    words: Vocabulary = field(default_factory=dict)
    count: int = 0

    def __call__(self, task: str, answers: Mapping[str, object] | None = None, **arguments: Any) -> Outcome:
        """Run a task to its end, with answers of the stand-in on top of a GPU's and a network's."""
        self.count += 1
        log, outcome = (self.place / f"{self.count}.{kind}" for kind in ("log", "json"))
        given = prepared(self.place / f"{self.count}.answers", {**GPU, **NETWORK, **(answers or {})})
        recorded = {"STANDIN_LOG": str(log), "STANDIN_ANSWERS": str(given)}
        words = [sys.executable, "-m", "tests.nvidia.drive", task, json.dumps(arguments), str(outcome)]
        done = subprocess.run(
            words,
            cwd=ROOT,
            env={**self.env, **recorded},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        recording = Recording.read(log, self.words)
        assert not [call for call in recording.calls if call.late], "an object was used after its end"
        return Outcome(recording, **json.loads(outcome.read_bytes()))


ONE_RELEASE = pytest.mark.parametrize("release", [RELEASES["10.3.0"]], ids=["10.3.0"], indirect=True)
"""For what is ours alone and the same on all: on the one that most Jetsons have."""


@pytest.fixture(scope="session", params=RELEASES.values(), ids=list(RELEASES))
def release(request: pytest.FixtureRequest) -> Release:
    """Each of the five."""
    found: Release = request.param
    return found


@pytest.fixture(scope="session")
def installed(release: Release, outside: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that imports a release, with its stand-in, as ``tensorrt``."""
    places = [environment.bindings(release, outside), environment.standin(release.major)]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, places)),
        "LD_LIBRARY_PATH": str(places[1]),
    }


@pytest.fixture(scope="session")
def words(
    release: Release, installed: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Vocabulary:
    """The names of a release's enumerations."""
    place = tmp_path_factory.mktemp(f"words-{release.version}")
    found: Vocabulary = Child(release, installed, place)("vocabulary").result
    return found


Place = Callable[[Path], Child]


@pytest.fixture(scope="session")
def child_in(release: Release, installed: Mapping[str, str], words: Vocabulary) -> Place:
    """Our code on a release, given a folder; its cache is in there."""

    def placed(folder: Path) -> Child:
        return Child(release, {**installed, "EDGETL_CACHE": str(folder / "cache")}, folder, words)

    return placed


@pytest.fixture
def child(child_in: Place, tmp_path: Path) -> Child:
    """Our code on a release, in the test's folder."""
    return child_in(tmp_path)


Build = Callable[..., Outcome]


def building(child: Child) -> Build:
    """Compiles the tiny model, to ``engine.plan`` in the child's folder."""
    model = tiny_model(child.place / "tiny.onnx")

    def built(answers: Mapping[str, object] | None = None, **profile: Any) -> Outcome:
        given = {"precision": "int8", **profile}
        return child("compile", answers, model=str(model), folder=str(child.place), **given)

    return built


@pytest.fixture
def build(child: Child) -> Build:
    """A build of the tiny model, quantized unless another precision is asked for."""
    return building(child)


@dataclass(frozen=True)
class Built:
    """A build that several tests look at, the same again, and the folder of its plan."""

    outcome: Outcome
    again: Outcome
    folder: Path


@pytest.fixture(scope="session")
def quantized(child_in: Place, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The quantized build without any option, twice with one cache."""
    place = tmp_path_factory.mktemp("quantized")
    build = building(child_in(place))
    return Built(build(), build(), place)
