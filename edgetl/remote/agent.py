"""What runs on the device: one file of the standard library alone, for edgetl is not there yet when it begins.

``python3 agent.py COMMAND ...``; the commands are the functions of ``COMMANDS``. A build there is a folder::

    sent/   what arrived: the bundle, the wheel, this file, ``job.json``, perhaps a wheelhouse and profiles
    out/    what comes back: the bundle with its engine, what each step answered, ``log``, ``code``
    lock    held for as long as a worker lives; ``pid`` is its process group
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import importlib.util
import json
import os
import platform
import select
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import IO, Any

__all__ = [
    "FINISHED",
    "GONE",
    "STEP",
    "Refused",
    "clean",
    "examine",
    "follow",
    "main",
    "start",
    "stop",
    "work",
]

STEP = "== "
"""A line of the log that begins so names the step that begins."""
FINISHED, GONE = 0, 3
"""How ``follow`` ends: the work has an exit code, or it is not running and has none (the device was restarted)."""
LACKS = 5
STOPPED = 130
POLL_SECONDS = 0.1
STOP_SECONDS = 5.0
FORGOTTEN_SECONDS = 7 * 86400.0
"""A build that nobody came back for is swept after so long."""
BACKENDS = ("tensorrt", "openvino", "onnxruntime")


class Refused(Exception):
    """What the device lacks, and what mends it."""

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(problem)
        self.problem, self.hint = problem, hint


def examine(*requirements: str) -> int:
    """Print what is here and what of these requirements is not, as JSON."""
    found = {
        "machine": platform.machine(),
        "python": platform.python_version(),
        "lacking": _lacking(requirements),
        "venv": importlib.util.find_spec("ensurepip") is not None,
        "backends": {name: _version(name) for name in BACKENDS if importlib.util.find_spec(name)},
    }
    print(json.dumps(found))
    return 0


def start(place: Path) -> int:
    """Begin the work in a session of its own, which outlives this connection; nothing where it runs or has ended."""
    with _lock(place / "lock", wait=False) as lock:
        if lock is None or (place / "out" / "code").exists():
            return 0
        _sweep(place.parent, place)
        shutil.rmtree(place / "out", ignore_errors=True)
        (place / "out").mkdir()
        with (place / "out" / "log").open("wb") as log:
            worker = subprocess.Popen(
                [sys.executable, str(Path(__file__).resolve()), "work", str(place)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=place / "out",
                start_new_session=True,
                pass_fds=(lock.fileno(),),  # the lock is the worker's from here on
            )
        (place / "pid").write_text(str(worker.pid))
    return 0


def work(place: Path) -> int:
    """Every step, in order, until one fails; the exit code is written last, in one piece."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        code = _steps(place, json.loads((place / "sent" / "job.json").read_text()))
    except Refused as error:
        code = _fail(place, error.problem, error.hint)
    except OSError as error:
        full = error.errno == errno.ENOSPC
        what = "the disk is full" if full else f"{error.strerror or error}"
        code = _fail(place, what, "free some; ~/.edgetl there may be removed" if full else "see the log")
    partial = place / "code.partial"
    partial.write_text(str(code))
    partial.replace(place / "out" / "code")
    return 0


def _fail(place: Path, problem: str, hint: str) -> int:
    """Say it as edgetl says it under ``--json``; a full disk may leave no room even for that."""
    print(f"{problem} ({hint})", flush=True)
    told = {
        "error": {"class": "EnvironmentLacks", "code": LACKS, "problem": problem, "hint": hint, "facts": {}}
    }
    with contextlib.suppress(OSError):
        (place / "out" / "failed.json").write_text(json.dumps(told))
    return LACKS


def _steps(place: Path, job: dict[str, Any]) -> int:
    print(f"{STEP}prepare", flush=True)
    python = _environment(place / "sent", job)
    shutil.copytree(place / "sent" / "bundle", place / "out" / "bundle", copy_function=shutil.copyfile)
    for step, *arguments in job["steps"]:
        print(f"{STEP}{step}", flush=True)
        with (place / "out" / f"{step}.json").open("wb") as answer:
            command = [str(python), "-m", "edgetl", step, "bundle", "--json", *arguments]
            done = subprocess.run(command, stdout=answer, cwd=place / "out", check=False)
        if done.returncode:
            return done.returncode if done.returncode > 0 else 128 - done.returncode
    print(f"{STEP}done", flush=True)
    return 0


