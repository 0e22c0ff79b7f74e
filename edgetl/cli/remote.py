"""What the options about hosts ask for: a build that is finished on devices, and a look at them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgetl.errors import EdgetlError, InputError

if TYPE_CHECKING:  # what the command line imports, every command waits for
    from edgetl.pipeline import Progress
    from edgetl.recipe import BuildResult
    from edgetl.remote.build import Order
    from edgetl.types import BuildSpec

__all__ = ["examine", "finish", "order"]


def order(
    spec: BuildSpec, *, ssh_option: list[str] | None, ssh_config: Path | None, wheelhouse: Path | None
) -> Order | None:
    """Where the build is finished; ``None`` where no host was named.

    Raises
    ------
    InputError : a host, a setting or a file is not usable, or an option is about hosts and none is named.
    """
    if not spec.hosts:
        for name, value in (
            ("--ssh-option", ssh_option),
            ("--ssh-config", ssh_config),
            ("--wheelhouse", wheelhouse),
        ):
            if value:
                raise InputError(
                    f"{name} is about a device, and no --host is named", hint="--host user@device"
                )
        return None
    from edgetl import target
    from edgetl.remote import build
    from edgetl.remote.ssh import Options

    asked = build.Order(
        hosts=spec.hosts,
        options=Options(tuple(ssh_option or ()), ssh_config),
        wheelhouse=wheelhouse,
        devices_file=Path(spec.devices_file) if spec.devices_file else None,
        budgets=target.profile_of(spec).budgets,
    )
    build.check(asked)
    return asked


def finish(
    result: BuildResult, asked: Order, progress: Progress
) -> tuple[Mapping[str, Any], EdgetlError | None]:
    """Finish a build on its devices, unless its answer is no already."""
    from edgetl.errors import GateFailed
    from edgetl.remote import build

    if isinstance(result.failure, GateFailed):
        progress.note("not sent to the device: the answer is no already")
        return result.data, result.failure
    done = build.finish(result.bundle, asked, progress)
    return build.told(result.data, done), build.worst(result.failure, done)


def examine(
    hosts: Sequence[str], ssh_option: list[str] | None, ssh_config: Path | None
) -> list[dict[str, Any]]:
    """What each device is and lacks.

    Raises
    ------
    EnvironmentLacks : one cannot be reached. InputError : one is no host.
    """
    from edgetl.remote import doctor
    from edgetl.remote.ssh import Link, Options

    found = []
    for host in hosts:
        with Link(host, Options(tuple(ssh_option or ()), ssh_config)) as link:
            doctor.reach(link)
            found.append(dict(doctor.examine(link)))
    return found
