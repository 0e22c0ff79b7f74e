"""A device for tests: a real ``sshd`` on loopback as the current user, with another home and an environment of its own.

It has the Python that this one's environment was made of, and on ``PYTHONPATH`` a folder of links to what a device
has: the distributions that edgetl's core and one backend need, so neither torch nor onnx. That takes no installation,
and the environment that the agent makes sees them as it would the device's own.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

SSHD = "/usr/sbin/sshd"
CORE = ("filelock", "msgspec", "numpy", "platformdirs", "PyYAML", "rich", "typer")
BACKEND = ("openvino", "opencv-python-headless")
PROGRAMS = ("sh", "rsync", "df", "tail", "awk", "mkdir", "uname")


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Device:
    """The device, until it is stopped.

    Attributes
    ----------
    home : its home. options : what ``--ssh-option`` takes to reach it.
    """

    def __init__(self, root: Path, *, distributions: Iterable[str] = (*CORE, *BACKEND)) -> None:
        self.root = root
        self.home = root / "home"
        self.home.mkdir(parents=True)
        self.programs = root / "bin"
        self.port = free_port()
        self.host = "127.0.0.1"
        self.distributions = root / "site"
        link_distributions(self.distributions, distributions)
        self._give_programs()
        for key in ("host_key", "user_key"):
            make_key(root / key)
        shutil.copyfile(root / "user_key.pub", root / "authorized_keys")
        self.trust(self.port)
        self._daemon: subprocess.Popen[bytes] | None = None
        self.start()

    def trust(self, port: int) -> None:
        """Let known_hosts have the device's key for a port: its own, or that of something in between."""
        key = (self.root / "host_key.pub").read_text()
        with (self.root / "known_hosts").open("a") as known:
            known.writelines(f"[{name}]:{port} {key}" for name in ("127.0.0.1", "localhost"))

    def options(self, port: int | None = None) -> tuple[str, ...]:
        """Settings of ssh that lead there."""
        return (
            f"Port={port or self.port}",
            f"IdentityFile={self.root / 'user_key'}",
            "IdentitiesOnly=yes",
            f"UserKnownHostsFile={self.root / 'known_hosts'}",
            "GlobalKnownHostsFile=/dev/null",
        )

    def start(self) -> None:
        """Begin to listen."""
        config = self.root / "sshd_config"
        environment = {
            "HOME": self.home,
            "PATH": self.programs,
            "PYTHONPATH": self.distributions,
            "EDGETL_CACHE": self.home / "cache",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": "http://127.0.0.1:9",  # nobody's: the device is offline
        }
        settings = {
            "ListenAddress": f"127.0.0.1:{self.port}",
            "HostKey": self.root / "host_key",
            "AuthorizedKeysFile": self.root / "authorized_keys",
            "PidFile": self.root / "sshd.pid",
            "PermitRootLogin": "prohibit-password",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "StrictModes": "no",
            "UsePAM": "no",
            "PrintMotd": "no",
            "SetEnv": " ".join(f"{name}={value}" for name, value in environment.items()),
        }
        config.write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # where root's sshd gives up its privileges
        with (self.root / "sshd.log").open("ab") as log:
            self._daemon = subprocess.Popen([SSHD, "-D", "-e", "-f", config], stdout=log, stderr=log)
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError((self.root / "sshd.log").read_text())

    def stop(self) -> None:
        """Listen no more; connections that are open stay."""
        if self._daemon is not None:
            self._daemon.terminate()
            self._daemon.wait()
            self._daemon = None

    def running(self) -> list[str]:
        """Command lines of what runs there: whatever has the device's home or programs in its environment."""
        marks = (f"HOME={self.home}".encode(), f"PATH={self.programs}".encode())
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                environment = (entry / "environ").read_bytes().split(b"\0")
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if any(mark in environment for mark in marks) and words:
                found.append(words.strip())
        return found

    def left_behind(self, seconds: float = 5.0) -> list[str]:
        """What still runs once whatever was ending has ended."""
        until = time.monotonic() + seconds
        while (found := self.running()) and time.monotonic() < until:
            time.sleep(0.05)
        return found

    def replace(self, program: str, script: str) -> None:
        """Put a shell script in a program's place."""
        file = self.programs / program
        file.unlink(missing_ok=True)
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def _give_programs(self) -> None:
        self.programs.mkdir()
        for name in PROGRAMS:
            found = shutil.which(name)
            if found:
                (self.programs / name).symlink_to(found)
        base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
        (self.programs / "python3").symlink_to(base)


def make_key(file: Path) -> None:
    """A key pair without a passphrase."""
    file.unlink(missing_ok=True)
    program = shutil.which("ssh-keygen")
    assert program is not None
    subprocess.run([program, "-q", "-t", "ed25519", "-N", "", "-f", file], check=True)


def link_distributions(site: Path, names: Iterable[str]) -> None:
    """Make a folder in which these distributions, and all that they need, are importable."""
    site.mkdir()
    waiting, seen = list(names), set()
    while waiting:
        name = waiting.pop()
        if name.lower() in seen:
            continue
        seen.add(name.lower())
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # of another platform
        waiting += [
            re.split(r"[\s<>=!~;(\[]", one)[0] for one in found.requires or () if "extra ==" not in one
        ]
        for top in {
            file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")
        }:
            link, source = site / top, Path(str(found.locate_file(top)))
            if source.exists() and not link.exists():
                link.symlink_to(source)
