"""What a build is for: the device's profile, the backends that compete for it, and what this host can do of it."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from edgetl import asked, devices
from edgetl.backends import seam
from edgetl.backends.tensorrt import options as tensorrt_options
from edgetl.backends.tensorrt import plugin
from edgetl.candidate import CANDIDATES, precision_of
from edgetl.devices import DeviceProfile
from edgetl.errors import EnvironmentLacks, InputError
from edgetl.home import cache_folder
from edgetl.types import PERCENTILES, BuildSpec

__all__ = [
    "candidates",
    "check_fused",
    "headline",
    "host_note",
    "insisted",
    "machine_of",
    "other_backends",
    "profile_of",
    "quantized_file",
    "takes_types",
    "where_it_runs",
]

CPU_BACKENDS = ("openvino", "onnxruntime")
REFERENCE = "onnxruntime"
"""Stands in where the profile's own engine cannot be built here; its figures are said to be a reference."""


def headline(spec: BuildSpec) -> str:
    """The first line of a build: version, device, and what this host is to it."""
    import edgetl

    profile = profile_of(spec)
    backends = " or ".join([profile.backend, *other_backends(spec, profile)])
    parts = [f"edgetl {edgetl.__version__}", f"{profile.name} ({backends} {profile.device})"]
    return " · ".join([*parts, *filter(None, [host_note(profile, _pending(profile, spec.hosts))])])


def profile_of(spec: BuildSpec) -> DeviceProfile:
    """The profile that was asked for, with the backend and the latency budget that were given in its place."""
    profile = devices.load(Path(spec.devices_file) if spec.devices_file else None).find(spec.device)
    if spec.max_latency is not None:
        given = {f"{at}_ms": None for at in PERCENTILES} | {f"{spec.max_latency.at}_ms": spec.max_latency.ms}
        profile = msgspec.structs.replace(profile, budgets=msgspec.structs.replace(profile.budgets, **given))
    if spec.backend in (None, "auto", profile.backend):
        return profile
    asked.choice(str(spec.backend), ("auto", *CPU_BACKENDS), "--backend")
    if not _on_cpu(profile):
        raise InputError(
            f"{profile.name} is {profile.backend} {profile.device}: --backend {spec.backend} runs on a CPU",
            hint="edgetl devices   lists profiles for a CPU",
        )
    return msgspec.structs.replace(profile, backend=str(spec.backend))


def _on_cpu(profile: DeviceProfile) -> bool:
    return profile.backend in CPU_BACKENDS and profile.device == "CPU"


def other_backends(spec: BuildSpec, profile: DeviceProfile) -> tuple[str, ...]:
    """What ``--backend auto`` lets compete with the profile's own; nothing does so unasked.

    Raises
    ------
    InputError : the profile is not a CPU's, where there is nothing to choose from.
    """
    if spec.backend != "auto":
        return ()
    if not _on_cpu(profile):
        raise InputError(
            f"--backend auto chooses between {' and '.join(CPU_BACKENDS)} on a CPU, {profile.name} is "
            f"{profile.backend} {profile.device}",
            hint="without --backend the profile's own is taken",
        )
    return tuple(name for name in CPU_BACKENDS if name != profile.backend and seam.find(name).probe().usable)


def candidates(profile: DeviceProfile, others: tuple[str, ...], *, pending: bool) -> tuple[str, ...]:
    """What is compiled and compared: f32, the runtime's default and int8, the last two on other backends too."""
    own = ("f32", "int8") if pending else CANDIDATES
    rivals = [f"{precision}@{backend}" for backend in others for precision in ("default", "int8")]
    return tuple(name for name in (*own, *rivals) if profile.scheme != "none" or precision_of(name) != "int8")


def insisted(profile: DeviceProfile, asked_for: str, among: Sequence[str]) -> str:
    """What the user or else the profile insists on, where it is a candidate of this build.

    Raises
    ------
    InputError : it is none.
    """
    precision = profile.precision if asked_for == "auto" else asked_for
    if precision != "auto" and precision not in among:
        why = profile.description if profile.scheme == "none" else "its engine is not built on this host"
        raise InputError(f"{profile.name} has no {precision}: {why}", hint=f"one of auto, {', '.join(among)}")
    return precision


