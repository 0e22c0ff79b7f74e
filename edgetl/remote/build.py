"""``edgetl build --host``: a pending bundle is finished on its devices, all at once, and comes back whole."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from edgetl import digest
from edgetl.devices import Budgets
from edgetl.errors import BundleError, EdgetlError, GateFailed, Inconclusive, InputError
from edgetl.pipeline import Progress
from edgetl.remote import doctor, session, wheel
from edgetl.remote.ssh import Link, Options, check_host
from edgetl.renewal import rewrite
from edgetl.report.result import next_commands
from edgetl.report.summary import bytes_text
from edgetl.runtime import Bundle, open_bundle
from edgetl.runtime import bundle as format_of
from edgetl.runtime.bundle import Manifest
from edgetl.verify import budget

__all__ = ["DEVICE", "Finished", "Order", "check", "finish", "told", "worst"]

DEVICE = "device.json"
"""What the device measured, in the bundle that came back."""
SCHEMA = 1
STEPS: tuple[tuple[str, ...], ...] = (("compile",), ("verify",), ("bench",))
HERE = ("target", "bundle")
"""Of what a step answered, the paths on the device, which a bundle does not hold."""


@dataclass(frozen=True)
class Order:
    """Where a bundle is finished, and how.

    Attributes
    ----------
    hosts : ``user@host``, each once. options : the user's words to ssh.
    wheelhouse : wheels of the core's dependencies, for a device that is offline.
    devices_file : profiles of the user's own. steps : commands on the bundle there, with their options.
    budgets : what the engine has to keep on each host; memory and power are not measured there, which is said.
    """

    hosts: tuple[str, ...]
    options: Options = field(default_factory=Options)
    wheelhouse: Path | None = None
    devices_file: Path | None = None
    steps: tuple[tuple[str, ...], ...] = STEPS
    budgets: Budgets = field(default_factory=Budgets)
    delays_s: Sequence[float] = session.DELAYS_S


@dataclass(frozen=True)
class Finished:
    """What became of a bundle on one device: ``row`` as data, and why the answer is no, if it is."""

    row: Mapping[str, Any]
    failure: EdgetlError | None = field(default=None)


def check(order: Order) -> None:
    """Refuse before anything is computed what could not be sent after it.

    Raises
    ------
    InputError : a host is none or given twice, or a file or a setting of ssh is not usable.
    """
    for number, host in enumerate(order.hosts):
        check_host(host)
        if host in order.hosts[:number]:
            raise InputError(f"--host {host} is given twice", hint="each device once")
    order.options.text(Path("control"))
    if order.wheelhouse is not None and not any(order.wheelhouse.glob("*.whl")):
        raise InputError(
            f"--wheelhouse {order.wheelhouse} holds no wheel",
            hint=f"pip download -d {order.wheelhouse} {' '.join(wheel.requirements())}",
        )


def finish(place: Path, order: Order, progress: Progress) -> list[Finished]:
    """Build the engine of a pending bundle on each host, verify and time it there, and bring it into the bundle.

    One host completes the bundle itself; each of several completes a copy beside it, named after the host.

    Raises
    ------
    InputError : the order is not usable. BundleError : the bundle is not what its manifest says.
    """
    check(order)
    bundle = open_bundle(place)
    teller = _Teller(progress)
    with tempfile.TemporaryDirectory(prefix="edgetl-") as scratch:
        sent = Path(scratch) / "sent"
        _fill(sent, bundle, order)
        pool = ThreadPoolExecutor(len(order.hosts), thread_name_prefix="edgetl-host")
        try:
            futures = [
                pool.submit(_one, bundle, host, order, sent, Path(scratch) / str(number), teller)
                for number, host in enumerate(order.hosts)
            ]
            return [future.result() for future in futures]
        finally:
            teller.end()  # an interrupt reaches this thread alone: the others end their devices' work
            pool.shutdown(cancel_futures=True)


def _fill(sent: Path, bundle: Bundle, order: Order) -> None:
    """The folder that every host gets."""
    sent.mkdir()
    made = wheel.write(sent)
    shutil.copyfile(doctor.AGENT, sent / doctor.AGENT.name)
    shutil.copytree(bundle.folder, sent / "bundle")
    steps = [list(step) for step in order.steps]
    if order.wheelhouse is not None:
        shutil.copytree(order.wheelhouse, sent / "wheelhouse", ignore=_but_wheels)
    if order.devices_file is not None:
        shutil.copyfile(order.devices_file, sent / "devices.yaml")
        steps = [
            [*step, "--devices", "../sent/devices.yaml"] if step[0] == "compile" else step for step in steps
        ]
    job = {
        "wheel": made.name,
        "digest": digest.of_file(made),
        "requires": wheel.requirements(),
        "steps": steps,
    }
    (sent / "job.json").write_text(json.dumps(job))


def _but_wheels(_: str, names: list[str]) -> list[str]:
    return [name for name in names if not name.endswith(".whl")]


def _one(bundle: Bundle, host: str, order: Order, sent: Path, out: Path, teller: _Teller) -> Finished:
    """One host, to its end; what fails is told in its row and does not touch the others."""
    begun = time.perf_counter()
    out.mkdir()
    log = bundle.folder.with_name(f"{bundle.folder.name}.{_slug(host)}.log")
    row: dict[str, Any] = {"host": host, "bundle": None, "log": None, "budget": None, "error": None}
    failure: EdgetlError | None = None
    try:
        with Link(host, order.options) as link:
            teller.links.append(link)
            steps = _Steps(host, teller, _size(sent))
            on_device = session.Session(
                link, sent, bundle.manifest.backend, steps.begun, steps.cut, order.delays_s, teller.stop
            )
            code = on_device.run(out)
        if code:
            raise session.failure(out, code, host)
        adopted = _adopt(bundle, host, out, alone=len(order.hosts) == 1)
        row |= _row(adopted, order.budgets)
        failure = _judged(row)
        steps.end(f"{bytes_text(_size(out))} came back, digests right")
    except EdgetlError as error:
        failure = error
        row["error"] = error.as_data()
    if (out / "log").is_file():
        shutil.copyfile(out / "log", log)
        row["log"] = _shown(log)
    row["seconds"] = round(time.perf_counter() - begun, 1)
    return Finished(row, failure)


def _adopt(bundle: Bundle, host: str, out: Path, *, alone: bool) -> Bundle:
    """Put what the device made into the local bundle, once every byte of it is right.

    Raises
    ------
    BundleError : a byte was changed on the way, or the device changed what is not its to change.
    """
    made = open_bundle(out / "bundle")
    for name, entry in bundle.manifest.files.items():
        if name != format_of.RESULTS and made.manifest.files.get(name) != entry:
            raise BundleError(
                f"{host} sent back another {name} than it was given", hint="do not use it", file=name
            )
    if made.manifest.operating_point != bundle.manifest.operating_point:
        raise BundleError(f"{host} sent back another threshold than it was given", hint="do not use it")
    if not alone:
        copy = bundle.folder.with_name(f"{bundle.folder.name}.{_slug(host)}")
        shutil.copytree(bundle.folder, copy)
        bundle = open_bundle(copy)
    measured = {step: _without_paths(out / f"{step}.json") for step in ("verify", "bench")}

    def change(work: Path) -> Manifest:
        shutil.copytree(made.engine_folder, work / "engine", dirs_exist_ok=True)
        results = _with_latency(made.results, measured["bench"])
        (work / format_of.RESULTS).write_bytes(digest.canonical_json(results))
        (work / DEVICE).write_bytes(digest.canonical_json({"schema": SCHEMA, **measured}))
        return made.manifest

    return rewrite(bundle, change)


def _without_paths(file: Path) -> dict[str, Any]:
    answer = json.loads(file.read_bytes()) if file.is_file() else {}
    return {name: value for name, value in answer.items() if name not in HERE}


def _with_latency(results: Mapping[str, Any], timed: Mapping[str, Any]) -> dict[str, Any]:
    """The results with the latency that the shipped engine has on the device."""
    shipped = results.get("shipped", {}).get("candidate")
    if not timed or shipped is None:
        return dict(results)
    latency = {**results.get("latency_ms", {}), shipped: timed["latency_ms"]["engine"]}
    return {**results, "latency_ms": latency, "context": timed["context"]}


def _row(bundle: Bundle, budgets: Budgets) -> dict[str, Any]:
    engine = bundle.engine
    measured = msgspec.json.decode((bundle.folder / DEVICE).read_bytes())
    timed = measured["bench"].get("latency_ms", {})
    in_time = budget.judge_latency(timed.get("engine", {}), budgets.latencies())
    used = budget.judge_used(budget.used_of({}, budgets, why="not measured over SSH"))
    held = budget.together([in_time, used]) if budgets.on_host() else None
    return {
        "bundle": _shown(bundle.folder),
        "engine": f"{engine.precision} for {engine.backend} {engine.device}",
        "golden": measured["verify"].get("golden"),
        "latency_ms": timed,
        "budget": None if held is None else msgspec.to_builtins(held),
    }


def _judged(row: Mapping[str, Any]) -> EdgetlError | None:
    """Why a host whose engine works is a no all the same: its latency there."""
    held = row["budget"] or {"verdict": "within"}
    if held["verdict"] == "over":
        return GateFailed(
            f"latency budget missed on {row['host']}: {held['sentence']}",
            hint="a smaller backbone or another device: edgetl models; the bundle is kept",
        )
    if held["verdict"] == "unproven":
        return Inconclusive(
            f"a budget cannot be judged on {row['host']}: {held['sentence']}",
            hint="edgetl bench BUNDLE --iterations N   there",
        )
    return None


def told(data: Mapping[str, Any], done: Sequence[Finished]) -> dict[str, Any]:
    """The data of a build with a row for each host; that of the whole bundle where one host completed it."""
    hosts = [dict(one.row) for one in done]
    if len(done) > 1 or hosts[0]["error"] is not None:
        return {**data, "hosts": hosts}
    results = open_bundle(Path(hosts[0]["bundle"])).results
    shown = {**{key: value for key, value in data.items() if key != "pending"}, **results, "hosts": hosts}
    return {**shown, "next": next_commands(shown)}


def worst(failure: EdgetlError | None, done: Sequence[Finished]) -> EdgetlError | None:
    """The failure with the highest exit code, of the build and of every host."""
    failures = [one for one in (failure, *(each.failure for each in done)) if one is not None]
    return max(failures, key=lambda one: one.exit_code, default=None)


def _slug(host: str) -> str:
    """A host in a file's name."""
    return re.sub(r"[^\w.-]", "-", host)