def _environment(sent: Path, job: dict[str, Any]) -> Path:
    """The Python of the environment of this wheel, made once: it sees the device's own libraries (JetPack's TensorRT).

    The wheel is pure and has no scripts that are needed here, so unpacking is all of its installation.
    """
    envs = sent.parent.parent.parent / "envs"
    envs.mkdir(exist_ok=True)
    place = envs / f"{job['digest'][:16]}-{sys.version_info[0]}.{sys.version_info[1]}"
    python = place / "bin" / "python"
    with _lock(envs / f"{place.name}.lock", wait=True):
        if (place / "ready").exists():
            return python
        shutil.rmtree(place, ignore_errors=True)
        lacking = _lacking(job["requires"])
        bare = [] if lacking else ["--without-pip"]
        _call(
            [sys.executable, "-m", "venv", "--system-site-packages", *bare, str(place)],
            "python3 there cannot make an environment",
            "apt install python3-venv on the device",
        )
        if lacking:
            _install(python, lacking, sent / "wheelhouse")
        library = place / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
        with zipfile.ZipFile(sent / job["wheel"]) as wheel:
            wheel.extractall(library)
        _call([str(python), "-m", "edgetl", "--version"], "edgetl does not start there", "see the log")
        (place / "ready").touch()
    return python


def _install(python: Path, lacking: list[str], wheelhouse: Path) -> None:
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    names = ", ".join(lacking)
    if wheelhouse.is_dir():
        source = ["--no-index", "--find-links", str(wheelhouse)]
        problem, hint = f"the wheelhouse does not give {names}", f"pip download into it: {' '.join(lacking)}"
    else:
        source = ["--retries", "1", "--timeout", "10"]
        problem = f"it lacks {names}, and pip there reaches no package index"
        hint = "--wheelhouse DIR sends them along (pip download fills it on a host like the device)"
    _call([*pip, *source, *lacking], problem, hint)


def _call(command: list[str], problem: str, hint: str) -> None:
    """Run a program whose words go to the log."""
    if subprocess.run(command, check=False).returncode:
        raise Refused(problem, hint)


def _lacking(requirements: Any) -> list[str]:
    """Those that are not installed, or older than they say (``name>=1.2``; other forms are left to pip)."""
    return [one for one in requirements if not _satisfied(*one.partition(">=")[::2])]


def _satisfied(name: str, least: str) -> bool:
    found = _version(name)
    return found is not None and bool(least) and _numbers(found) >= _numbers(least)


def _numbers(version: str) -> list[int]:
    """The leading numbers of a version.

    >>> _numbers("1.26.4rc1")
    [1, 26]
    """
    numbers = []
    for part in version.split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return numbers


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def follow(place: Path, offset: str) -> int:
    """Print the log from an offset on, until the work ends or the other side hangs up."""
    at = int(offset)
    with (place / "out" / "log").open("rb") as log:
        log.seek(at)
        while True:
            ended = _ended(place)  # asked before the last read, so that nothing written is missed
            _pass_on(log)
            if ended is not None:
                return ended
            if select.select([sys.stdin], [], [], POLL_SECONDS)[0] and not os.read(0, 1024):
                return FINISHED


def _ended(place: Path) -> int | None:
    if (place / "out" / "code").exists():
        return FINISHED
    with _lock(place / "lock", wait=False) as lock:
        if lock is None:
            return None
        return FINISHED if (place / "out" / "code").exists() else GONE


def _pass_on(log: IO[bytes]) -> None:
    while piece := log.read(1 << 16):
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def stop(place: Path) -> int:
    """End the work and all that it started."""
    with contextlib.suppress(OSError, ValueError):
        group = int((place / "pid").read_text())
        for number in (signal.SIGTERM, signal.SIGKILL):
            with _lock(place / "lock", wait=False) as lock:
                if lock is not None:  # nobody works: the number may be another's by now
                    return 0
            os.killpg(group, number)
            _wait(place)
    return 0


def _wait(place: Path) -> None:
    for _ in range(int(STOP_SECONDS / POLL_SECONDS)):
        with _lock(place / "lock", wait=False) as lock:
            if lock is not None:
                return
        time.sleep(POLL_SECONDS)


def clean(place: Path) -> int:
    """Stop, and leave nothing of the build behind; its environment stays for the next."""
    stop(place)
    shutil.rmtree(place, ignore_errors=True)
    return 0


def _sweep(builds: Path, mine: Path) -> None:
    """Remove builds that were given up long ago."""
    for other in builds.iterdir():
        with contextlib.suppress(OSError):
            if other == mine or mine.stat().st_mtime - other.stat().st_mtime < FORGOTTEN_SECONDS:
                continue
            with _lock(other / "lock", wait=False) as lock:
                if lock is not None:
                    shutil.rmtree(other, ignore_errors=True)


@contextlib.contextmanager
def _lock(file: Path, *, wait: bool) -> Iterator[IO[str] | None]:
    """The file, locked; ``None`` where another process has it. The system frees it when its holder dies."""
    with file.open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield None
            return
        yield held


COMMANDS: dict[str, Callable[..., int]] = {
    "examine": examine,
    "start": start,
    "work": work,
    "follow": follow,
    "stop": stop,
    "clean": clean,
}


def main(arguments: list[str]) -> int:
    """Run one command: all but ``examine`` take the build's folder first."""
    name, *rest = arguments
    return COMMANDS[name](*rest) if name == "examine" else COMMANDS[name](Path(rest[0]), *rest[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
