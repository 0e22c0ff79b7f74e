"""Finding, compiling and keeping the kernels, with a compiler of the tests: a shell script over gcc."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from edgetl.errors import BackendError, EnvironmentLacks
from edgetl.ops import library, nvcc
from edgetl.ops.library import ABI, NAME, Library
from tests.kernels.on_host import KERNELS
from tests.ops.toolkit import Toolkit


@pytest.fixture(autouse=True)
def needs_gcc() -> None:
    """A library that loads is made by a compiler that is here."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc on PATH: no library can be made to load")


@pytest.fixture
def toolkit(tmp_path: Path) -> Toolkit:
    """One that builds for 7.5, 8.7 and 11.0."""
    return Toolkit(tmp_path / "cuda")


def found(toolkit: Toolkit, cache: Path, capability: str = "8.7") -> Library:
    """By this toolkit alone."""
    return library.find(capability, cache=cache, cuda_home=toolkit.home)


def test_compiled_once_then_kept(toolkit: Toolkit, tmp_path: Path) -> None:
    first, second = found(toolkit, tmp_path / "cache"), found(toolkit, tmp_path / "cache")
    assert len(toolkit.runs) == 1
    assert first.path == second.path
    assert first.origin == "compiled by nvcc 13.0.88 for compute capability 8.7"
    assert second.origin == "kept from an earlier run of nvcc 13.0.88 for compute capability 8.7"
    assert "-arch=sm_87" in toolkit.runs[0]
    assert f"--options-file={KERNELS / 'nvcc.options'}" in toolkit.runs[0]
    assert all(str(source) in toolkit.runs[0] for source in (KERNELS / "csrc").glob("*.cu"))