def _shown(path: Path) -> str:
    """As a user in this folder would write it."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


class _Teller:
    """One progress sink for several threads, and the word that all of them should stop."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self.stop = threading.Event()
        self.links: list[Link] = []
        progress.planned([])

    def end(self) -> None:
        """Stop whoever still works."""
        self.stop.set()
        for link in self.links:
            link.interrupt()

    def finished(self, step: str, said: str, seconds: float) -> None:
        """One line."""
        with self._lock:
            self._progress.finished(step, {"summary": said}, seconds, False)

    def note(self, text: str) -> None:
        """Something to read now."""
        with self._lock:
            self._progress.note(text)


class _Steps:
    """The steps of one host as lines: each is told when the next begins."""

    def __init__(self, host: str, teller: _Teller, size: int) -> None:
        self._host = host
        self._teller = teller
        self._step, self._said = "send", bytes_text(size)
        self._since = time.perf_counter()

    def begun(self, step: str) -> None:
        """The device says that it begins a step."""
        self.end(self._said)
        self._step, self._said = ("fetch", "") if step == "done" else (step, "")

    def end(self, said: str) -> None:
        """The step that was running is done."""
        now = time.perf_counter()
        self._teller.finished(self._step, f"{self._host} · {said}" if said else self._host, now - self._since)
        self._since = now

    def cut(self, why: str) -> None:
        """The link is gone for now."""
        self._teller.note(f"{self._host}: {why}; trying again")
