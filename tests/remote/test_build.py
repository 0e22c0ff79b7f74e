"""A pending bundle is finished on devices, and what comes back is whole or does not come back at all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from pathlib import Path

import msgspec
import pytest

from edgetl import digest
from edgetl.devices import Budgets
from edgetl.errors import (
    BackendError,
    BundleError,
    Cancelled,
    EnvironmentLacks,
    GateFailed,
    InputError,
)
from edgetl.remote import build, session
from edgetl.remote.ssh import LinkDown, Options
from edgetl.report import hosts
from edgetl.runtime import bundle as format_of
from edgetl.runtime import open_bundle
from edgetl.types import OperatingPoint
from tests import handmade
from tests.remote.conftest import MakeDevice, MakeWire, Told, order
from tests.remote.device import CORE, Device


def builds(device: Device) -> list[Path]:
    """Folders of builds that are on the device."""
    return list((device.home / ".edgetl/builds").glob("*"))


def test_the_engine_comes_back_with_what_the_device_measured(
    device: Device, pending: Path, profiles: Path
) -> None:
    before, others = open_bundle(pending).manifest, set(builds(device))
    told = Told()
    done = build.finish(pending, order(device, profiles), told)
    assert [one.failure for one in done] == [None]
    assert told.steps == ["send", "prepare", "compile", "verify", "bench", "fetch"]
    after = open_bundle(pending)
    assert after.manifest.pending is None
    assert after.engine.source == before.files["model.fp32.onnx"].sha256
    changed = {name for name, entry in after.manifest.files.items() if before.files.get(name) != entry}
    assert changed == {"engine/engine.json", "engine/model.onnx", build.DEVICE, format_of.RESULTS}
    measured = json.loads((pending / build.DEVICE).read_bytes())
    assert measured["verify"]["golden"] == 0.0
    assert set(measured["bench"]["latency_ms"]) == {"engine", "frame"}
    assert str(device.home) not in (pending / build.DEVICE).read_text()
    log = Path(str(done[0].row["log"]))
    assert log.parent == pending.parent
    assert "== bench" in log.read_text()
    assert set(builds(device)) <= others
    assert any(device.host in line and "ms" in line for line in hosts.lines([done[0].row]))
    assert device.left_behind() == []


def test_a_latency_budget_is_judged_by_the_device(device: Device, pending: Path, profiles: Path) -> None:
    budgets = Budgets(p50_ms=1e6, p90_ms=1e-6, power_w=5.0)
    (done,) = build.finish(pending, order(device, profiles, budgets=budgets), Told())
    assert isinstance(done.failure, GateFailed)
    assert "p90" in done.failure.problem and device.host in done.failure.problem
    assert done.row["error"] is None
    assert open_bundle(pending).manifest.pending is None, "the engine is there, whatever the answer"
    shown = "\n".join(hosts.lines([done.row]))
    assert "budget 1e-06 ms: over" in shown
    assert "power: not measured over SSH, budget 5 W not judged" in shown


def test_there_is_no_torch_on_the_device(device: Device) -> None:
    names = {path.name for path in device.distributions.iterdir()}
    assert "openvino" in names
    assert not names & {"torch", "onnx", "onnxruntime", "scipy", "sklearn"}


@pytest.mark.slow
def test_several_hosts_work_at_once_and_one_that_fails_costs_the_others_nothing(
    device: Device, pending: Path, profiles: Path
) -> None:
    before = open_bundle(pending).manifest
    asked = order(device, profiles, hosts=(device.host, "nobody.invalid", "localhost"))
    done = build.finish(pending, asked, Told())
    assert [type(one.failure) for one in done] == [type(None), EnvironmentLacks, type(None)]
    assert open_bundle(pending).manifest == before, "each has a copy of its own"
    places = [Path(str(one.row["bundle"])) for one in (done[0], done[2])]
    assert [place.name for place in places] == ["colours.127.0.0.1", "colours.localhost"]
    assert all(open_bundle(place).manifest.pending is None for place in places)
    worst = build.worst(GateFailed("over budget"), done)
    assert worst is not None and worst.exit_code == 5
    shown = "\n".join(hosts.lines([one.row for one in done]))
    assert shown.index("localhost") < shown.index("nobody.invalid"), "what failed comes last"
    assert "failed: no host is known as nobody.invalid" in shown


def test_what_fails_there_is_told_in_its_own_words_and_with_its_code(
    device: Device, pending: Path, profiles: Path
) -> None:
    before = open_bundle(pending).manifest
    steps = (("compile", "--device", "jetson"),)
    done = build.finish(pending, order(device, profiles, steps=steps), Told())
    failure = done[0].failure
    assert isinstance(failure, EnvironmentLacks)
    assert "127.0.0.1: a TensorRT engine is built on the jetson-orin-nano itself" in failure.problem
    assert Path(str(done[0].row["log"])).is_file()
    assert open_bundle(pending).manifest == before


def test_a_cut_while_the_device_works_does_not_end_the_work(
    device: Device, pending: Path, profiles: Path, wire: MakeWire, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = wire(device)
    begun = build._Steps.begun

    def cut_in_compile(self: build._Steps, step: str) -> None:
        begun(self, step)
        if step == "compile":
            line.cut()

    monkeypatch.setattr(build._Steps, "begun", cut_in_compile)
    told = Told()
    done = build.finish(pending, order(device, profiles, port=line.port, steps=(("compile",),)), told)
    assert done[0].failure is None
    assert line.made == 1
    assert told.notes
    assert told.steps == ["send", "prepare", "compile", "fetch"], "nothing is done twice"
    assert open_bundle(pending).manifest.pending is None


def test_a_cut_that_loses_the_answer_to_the_last_step_does_not_fail_the_build(
    device: Device, pending: Path, profiles: Path, wire: MakeWire, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = wire(device)
    clean = session.Session._clean
    lost: list[str] = []

    def lose(self: session.Session, place: str) -> None:
        clean(self, place)
        if not lost:
            lost.append(place)
            raise LinkDown("the answer was lost")

    monkeypatch.setattr(session.Session, "_clean", lose)
    done = build.finish(pending, order(device, profiles, port=line.port, steps=(("compile",),)), Told())
    assert lost
    assert done[0].failure is None
    assert not Path(lost[0]).exists()


@pytest.mark.slow
def test_a_device_that_restarts_in_the_middle_begins_again(
    device: Device, pending: Path, profiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = build._Steps.begun
    killed: list[int] = []

    def restart_in_verify(self: build._Steps, step: str) -> None:
        begun(self, step)
        if step == "verify" and not killed:
            newest = max((place / "pid" for place in builds(device)), key=lambda file: file.stat().st_mtime)
            group = int(newest.read_text())
            os.killpg(group, signal.SIGKILL)
            killed.append(group)

    monkeypatch.setattr(build._Steps, "begun", restart_in_verify)
    told = Told()
    done = build.finish(pending, order(device, profiles, steps=(("compile",), ("verify",))), told)
    assert done[0].failure is None
    assert told.steps.count("compile") == 2
    assert any("ended without an exit code" in note for note in told.notes)
    assert open_bundle(pending).manifest.pending is None


@pytest.mark.slow
def test_an_interrupt_leaves_nothing_running_and_the_bundle_as_it_was(
    device: Device, pending: Path, profiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, others = open_bundle(pending).manifest, set(builds(device))
    begun = build._Steps.begun
    main = threading.main_thread().ident

    def interrupt(self: build._Steps, step: str) -> None:
        begun(self, step)
        if step == "bench":
            assert main is not None
            signal.pthread_kill(main, signal.SIGINT)

    monkeypatch.setattr(build._Steps, "begun", interrupt)
    steps = (("compile",), ("bench", "--duration", "300"))
    with pytest.raises(KeyboardInterrupt):
        build.finish(pending, order(device, profiles, steps=steps), Told())
    assert device.left_behind() == []
    assert set(builds(device)) <= others
    assert open_bundle(pending).manifest == before


@pytest.mark.slow
def test_a_link_that_does_not_come_back_is_lacking(
    device: Device, pending: Path, profiles: Path, wire: MakeWire, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = wire(device)
    begun = build._Steps.begun

    def close(self: build._Steps, step: str) -> None:
        begun(self, step)
        line.close()

    monkeypatch.setattr(build._Steps, "begun", close)
    done = build.finish(pending, order(device, profiles, port=line.port, delays_s=(0.01,)), Told())
    failure = done[0].failure
    assert isinstance(failure, EnvironmentLacks)
    assert "did not come back" in failure.problem


@pytest.mark.parametrize("other", ["model.fp32.onnx", "engine", "threshold"])
def test_bytes_that_changed_on_the_way_or_there_do_not_come_in(
    other: str, device: Device, pending: Path, profiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = open_bundle(pending).manifest

    def tampered(self: session.Session, out: Path) -> int:
        made = Path(shutil.copytree(pending, out / "bundle"))
        if other == "engine":  # a byte that the manifest there does not know
            (made / "golden.npz").write_bytes(b"changed")
        elif other == "threshold":
            (made / "manifest.json").unlink()
            point = OperatingPoint(positive="red", threshold=0.1, objective="f1", images=9, positives=3)
            format_of.seal(made, msgspec.structs.replace(before, operating_point=point, files={}, sha256=""))
        else:
            (made / other).write_bytes(b"another model")
            handmade.reseal(made)
        return 0

    monkeypatch.setattr(session.Session, "run", tampered)
    failure = build.finish(pending, order(device, profiles), Told())[0].failure
    assert isinstance(failure, BundleError)
    assert open_bundle(pending).manifest == before


def test_orders_that_cannot_be_carried_out_are_refused_at_once(
    device: Device, profiles: Path, tmp_path: Path
) -> None:
    for wrong, words in (
        ({"hosts": ("a", "b", "a")}, "given twice"),
        ({"hosts": ("-x",)}, "not user@host"),
        ({"options": Options(("StrictHostKeyChecking=no",))}, "is enforced"),
        ({"wheelhouse": tmp_path}, "holds no wheel"),
    ):
        with pytest.raises(InputError, match=words):
            build.check(order(device, profiles, **wrong))


def test_errors_of_the_device_keep_their_class(tmp_path: Path) -> None:
    error = BackendError("refused", hint="mend it", vendor="words").as_data()
    (tmp_path / "compile.json").write_text(json.dumps({"error": error}))
    told = session.failure(tmp_path, 5, "board")
    assert isinstance(told, BackendError)
    assert (told.problem, told.hint, told.facts) == ("board: refused", "mend it", {"vendor": "words"})
    (tmp_path / "compile.json").write_text("{cut sho")
    assert "ended with 137" in session.failure(tmp_path, 137, "board").problem
    assert Cancelled.exit_code == 130


@pytest.mark.slow
def test_a_device_that_is_offline_takes_the_core_from_the_wheelhouse(
    make_device: MakeDevice, pending: Path, profiles: Path, tmp_path: Path
) -> None:
    device = make_device(distributions=[name for name in CORE if name != "filelock"])
    failure = build.finish(pending, order(device, profiles), Told())[0].failure
    assert isinstance(failure, EnvironmentLacks)
    assert "lacks filelock>=3.16, and pip there reaches no package index" in failure.problem
    assert "--wheelhouse" in failure.hint
    house = tmp_path / "house"
    house.mkdir()
    repack("filelock", house)
    done = build.finish(pending, order(device, profiles, wheelhouse=house), Told())
    assert done[0].failure is None
    assert open_bundle(pending).manifest.pending is None


def repack(name: str, folder: Path) -> None:
    """A wheel of an installed distribution that is pure."""
    import zipfile
    from importlib import metadata

    found = metadata.distribution(name)
    with zipfile.ZipFile(folder / f"{name}-{found.version}-py3-none-any.whl", "w") as archive:
        for file in found.files or ():
            if file.parts[0].startswith(name) and file.suffix != ".pyc" and file.name != "RECORD":
                archive.write(str(file.locate()), file.as_posix())
        archive.writestr(f"{name}-{found.version}.dist-info/RECORD", "")


@pytest.mark.slow
def test_every_cut_ends_with_the_engine_that_an_uncut_link_brings(
    device: Device, colours: Path, tmp_path: Path, wire: MakeWire
) -> None:
    """With a vendor's compiler: its engine is the same bytes each time."""
    profiles = tmp_path / "profiles.yaml"
    profiles.write_text("devices: {by-hand: {backend: openvino}}\n")
    engines = []
    for number, cuts in enumerate(((), (30_000,), (700_000, 20_000), (5_000, 5_000, 200_000))):
        waiting = format_of.Pending(reason="built there", next=("wait",))
        place = handmade.write_bundle(tmp_path / str(number), colours, pending=waiting)
        line = wire(device, cuts)
        done = build.finish(place, order(device, profiles, port=line.port), Told())
        assert done[0].failure is None, (cuts, msgspec.to_builtins(done[0].row))
        assert line.made == len(cuts)
        engines.append(digest.of_tree(place / "engine"))
    assert all(one == engines[0] for one in engines)
    assert device.left_behind() == []