def where_it_runs(
    profile: DeviceProfile, hosts: Sequence[str] = ()
) -> tuple[DeviceProfile, Mapping[str, Any] | None]:
    """The profile that engines are compiled for here, and what is left to do where that is not the target.

    Parameters
    ----------
    hosts : who builds the engine in this host's place, even where this host could.

    Raises
    ------
    EnvironmentLacks : this host should build it and has not the backend or the device.
    """
    pending = _pending(profile, hosts)
    if pending is not None:
        return msgspec.structs.replace(profile, backend=REFERENCE, device="CPU", options={}), pending
    probe = seam.find(profile.backend).probe()
    if not probe.usable or profile.device not in probe.devices:
        reason = probe.absent.get(profile.device) or probe.reason or "it did not answer"
        raise EnvironmentLacks(
            f"{profile.name} needs {profile.backend} {profile.device}, which this host has not: {reason}",
            hint=probe.mend or "edgetl devices   says what is usable here",
            device=profile.name,
        )
    return profile, None


def _pending(profile: DeviceProfile, hosts: Sequence[str] = ()) -> Mapping[str, Any] | None:
    """Why a profile's engine is not built on this host, and the steps that are left; ``None`` where it is."""
    own = profile.backend == "tensorrt"
    if not own and not hosts:
        return None
    where = " ".join(f"--host {host}" for host in hosts or ("user@device",))
    steps = [
        f"edgetl build --device {profile.name} {where} ...   finishes on the device, over SSH",
        "by hand: copy the bundle to the device; there edgetl compile BUNDLE, edgetl verify BUNDLE, "
        "edgetl bench BUNDLE",
    ]
    if not own:
        return {"reason": f"the engine is built on {', '.join(hosts)}", "next": steps}
    lacks = "this host is not one"
    if devices.host_is(profile) and not hosts:
        probe = seam.find(profile.backend).probe()
        if probe.usable and profile.device in probe.devices:
            return None
        lacks = f"this one cannot: {probe.reason or f'it has no {profile.device}'}"
        steps = [probe.mend] if probe.mend else steps
    else:
        steps.append(f"without edgetl there: {_trtexec(profile)}")
    return {
        "reason": f"a TensorRT engine is built on the {profile.name} itself, and {lacks}",
        "next": steps,
    }


def _trtexec(profile: DeviceProfile) -> str:
    if profile.scheme == "none":
        return "trtexec --onnx=model.fp32.onnx --saveEngine=engine.plan --fp16"
    return (
        "trtexec --onnx=model.int8.fp16.onnx --saveEngine=engine.plan --stronglyTyped"
        "   (TensorRT before 10.12: --onnx=model.int8.onnx --saveEngine=engine.plan --int8 --fp16)"
    )


def takes_types(profile: DeviceProfile) -> bool:
    """Whether the compiler here takes a quantized graph's types as they are: TensorRT does from 10.12 on."""
    return profile.backend == "tensorrt" and seam.find(profile.backend).probe().typed


def quantized_file(profile: DeviceProfile) -> str:
    """Which of a bundle's quantized models is compiled for the profile on this host."""
    return "model.int8.fp16.onnx" if takes_types(profile) else "model.int8.onnx"


def check_fused(profile: DeviceProfile, *, pending: bool) -> None:
    """Refuse ``--fused-head`` before work begins, where no engine of the build could run it.

    Raises
    ------
    InputError : the profile is no GPU of TensorRT's, or names a library for another machine.
    EnvironmentLacks : the engine is built here, and has no library; or the one that the profile names is not there.
    """
    if profile.backend != "tensorrt" or profile.device != "GPU":
        raise InputError(
            f"--fused-head is for a GPU with TensorRT, {profile.name} is {profile.backend} {profile.device}",
            hint="without --fused-head the layers stay as they are",
        )
    asked_for = tensorrt_options.read(profile.options).plugin
    if pending:
        plugin.check_given(asked_for, machine_of(profile), profile.name)
    else:
        plugin.find(asked_for, None, seam.find(profile.backend).fingerprint(), cache_folder())


def machine_of(profile: DeviceProfile) -> str:
    """What kind of host the device is; this one's where the profile does not say, as of a card."""
    return profile.hosts.machine or platform.machine()


def host_note(profile: DeviceProfile, pending: Mapping[str, Any] | None) -> str:
    """What this host is to the device, and which figures that touches; empty where it is the device."""
    note = devices.host_note(profile)
    if not note or pending:
        return note  # a pending engine has no latency, and its accuracy has a note of its own
    note = f"{note}: accuracy is real, latency is this host's"
    if profile.budgets.on_host():
        note += ", and no budget of latency, memory or power is judged by it"
    if devices.narrow_weights(profile) and not devices.saturates(profile):
        note += ", and INT8 weights are narrow because it has no VNNI"
    return note
