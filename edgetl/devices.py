"""The only reader of ``devices.yaml``: what a device is, and whether this host is one."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from edgetl import digest
from edgetl.errors import InputError, did_you_mean
from edgetl.types import PERCENTILES, LatencyBudget, Record

__all__ = [
    "PRECISIONS",
    "Budgets",
    "Catalog",
    "DeviceProfile",
    "Facts",
    "Hosts",
    "host_fingerprint",
    "host_is",
    "host_note",
    "load",
    "narrow_weights",
    "saturates",
]

SCHEMES = ("openvino-cpu", "openvino-gpu", "openvino-npu", "tensorrt", "tensorrt-dla", "none")
PRECISIONS = ("auto", "f32", "default", "int8")


class Budgets(Record, frozen=True, kw_only=True):
    """What a product must hold; all but ``max_drop`` are enforced only where the host is the device.

    Attributes
    ----------
    p50_ms, p90_ms, p99_ms : latency of one inference.
    mem_mib : most resident memory of a process that runs the engine.
    power_w : mean while inferences run back to back, of the board where a sensor feeds from it, else of the processor.
    max_drop : points of top-1 that the shipped engine may lose against f32.
    """

    p50_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None
    mem_mib: float | None = None
    power_w: float | None = None
    max_drop: float = 1.0

    def latencies(self) -> tuple[LatencyBudget, ...]:
        """Those of latency, as limits."""
        limits = {at: getattr(self, f"{at}_ms") for at in PERCENTILES}
        return tuple(LatencyBudget(ms=ms, at=at) for at, ms in limits.items() if ms is not None)

    def on_host(self) -> bool:
        """Whether there is one that only the device itself can be held to."""
        return bool(self.latencies()) or self.mem_mib is not None or self.power_w is not None


class Facts(Record, frozen=True, kw_only=True):
    """What a data sheet says; ``int8_tops`` is dense, ``bandwidth_gb_s`` of the memory."""

    compute_capability: str | None = None
    bandwidth_gb_s: float | None = None
    int8_tops: float | None = None
    gpu_int8_tops: float | None = None
    dla: int | None = None
    isa: str | None = None
    cores: int | None = None
    tdp_w: float | None = None


class Hosts(Record, frozen=True, kw_only=True):
    """How a host is recognised as the device: any of these in its CPU model, board model or GPU model."""

    machine: str | None = None
    cpu_model: tuple[str, ...] = ()
    board_model: tuple[str, ...] = ()
    gpu_model: tuple[str, ...] = ()


class DeviceProfile(Record, frozen=True, kw_only=True):
    """A device to build for.

    Attributes
    ----------
    backend : which compiler and runtime. device : the vendor's device string.
    precision : ``auto``, or the candidate to compile (``f32``, ``default``, ``int8``).
    scheme : how it wants a quantized graph. threads : for inference; ``None`` leaves the vendor's default.
    options : of the backend, in its vendor's spelling; each backend refuses those that it does not know.
    """

    name: str
    description: str = ""
    backend: str
    device: str = "CPU"
    precision: str = "auto"
    scheme: str = "none"
    threads: int | None = None
    memory_gib: float | None = None
    budgets: Budgets = Budgets()
    facts: Facts = Facts()
    hosts: Hosts = Hosts()
    aliases: tuple[str, ...] = ()
    options: dict[str, str | int | bool] = {}


class Catalog(Mapping[str, DeviceProfile]):
    """Profiles by name; ``find`` also takes an alias."""

    def __init__(self, profiles: Mapping[str, DeviceProfile]) -> None:
        self._profiles = dict(profiles)
        self._aliases: dict[str, str] = {}
        for profile in self._profiles.values():
            for alias in profile.aliases:
                taken = self._aliases.get(alias) or (alias if alias in self._profiles else None)
                if taken:
                    raise InputError(
                        f"alias {alias!r} of device {profile.name!r} is taken by {taken!r}",
                        hint="give it another name",
                    )
                self._aliases[alias] = profile.name

    def __getitem__(self, name: str) -> DeviceProfile:
        return self._profiles[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._profiles)

    def __len__(self) -> int:
        return len(self._profiles)

    def find(self, name: str) -> DeviceProfile:
        """The profile of a name or alias.

        Raises
        ------
        InputError : there is none; the nearest is suggested.
        """
        actual = self._aliases.get(name, name)
        if actual not in self._profiles:
            raise InputError(
                f"no device profile {name!r}.{did_you_mean(name, [*self._profiles, *self._aliases])}",
                hint="edgetl devices   lists them; --devices FILE adds your own",
            )
        return self._profiles[actual]


def load(extra: Path | None = None) -> Catalog:
    """The built-in profiles, with a user's own file merged over them.

    Parameters
    ----------
    extra : a YAML file of the same form; a profile of a built-in name replaces only the keys that it gives.

    Raises
    ------
    InputError : the file is not readable, or names a key, a parent or a value that the schema has not.
    """
    raw = _read(_builtin(), "devices.yaml")
    if extra is not None:
        try:
            text = extra.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"cannot read {extra}: {error}", hint="--devices FILE names a YAML file"
            ) from error
        for name, body in _read(text, extra.name).items():
            raw[name] = _merged(raw[name], body) if name in raw else body
    return Catalog({name: _profile(name, _inherit(name, raw, ())) for name in raw})


def _builtin() -> str:
    """Text of the ``devices.yaml`` that ships.

    In a wheel it is data of ``edgetl._data``; a checkout installed as editable has it beside the package,
    since an editable install does not follow a mapping onto the project's root.
    """
    beside = Path(__file__).parent.parent / "devices.yaml"
    if beside.is_file():
        return beside.read_text(encoding="utf-8")
    return (resources.files("edgetl") / "_data" / "devices.yaml").read_text(encoding="utf-8")


def _read(text: str, where: str) -> dict[str, dict[str, Any]]:
    import yaml

    try:
        found = yaml.load(text, _loader()) or {}  # noqa: S506 (a SafeLoader that also refuses a key given twice)
    except yaml.YAMLError as error:
        raise InputError(
            f"{where} is not YAML: {' '.join(str(error).split())}", hint="see devices.yaml"
        ) from error
    body = found.get("devices") if isinstance(found, dict) else None
    if (
        not isinstance(body, dict)
        or set(found) != {"devices"}
        or not all(isinstance(v, dict) for v in body.values())
    ):
        raise InputError(
            f"{where} must hold one mapping 'devices' of name to profile",
            hint="devices: {my-box: {extends: intel-cpu, budgets: {p50_ms: 5}}}",
        )
    return body


def _loader() -> Any:
    """PyYAML's safe loader; of a key that is given twice in one mapping it would silently take the last."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            twice = next((key for place, key in enumerate(keys) if key in keys[:place]), None)
            if twice is not None:
                raise yaml.YAMLError(f"{twice!r} is given twice, line {node.start_mark.line + 1} and below")
            found: dict[Any, Any] = super().construct_mapping(node, deep)
            return found

    return Loader


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` laid onto ``under``, mappings key by key."""
    result = dict(under)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = _merged(result[key], value) if both else value
    return result


def _inherit(name: str, raw: Mapping[str, Mapping[str, Any]], path: tuple[str, ...]) -> dict[str, Any]:
    if name in path:
        raise InputError(
            f"device profiles extend one another in a circle: {' -> '.join([*path, name])}", hint="cut it"
        )
    if name not in raw:
        raise InputError(
            f"device {path[-1]!r} extends {name!r}, which is not there.{did_you_mean(name, raw)}",
            hint="edgetl devices",
        )
    body = dict(raw[name])
    parent = body.pop("extends", None)
    if parent is None:
        return body
    if parent not in raw:  # by another name of it
        parent = next((known for known, other in raw.items() if parent in other.get("aliases", ())), parent)
    inherited = _inherit(str(parent), raw, (*path, name))
    for own in ("aliases", "description"):  # these say who a profile is, not what it is made of
        inherited.pop(own, None)
    return _merged(inherited, body)


def _profile(name: str, body: Mapping[str, Any]) -> DeviceProfile:
    _known_keys(name, body, DeviceProfile, "")
    try:
        profile = msgspec.convert({**body, "name": name}, DeviceProfile)
    except msgspec.ValidationError as error:
        raise InputError(f"device {name!r}: {error}", hint="see devices.yaml for the form") from error
    _check_values(profile)
    if profile.scheme not in SCHEMES:
        raise InputError(
            f"device {name!r}: scheme {profile.scheme!r} is not known.{did_you_mean(profile.scheme, SCHEMES)}",
            hint=f"one of {', '.join(SCHEMES)}",
        )
    return profile


def _check_values(profile: DeviceProfile) -> None:
    if profile.precision not in PRECISIONS:
        raise InputError(
            f"device {profile.name!r}: precision {profile.precision!r} is not known."
            f"{did_you_mean(profile.precision, PRECISIONS)}",
            hint=f"one of {', '.join(PRECISIONS)}",
        )
    if profile.threads is not None and profile.threads < 1:
        raise InputError(
            f"device {profile.name!r}: threads {profile.threads} is below 1",
            hint="leave it out for the vendor's default",
        )
    for name, value in msgspec.structs.asdict(profile.budgets).items():
        if value is not None and not value >= 0:
            raise InputError(
                f"device {profile.name!r}: budgets.{name} {value} is no budget", hint="a number from 0"
            )


def _known_keys(name: str, body: Mapping[str, Any], kind: Any, where: str) -> None:
    fields = {field.name: field.type for field in msgspec.structs.fields(kind) if field.name != "name"}
    for key, value in body.items():
        if key not in fields:
            raise InputError(
                f"device {name!r}: unknown key {where + str(key)!r}.{did_you_mean(str(key), fields)}",
                hint=f"keys there: {', '.join(fields)}",
            )
        if isinstance(value, Mapping) and hasattr(fields[key], "__struct_fields__"):
            _known_keys(name, value, fields[key], f"{where}{key}.")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\x00\n ")
    except OSError:
        return ""


def _cpu_field(root: Path, field: str) -> str:
    for line in _text(root / "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == field:
            return value.strip()
    return ""


def host_fingerprint(root: Path = Path("/")) -> dict[str, str]:
    """What an engine built here is for: the CPU's model and the digest of its flags.

    Parameters
    ----------
    root : where ``proc`` is.
    """
    flags = _cpu_field(root, "flags") or _cpu_field(root, "Features")
    return {
        "machine": platform.machine(),
        "cpu": _cpu_field(root, "model name") or platform.processor() or "unknown",
        "cpu_flags": digest.of_bytes(" ".join(sorted(flags.split())).encode()),
    }


def host_is(profile: DeviceProfile, root: Path = Path("/")) -> bool:
    """This host is the device that the profile describes; ``local`` always is."""
    hosts = profile.hosts
    if profile.name == "local":
        return True
    cpu = _cpu_field(root, "model name")
    board = _text(root / "proc/device-tree/model")
    named = any(part in cpu for part in hosts.cpu_model) or any(part in board for part in hosts.board_model)
    if hosts.machine is not None and hosts.machine != platform.machine():
        return False
    if hosts.gpu_model:
        return any(model in hosts.gpu_model for model in _gpu_models(root))
    if not hosts.cpu_model and not hosts.board_model:
        return hosts.machine is not None
    return named


def _gpu_models(root: Path) -> list[str]:
    """NVIDIA cards by their driver's files; a Jetson has none of these, and is recognised by its board."""
    found = []
    for file in sorted((root / "proc/driver/nvidia/gpus").glob("*/information")):
        for line in _text(file).splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "Model":
                found.append(value.strip())
    return found


def host_note(profile: DeviceProfile, root: Path = Path("/")) -> str:
    """What this host is to the profile, where it is not the device itself; else empty."""
    if host_is(profile, root):
        return ""
    cpu = _cpu_field(root, "model name") or platform.machine()
    return f"this host ({cpu}) is not {profile.name}"


def saturates(profile: DeviceProfile, root: Path = Path("/")) -> bool:
    """The device's CPU adds products of bytes in 16 bits, which overflow: weights must keep half their range.

    True for an x86 CPU without VNNI (OpenVINO and oneDNN name the ISA ``avx2``); a profile says so in
    ``facts.isa``, and ``local`` asks this host.
    """
    if profile.backend != "openvino" or profile.device != "CPU":
        return False  # ONNX Runtime is told to add without overflow
    isa = profile.facts.isa or _cpu_field(root, "flags")
    return bool(isa) and "vnni" not in isa and "amx" not in isa


def narrow_weights(profile: DeviceProfile, root: Path = Path("/")) -> bool:
    """Whether a build here keeps sums of weights within 16 bits: for the device, or for this host that verifies it.

    A host without VNNI would report its own overflow as the device's accuracy otherwise.
    """
    here = msgspec.structs.replace(profile, facts=msgspec.structs.replace(profile.facts, isa=None))
    return saturates(profile, root) or saturates(here, root)
