"""OpenSSH's own client: keys alone, host keys enforced, one connection that all commands share."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgetl.errors import EdgetlError, EnvironmentLacks, InputError

__all__ = ["Link", "LinkDown", "Options", "Ran", "check_host", "refusal"]

ENFORCED = {
    "BatchMode": "yes",
    "ControlMaster": "no",  # the one master is started by name, see Link.open
    "ControlPersist": "no",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "KbdInteractiveAuthentication": "no",
    "PasswordAuthentication": "no",
    "PermitLocalCommand": "no",
    "PreferredAuthentications": "publickey",
    "RequestTTY": "no",
    "StrictHostKeyChecking": "yes",
}
DEFAULTS = {"ConnectTimeout": "10", "ServerAliveCountMax": "3", "ServerAliveInterval": "5"}
FAILED = 255
"""ssh's own exit code where it, and not the command, failed."""
HOST = re.compile(r"(?!-)[^\s@:/'\"]+(@(?!-)[^\s@:/'\"]+)?")
OPENING_SECONDS = 40.0


class LinkDown(Exception):
    """The connection was not made or is gone; what ssh said of it. It may come back."""


@dataclass(frozen=True)
class Options:
    """The user's own words to ssh.

    Attributes
    ----------
    settings : ``Key=Value``, as after ``ssh -o``. config : a file in place of ``~/.ssh/config``.
    """

    settings: tuple[str, ...] = ()
    config: Path | None = None

    def text(self, control: Path) -> str:
        """A configuration of which ssh takes the first value it finds: ours, the user's words, the user's file.

        Raises
        ------
        InputError : a setting is no ``Key=Value``, or would weaken what is enforced; there is no such file.
        """
        lines = [f"{key} {value}" for key, value in ENFORCED.items()]
        lines += [f"ControlPath {control}", *map(_checked, self.settings)]
        lines += [f"{key} {value}" for key, value in DEFAULTS.items()]
        if self.config is not None and not self.config.is_file():
            raise InputError(f"no such file: {self.config}", hint="--ssh-config FILE, as ssh -F takes one")
        files = (
            (self.config.resolve(),) if self.config is not None else ("~/.ssh/config", "/etc/ssh/ssh_config")
        )
        return "\n".join(["Host *", *lines, *(f'Include "{file}"' for file in files), ""])


def _checked(setting: str) -> str:
    key, _, value = setting.partition("=")
    if not re.fullmatch(r"[A-Za-z0-9]+", key) or not value or "\n" in setting:
        raise InputError(
            f"--ssh-option {setting!r} is not KEY=VALUE", hint="--ssh-option Port=2222, as after ssh -o"
        )
    enforced = {name.lower(): name for name in (*ENFORCED, "ControlPath")}
    if key.lower() in enforced:
        raise InputError(
            f"--ssh-option {key} cannot be set: {enforced[key.lower()]} is enforced",
            hint="keys alone, and host keys that known_hosts has; ssh-copy-id and ssh HOST once prepare both",
        )
    return setting


def check_host(host: str) -> None:
    """Refuse what is no ``[user@]host``, such as an option of ssh.

    Raises
    ------
    InputError : it is not.
    """
    if not HOST.fullmatch(host):
        raise InputError(
            f"--host {host!r} is not user@host",
            hint="a port or an address with colons is a Host of --ssh-config",
        )


@dataclass(frozen=True)
class Ran:
    """What a command on the device did."""

    code: int
    out: str
    err: str