def test_another_architecture_toolkit_or_source_is_another_library(
    toolkit: Toolkit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    other = Toolkit(tmp_path / "cuda-12", release="12.6")
    copy = tmp_path / "kernels"
    shutil.copytree(KERNELS, copy)
    paths = [found(toolkit, cache).path, found(other, cache).path]
    toolkit.builds(built="750")
    paths.append(found(toolkit, cache, "7.5").path)
    toolkit.builds()
    monkeypatch.setattr(library, "sources", lambda: copy)
    assert found(toolkit, cache).path == paths[0]  # where the sources are does not matter
    for changed in ("include/edgetl_head.h", "nvcc.options"):
        with (copy / changed).open("a") as file:
            file.write("\n")
        paths.append(found(toolkit, cache).path)
    assert len(set(paths)) == len(paths)


def test_a_library_that_was_damaged_is_compiled_again(toolkit: Toolkit, tmp_path: Path) -> None:
    kept = found(toolkit, tmp_path).path
    damaged = kept.with_name("copy")
    damaged.write_bytes(kept.read_bytes()[:-1])
    damaged.replace(kept)  # the one that is loaded here stays whole
    assert found(toolkit, tmp_path).origin.startswith("compiled")
    assert len(toolkit.runs) == 2


def test_what_a_killed_run_left_is_swept(toolkit: Toolkit, tmp_path: Path) -> None:
    kept = found(toolkit, tmp_path).path.parent
    kept.rename(kept.with_name(f"{kept.name}.partial"))
    again = found(toolkit, tmp_path)
    assert again.origin.startswith("compiled")
    assert not list(again.path.parents[1].glob("*.partial"))


def test_two_at_once_compile_once(toolkit: Toolkit, tmp_path: Path) -> None:
    threads = [threading.Thread(target=found, args=(toolkit, tmp_path)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(toolkit.runs) == 1


def test_the_compilers_words_are_in_the_error_and_nothing_is_kept(toolkit: Toolkit, tmp_path: Path) -> None:
    spill = (
        "ptxas error   : Registers are spilled to local memory in function 'fused_head', 8 bytes spill stores"
    )
    toolkit.builds(compile_=f'echo "{spill}" >&2; echo "and more" >&2; exit 255')
    with pytest.raises(
        BackendError, match="Registers are spilled to local memory in function 'fused_head'"
    ) as caught:
        found(toolkit, tmp_path)
    assert "and more" in str(caught.value.facts["vendor"])
    assert "\n" not in caught.value.problem
    assert [item.name for item in (tmp_path / "kernels").iterdir() if item.is_dir()] == []


def test_a_given_library_needs_no_compiler(toolkit: Toolkit, tmp_path: Path) -> None:
    given = tmp_path / "bundle" / NAME
    given.parent.mkdir()
    shutil.copy(found(toolkit, tmp_path).path, given)
    loaded = library.find("8.7", cache=tmp_path / "none", given=given, cuda_home=tmp_path / "nowhere")
    assert (loaded.path, loaded.origin) == (given, "given")
    assert not (tmp_path / "none").exists()


def test_a_toolkit_that_does_not_tell_what_it_built_for_is_believed(toolkit: Toolkit, tmp_path: Path) -> None:
    toolkit.builds(built="")
    assert found(toolkit, tmp_path)


MISFITS = {
    "of another capability": (
        {"built": "750,890"},
        "built for compute capability 7.5, 8.9; this GPU has 8.7",
    ),
    "of another edgetl": ({"abi": ABI + 1}, f"has kernels of ABI {ABI + 1}, and this edgetl calls ABI {ABI}"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_a_library_that_does_not_fit_is_refused(toolkit: Toolkit, tmp_path: Path, name: str) -> None:
    made, words = MISFITS[name]
    toolkit.builds(**made)  # type: ignore[arg-type]
    with pytest.raises(EnvironmentLacks, match=words) as caught:
        found(toolkit, tmp_path)
    assert caught.value.exit_code == 5
    assert caught.value.hint


def test_files_that_are_no_library_of_ours(tmp_path: Path) -> None:
    text = tmp_path / NAME
    text.write_text("not a library")
    for path, words in [
        (tmp_path / "absent.so", "absent.so does not load"),
        (text, "does not load"),
        (other_library(tmp_path), "is not a library of edgetl's kernels"),
    ]:
        with pytest.raises(EnvironmentLacks, match=words) as caught:
            library.load(path, "8.7", "given")
        assert "\n" not in caught.value.problem


def other_library(place: Path) -> Path:
    """One that loads and has none of our functions."""
    source, out = place / "other.c", place / "other.so"
    source.write_text("int other(void) { return 0; }\n")
    gcc = shutil.which("gcc")
    assert gcc is not None
    subprocess.run([gcc, "-shared", "-fPIC", "-o", out, source], check=True)
    return out


def nothing(place: Path) -> Path:
    return place


def silent(place: Path) -> Path:
    Toolkit(place).builds()
    (place / "bin" / "nvcc").write_text("#!/bin/sh\necho hello\n")
    return place


def old(place: Path) -> Path:
    return Toolkit(place, release="10.2").home


def broken(place: Path) -> Path:
    Toolkit(place)
    (place / "bin" / "nvcc").write_text("#!/nowhere/sh\n")
    return place


def failing(place: Path) -> Path:
    return Toolkit(place, version_code=3).home


HOMES = {
    nothing: "no nvcc in .*: the kernels cannot be compiled here",
    silent: "names no release: it is not NVIDIA's compiler",
    old: "CUDA 10.2 is too old to compile the kernels, which take 11.1 or newer",
    broken: "nvcc does not start: No such file",
    failing: "--version failed: Cuda compilation tools",
}


@pytest.mark.parametrize("home", HOMES)
def test_a_compiler_that_cannot_be_used_is_told_in_one_line(home: object, tmp_path: Path) -> None:
    assert callable(home)
    with pytest.raises(EnvironmentLacks, match=HOMES[home]) as caught:
        library.find("8.7", cache=tmp_path, cuda_home=home(tmp_path / "cuda"))
    assert caught.value.exit_code == 5
    assert "\n" not in caught.value.problem
    assert caught.value.hint


def test_a_capability_that_the_toolkit_does_not_build_is_told(toolkit: Toolkit, tmp_path: Path) -> None:
    with pytest.raises(
        EnvironmentLacks, match=r"compute capability 5\.3: it knows 7\.5, 8\.7, 11\.0"
    ) as caught:
        found(toolkit, tmp_path, "5.3")
    assert "CUDA 11 or 12" in caught.value.hint
    assert not toolkit.runs


@pytest.fixture
def unnamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment names no toolkit."""
    for name in ("CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)


def test_nvcc_is_looked_for_on_path(toolkit: Toolkit, monkeypatch: pytest.MonkeyPatch, unnamed: None) -> None:
    monkeypatch.setenv("PATH", str(toolkit.home / "bin"), prepend=os.pathsep)
    assert nvcc.find() == nvcc.Compiler(toolkit.home / "bin" / "nvcc", "13.0.88", ("7.5", "8.7", "11.0"))


@pytest.mark.parametrize("name", ["CUDA_HOME", "CUDA_PATH"])
def test_a_toolkit_that_the_environment_names_comes_before_path(
    toolkit: Toolkit, monkeypatch: pytest.MonkeyPatch, unnamed: None, name: str
) -> None:
    monkeypatch.setenv(name, str(toolkit.home))
    assert nvcc.find().program == toolkit.home / "bin" / "nvcc"


def test_a_toolkit_that_is_named_and_has_no_nvcc_is_not_passed_over(
    toolkit: Toolkit, monkeypatch: pytest.MonkeyPatch, unnamed: None, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(toolkit.home / "bin"), prepend=os.pathsep)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "gone"))
    with pytest.raises(EnvironmentLacks, match=r"no nvcc in .*gone/bin") as caught:
        nvcc.find()
    assert "CUDA_HOME" in caught.value.hint


def test_no_nvcc_anywhere(monkeypatch: pytest.MonkeyPatch, unnamed: None, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(nvcc, "JETPACKS", str(tmp_path / "cuda"))
    with pytest.raises(EnvironmentLacks, match="no nvcc on PATH or in"):
        nvcc.find()


def test_a_cache_that_cannot_be_written_is_told(toolkit: Toolkit, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(EnvironmentLacks, match="cannot keep compiled kernels") as caught:
        found(toolkit, tmp_path / "cache")
    assert "EDGETL_CACHE" in caught.value.hint


def test_the_abi_is_the_headers() -> None:
    assert f"EDGETL_KERNELS_ABI = {ABI} " in (KERNELS / "include" / "edgetl_kernels.h").read_text()
