"""kernels: what a bundle brings to a device without a compiler, and what it says of the rest."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from edgetl import digest, pipeline, recipe
from edgetl.backends.tensorrt import plugin
from edgetl.cache import Cache
from edgetl.devices import DeviceProfile, Facts
from edgetl.errors import BackendError, EnvironmentLacks, InputError
from edgetl.ops import library, shipped
from edgetl.ops.shipped import CUBIN, FOLDER, Shipped
from edgetl.pipeline import Artifact, Context
from edgetl.stages import kernels
from edgetl.types import BuildSpec
from tests.ops.toolkit import Toolkit

HERE = platform.machine()
NAMES = "".join(
    f"ptxas info    : Compiling entry function '_ZN6edgetl10fused_headILi{tile}E{weight}EEv4Plan' for 'sm_87'\\n"
    for tile in (1, 4)
    for weight in ("f", "NS0_4HalfE")
)
COMPILES = f"""
while [ $# -gt 0 ]; do [ "$1" = -o ] && out=$2; shift; done
printf "{NAMES}" >&2
echo code >"$out"
"""


@pytest.fixture
def toolkit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toolkit:
    """The one that is here, and headers of TensorRT 10."""
    made = Toolkit(tmp_path / "cuda")
    made.builds(compile_=COMPILES)
    monkeypatch.setenv("CUDA_HOME", str(made.home))
    place = tmp_path / "headers"
    place.mkdir()
    (place / "NvInfer.h").touch()
    (place / "NvInferVersion.h").write_text("#define NV_TENSORRT_MAJOR 10\n#define NV_TENSORRT_MINOR 3\n")
    monkeypatch.setenv("TENSORRT_INCLUDE", str(place))
    monkeypatch.setenv("EDGETL_CACHE", str(tmp_path / "edgetl"))
    return made


def made(tmp_path: Path, machine: str = HERE, capability: str | None = "8.7", **options: str) -> Artifact:
    """What the stage leaves."""
    facts = Facts(compute_capability=capability)
    profile = DeviceProfile(
        name="board", backend="tensorrt", device="GPU", facts=facts, options=dict(options)
    )
    return pipeline.run([kernels.stage(profile, machine)], Cache(tmp_path / "cache"), Context())["kernels"]


def record_of(artifact: Artifact) -> Shipped:
    """Its record, each file of which is what it says."""
    record = shipped.read(artifact.path / FOLDER)
    assert record is not None
    for name, facts in ((CUBIN, record.head), (plugin.LIBRARY, record.plugin)):
        there = artifact.path / FOLDER / name
        assert there.is_file() == (facts is not None)
        assert facts is None or digest.of_file(there) == facts.sha256
    return record


def test_device_code_and_plugin_for_a_device_of_this_hosts_kind(tmp_path: Path, toolkit: Toolkit) -> None:
    artifact = made(tmp_path)
    record = record_of(artifact)
    assert record.head is not None and record.plugin is not None
    assert (record.capability, record.head.toolkit, record.head.abi) == ("8.7", "13.0.88", library.ABI)
    assert set(record.head.entries) == {"1 float32", "1 float16", "4 float32", "4 float16"}
    assert (record.plugin.machine, record.plugin.tensorrt, record.lacks) == (HERE, "10.3", {})
    assert artifact.record["summary"] == f"{CUBIN}, {plugin.LIBRARY} for compute capability 8.7"
    cubin, built = toolkit.runs
    assert "-cubin" in cubin and cubin.endswith("csrc/fused_head.cu")
    assert "-shared" in built and "plugin/plugin.cpp" in built


def test_for_a_device_of_another_machine_there_is_device_code_alone(tmp_path: Path, toolkit: Toolkit) -> None:
    artifact = made(tmp_path, machine="other64")
    record = record_of(artifact)
    assert record.head is not None and record.plugin is None
    assert f"the device is other64 and this host {HERE}" in record.lacks[plugin.LIBRARY]
    assert artifact.record["summary"] == f"{CUBIN}, no {plugin.LIBRARY} for compute capability 8.7"
    assert len(toolkit.runs) == 1


def test_a_file_that_the_profile_names_is_brought_as_it_is(tmp_path: Path, toolkit: Toolkit) -> None:
    given = tmp_path / "ready.so"
    given.write_bytes(b"ready")
    artifact = made(tmp_path, machine="other64", staticPlugins=str(given))
    record = record_of(artifact)
    assert record.plugin is not None
    assert (record.plugin.machine, record.plugin.tensorrt) == ("other64", None)
    assert (artifact.path / FOLDER / plugin.LIBRARY).read_bytes() == b"ready"
    given.write_bytes(b"another")
    again = made(tmp_path, machine="other64", staticPlugins=str(given))
    assert (again.path / FOLDER / plugin.LIBRARY).read_bytes() == b"another"


def test_without_a_compiler_nothing_is_made_and_each_reason_is_told(
    tmp_path: Path, toolkit: Toolkit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "gone"))
    record = record_of(made(tmp_path))
    assert record.head is None and record.plugin is None
    assert all("no nvcc in" in why for why in record.lacks.values())
    assert len(shipped.told(record)) == 2
    monkeypatch.setenv("CUDA_HOME", str(toolkit.home))  # it was installed meanwhile
    assert record_of(made(tmp_path)).head is not None


@pytest.mark.parametrize(
    ("capability", "words"),
    [("5.3", "does not build for compute capability 5.3"), (None, "no compute capability")],
)
def test_a_gpu_that_the_toolkit_does_not_know_or_nobody_names(
    tmp_path: Path, toolkit: Toolkit, capability: str | None, words: str
) -> None:
    record = record_of(made(tmp_path, capability=capability))
    assert set(record.lacks) == {CUBIN, plugin.LIBRARY}
    assert all(words in why for why in record.lacks.values())


def test_a_compiler_that_refuses_ends_the_build(tmp_path: Path, toolkit: Toolkit) -> None:
    toolkit.builds(compile_='echo "error: spilled" >&2; exit 1')
    with pytest.raises(BackendError, match="spilled") as caught:
        made(tmp_path)
    assert caught.value.exit_code == 5


@pytest.mark.parametrize(
    ("content", "kind", "code", "words"),
    [
        (None, EnvironmentLacks, 5, "there is no"),
        (b"text", InputError, 2, "is no library of Linux, and board is aarch64"),
        ((62).to_bytes(2, "little"), InputError, 2, "is a library for x86_64, and board is aarch64"),
    ],
)
def test_a_file_that_cannot_be_brought_is_refused_before_work_begins(
    tmp_path: Path, content: bytes | None, kind: type[Exception], code: int, words: str
) -> None:
    given = tmp_path / "given.so"
    if content is not None:
        given.write_bytes(content if content == b"text" else b"\x7fELF" + bytes(14) + content)
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"devices: {{board: {{extends: jetson, options: {{staticPlugins: {given}}}}}}}\n")
    spec = BuildSpec(data="demo", device="board", devices_file=str(mine), model="tiny", fused_head=True)
    with pytest.raises(kind, match=words) as caught:
        recipe.show_plan(spec, cache=tmp_path / "cache")
    assert getattr(caught.value, "exit_code", None) == code


def test_a_plain_build_has_no_such_stage(tmp_path: Path) -> None:
    for fused in (False, True):
        spec = BuildSpec(data="demo", device="jetson", model="tiny", fused_head=fused)
        names = [row["stage"] for row in recipe.show_plan(spec, cache=tmp_path / "cache")]
        assert ("kernels" in names) == fused