class Link:
    """A connection to one host, made again whenever it is gone; a context manager that leaves nothing running."""

    def __init__(self, host: str, options: Options) -> None:
        check_host(host)
        self.host = host
        self._options = options
        self._folder = Path()
        self._master: subprocess.Popen[bytes] | None = None
        self.ssh: tuple[str, ...] = ()
        """The command line of ssh up to the host, for those who start it themselves."""

    def __enter__(self) -> Link:
        if shutil.which("ssh") is None:
            raise EnvironmentLacks("this host has no ssh", hint="apt install openssh-client")
        self._folder = Path(tempfile.mkdtemp(prefix="edgetl-ssh-"))
        try:
            config = self._folder / "config"
            config.write_text(self._options.text(self._folder / "control"))
        except BaseException:
            shutil.rmtree(self._folder)
            raise
        self.ssh = ("ssh", "-F", str(config))
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def open(self) -> None:
        """Connect, unless it is connected.

        Raises
        ------
        LinkDown : nobody answers. EnvironmentLacks : the key or the host key is refused.
        """
        if self._master is not None and self._master.poll() is None:
            return
        self.close()
        with (self._folder / "said").open("wb+") as said:
            # In a session of its own: an interrupt at the terminal must leave a way to stop the device.
            master = subprocess.Popen(
                [*self.ssh, "-M", "-N", self.host],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,
            )
            self._master = master
            until = time.monotonic() + OPENING_SECONDS
            while not (self._folder / "control").exists():
                if master.poll() is not None or time.monotonic() > until:
                    self.close()
                    said.seek(0)
                    raise self._failure(said.read().decode(errors="replace"))
                time.sleep(0.01)

    def close(self) -> None:
        """End the connection."""
        if self._master is not None:
            self._master.terminate()
            self._master.wait()
            self._master = None
        (self._folder / "control").unlink(missing_ok=True)

    def interrupt(self) -> None:
        """End the connection under whoever uses it, from another thread: what runs fails with ``LinkDown``."""
        master = self._master
        if master is not None:
            master.terminate()

    def run(self, command: str, *, stdin: bytes = b"") -> Ran:
        """Run a shell command on the device to its end.

        Raises
        ------
        LinkDown : the connection went away. EnvironmentLacks : the key or the host key is refused.
        """
        self.open()
        done = subprocess.run(
            [*self.ssh, self.host, command],
            input=stdin,
            capture_output=True,
            check=False,
            start_new_session=True,
        )
        err = done.stderr.decode(errors="replace")
        if done.returncode == FAILED:
            raise self._failure(err)
        return Ran(done.returncode, done.stdout.decode(errors="replace"), err)

    @contextlib.contextmanager
    def running(self, command: str) -> Iterator[subprocess.Popen[bytes]]:
        """A command whose output is read as it comes; its standard input is open for as long as the link is."""
        self.open()
        with subprocess.Popen(
            [*self.ssh, self.host, command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as child:
            try:
                yield child
            finally:
                child.kill()

    def _failure(self, said: str) -> Exception:
        return refusal(self.host, said) or LinkDown(_last(said))


def refusal(host: str, said: str) -> EdgetlError | None:
    """What ssh's words mean where trying again is of no use; ``None`` where it may help.

    Parameters
    ----------
    said : what ssh wrote to standard error.
    """
    for words, problem, hint in _REFUSALS:
        if words in said:
            return EnvironmentLacks(problem.format(host=host), hint=hint.format(host=host), host=host)
    if "Bad configuration option" in said or "terminating," in said:
        return InputError(f"ssh refuses its configuration: {_last(said)}", hint="--ssh-option, --ssh-config")
    return None


_REFUSALS: Sequence[tuple[str, str, str]] = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "the host key of {host} is not the one in known_hosts: nothing was sent",
        "flashed anew? ssh-keygen -R HOST, then ssh {host} once to compare; else somebody may sit in between",
    ),
    (
        "Host key verification failed",
        "the host key of {host} is not in known_hosts: nothing was sent",
        "ssh {host}   once, and compare the fingerprint with the device's own",
    ),
    (
        "Permission denied",
        "{host} refuses every SSH key that was offered",
        "ssh-copy-id {host}, or --ssh-option IdentityFile=FILE; passwords are never asked for",
    ),
    (
        "Could not resolve hostname",
        "no host is known as {host}",
        "check the name, or give it an address in --ssh-config",
    ),
)


def _last(said: str) -> str:
    lines = said.strip().splitlines()
    return lines[-1].strip() if lines else "it closed the connection"
