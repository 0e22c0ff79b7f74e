"""Commands about this host: devices, models, doctor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from edgetl.cli import options, remote
from edgetl.home import cache_folder

__all__ = ["register"]


def devices_command(
    devices: options.DevicesFile = None,
    as_json: options.Json = False,
) -> None:
    """List the device profiles, and say for each backend whether this host can use it."""
    from edgetl import devices as profiles
    from edgetl.report import host

    catalog = profiles.load(devices)
    backends = host.backends()
    rows = host.profiles(catalog, backends)
    if as_json:
        print(json.dumps({"devices": rows, "backends": backends}, ensure_ascii=False))
        return
    print("\n".join([*host.profile_lines(rows), "", *host.backend_lines(backends)]))


def models_command(
    match: Annotated[
        Path | None, typer.Option("--match", metavar="FILE", help="Say which model a weights file fits.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """List the backbones that can be named: parameters, GMACs, input size."""
    from edgetl import models

    if match is not None:
        _print_match(match, as_json)
        return
    cards = models.cards()
    if as_json:
        import msgspec

        print(json.dumps({"models": [msgspec.to_builtins(card) for card in cards.values()]}))
        return
    print(f"  {'model':<24} {'parameters':>12} {'GMACs':>8} {'input':>7} {'weights':>10}")
    for card in sorted(cards.values(), key=lambda c: c.gmacs):
        size = f"{card.weights_mb:.0f} MB" if card.weights_mb else "-"
        print(
            f"  {card.name:<24} {card.params / 1e6:>10.1f} M {card.gmacs:>8.2f} {card.image_size:>7} {size:>10}"
        )
    print(
        "\n  timm/NAME takes any timm model (pip install 'edgetl[timm]'); package.module:factory a network of your own"
    )


def _print_match(match: Path, as_json: bool) -> None:
    from edgetl.errors import GateFailed
    from edgetl.transfer import weights

    found = weights.match(match)
    if as_json:
        print(json.dumps({"file": match.name, "models": found}))
    elif found:
        print(f"{match.name} fits {', '.join(found)}")
        print(f"       edgetl build --model {found[0]} --weights {match} --data DIR")
    if not found:
        raise GateFailed(
            f"{match.name} fits none of the known models",
            hint="--model package.module:factory names a network of your own",
        )


def doctor_command(
    host: options.Hosts = None,
    ssh_option: options.SshOption = None,
    ssh_config: options.SshConfig = None,
    as_json: options.Json = False,
) -> None:
    """Say what this host (or with --host a device) is, what is missing, and the exact command that mends it."""
    if host:
        _print_devices(remote.examine(host, ssh_option, ssh_config), as_json)
    else:
        _print_this_host(as_json)


def _print_devices(found: list[dict[str, Any]], as_json: bool) -> None:
    from edgetl.remote import doctor

    if as_json:
        print(json.dumps({"hosts": found}, ensure_ascii=False))
    else:
        print("\n".join(line for one in found for line in doctor.lines(one)))
    if any(one["missing"] for one in found):
        raise typer.Exit(5)


def _print_this_host(as_json: bool) -> None:
    from edgetl.report import host

    found: dict[str, Any] = host.examine(cache_folder())
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        print("\n".join(host.examine_lines(found)))
    if not found["healthy"]:
        raise typer.Exit(5)


def register(app: typer.Typer) -> None:
    """Put the commands on the application."""
    app.command("devices", rich_help_panel="Device")(devices_command)
    app.command("models", rich_help_panel="Data and models")(models_command)
    app.command("doctor", rich_help_panel="Device")(doctor_command)
