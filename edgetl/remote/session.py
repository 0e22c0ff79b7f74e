"""One build on one device: sent, begun, followed and brought back, over a link that may be cut at any moment.

Each step may be done twice without harm, so a cut is mended by doing the step again; the work itself is detached
from the connection, and only what was not yet read of its log is read again.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shlex
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from edgetl import errors
from edgetl.errors import Cancelled, EdgetlError, EnvironmentLacks
from edgetl.remote import agent, doctor, transfer
from edgetl.remote.ssh import FAILED, Link, LinkDown

__all__ = ["DELAYS_S", "Session", "failure"]

T = TypeVar("T")
DELAYS_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 30.0, 60.0, 60.0, 60.0, 60.0)
"""Between tries to get a lost link back: a device that restarts takes a minute or two."""
RESTARTS = 3
POLL_SECONDS = 0.2
STAYS = ("*.partial",)


@dataclass
class Session:
    """A build on a device.

    Attributes
    ----------
    sent : the folder to send. backend : what is to compile there.
    on_step : told the name of each step that begins there.
    on_cut : told why, each time the link is lost. delays_s : waits between tries to get it back.
    stop : set by another thread to give up; the work on the device is ended then.
    """

    link: Link
    sent: Path
    backend: str
    on_step: Callable[[str], None]
    on_cut: Callable[[str], None]
    delays_s: Sequence[float] = DELAYS_S
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self, out: Path) -> int:
        """Do it, and bring what the device made to ``out``.

        Returns
        -------
        The exit code of the work on the device; what it said of a failure is ``failure(out)``.

        Raises
        ------
        EnvironmentLacks : the device lacks something, or the link does not come back.
        """
        doctor.reach(self.link)
        found = self._persist(lambda: doctor.examine(self.link))
        doctor.refuse(found, self.backend)
        place = f"{found['home']}/.edgetl/builds/{uuid.uuid4().hex}"
        try:
            self._work(place)
            self._persist(lambda: transfer.pull(self.link, f"{place}/out", out, leave=STAYS))
            code = int((out / "code").read_text())
        except BaseException:
            self._give_up(place)
            raise
        self._persist(lambda: self._clean(place))
        return code

    def _work(self, place: str) -> None:
        """Until it has an exit code; from the beginning where the device was restarted in the middle."""
        for _ in range(RESTARTS):
            self._persist(lambda: self._send(place))
            self._persist(lambda: self._agent("start", place))
            if self._persist(partial(self._follow, place, _Log(self.on_step))) == agent.FINISHED:
                return
            self.on_cut("the work there ended without an exit code, as after a restart")
        raise EnvironmentLacks(
            f"the work on {self.link.host} ended {RESTARTS} times without an exit code",
            hint="the device restarts or runs out of memory: dmesg there says which",
        )

    def _send(self, place: str) -> None:
        self._checked(f"mkdir -p {shlex.quote(place)}/sent")
        transfer.push(self.link, self.sent, f"{place}/sent")

    def _agent(self, command: str, place: str) -> None:
        self._checked(f"python3 {shlex.quote(place)}/sent/{doctor.AGENT.name} {command} {shlex.quote(place)}")

    def _checked(self, command: str) -> None:
        told = self.link.run(command)
        if told.code:
            last = (told.err.strip().splitlines() or ["it said nothing"])[-1]
            raise EnvironmentLacks(f"{self.link.host}: {last}", hint=f"ssh {self.link.host} df -h")

    def _follow(self, place: str, log: _Log) -> int:
        command = (
            f"python3 {shlex.quote(place)}/sent/{doctor.AGENT.name} follow {shlex.quote(place)} {log.read}"
        )
        with self.link.running(command) as child:
            assert child.stdout is not None
            while True:
                self._check_wanted()
                if select.select([child.stdout], [], [], POLL_SECONDS)[0]:
                    piece = os.read(child.stdout.fileno(), 1 << 16)
                    if not piece:
                        break
                    log.take(piece)
            code = child.wait()
        if code == FAILED:
            raise LinkDown("the link was cut while the device worked")
        if code not in (agent.FINISHED, agent.GONE):
            raise EnvironmentLacks(f"{self.link.host}: its log cannot be read", hint="is its disk full?")
        return code

    def _persist(self, step: Callable[[], T]) -> T:
        """Do a step again for as long as only the link fails it."""
        for delay in self.delays_s:
            self._check_wanted()
            try:
                return step()
            except LinkDown as error:
                self._check_wanted()
                self.on_cut(str(error))
                self.link.close()
                self.stop.wait(delay)
        try:
            return step()
        except LinkDown as error:
            raise EnvironmentLacks(
                f"the link to {self.link.host} did not come back: {error}",
                hint="what it was doing ends there by itself; the same command begins anew",
            ) from error

    def _check_wanted(self) -> None:
        if self.stop.is_set():
            raise Cancelled("interrupted")

    def _give_up(self, place: str) -> None:
        """Leave nothing running there: one try, for the user waits."""
        with contextlib.suppress(LinkDown, EdgetlError):
            self._clean(place)

    def _clean(self, place: str) -> None:
        """Stop what runs and remove the folder, also where that was done and only its answer was lost."""
        program = f"{shlex.quote(place)}/sent/{doctor.AGENT.name}"
        self._checked(f"[ ! -e {program} ] || python3 {program} clean {shlex.quote(place)}")


class _Log:
    """How much of the log was read, and the steps that it names."""

    def __init__(self, on_step: Callable[[str], None]) -> None:
        self.read = 0
        self._on_step = on_step
        self._line = b""

    def take(self, piece: bytes) -> None:
        """Go on by a piece of any length."""
        self.read += len(piece)
        *lines, self._line = (self._line + piece).split(b"\n")
        for line in lines:
            if line.startswith(agent.STEP.encode()):
                self._on_step(line[len(agent.STEP) :].decode(errors="replace"))


def failure(out: Path, code: int, host: str) -> EdgetlError:
    """Why the work on the device failed, in its own words and with its own exit code."""
    for file in sorted(out.glob("*.json"), key=lambda file: file.stat().st_mtime, reverse=True):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            told: dict[str, Any] = json.loads(file.read_bytes())["error"]
            kind = getattr(errors, told["class"], EdgetlError)
            error: EdgetlError = kind(f"{host}: {told['problem']}", hint=told["hint"], **told["facts"])
            return error
    return EnvironmentLacks(f"{host}: the work there ended with {code}", hint="its log says why", code=code)
