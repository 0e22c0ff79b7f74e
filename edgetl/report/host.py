"""What this host is and can do, as data and as lines."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from edgetl import devices
from edgetl.backends import seam
from edgetl.backends.cuda import on_pycuda
from edgetl.errors import EdgetlError
from edgetl.report import jetson

__all__ = ["backend_lines", "backends", "examine", "examine_lines", "extra_of", "profile_lines", "profiles"]

EXTRAS = {
    "train": ("torch", "torchvision", "safetensors", "onnx", "onnxscript", "scikit-learn"),
    "quantize": ("onnx", "onnxruntime"),
    "openvino": ("openvino", "opencv-python-headless"),
    "onnxruntime": ("onnxruntime", "opencv-python-headless"),
    "tensorrt": ("tensorrt", "pycuda", "cuda-python"),
    "timm": ("timm",),
    "report": ("Jinja2", "opencv-python-headless"),
}
"""What each extra brings, for the mend; the first three are what a build on an Intel host takes."""
_MODULES = {
    "jinja2": "Jinja2",
    "markupsafe": "Jinja2",
    "sklearn": "scikit-learn",
    "cv2": "opencv-python-headless",
    "cuda": "cuda-python",
}
NEEDED = ("train", "quantize", "openvino")
TRAIN_DISK_GB = 8


def extra_of(module: str) -> str | None:
    """The extra that brings an import name; ``None`` where none does.

    >>> extra_of("torch"), extra_of("cv2"), extra_of("os")
    ('train', 'openvino', None)
    """
    library = _MODULES.get(module, module)
    return next((name for name, libraries in EXTRAS.items() if library in libraries), None)


def profiles(catalog: devices.Catalog, found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row a profile.

    Parameters
    ----------
    found : what ``backends`` told: a usable backend knows which of its devices are here, such as no GPU.
    """
    answering = {row["backend"]: row["devices"] for row in found if row["usable"]}
    return [
        {
            "name": profile.name,
            "aliases": list(profile.aliases),
            "backend": profile.backend,
            "device": profile.device,
            "scheme": profile.scheme,
            "description": profile.description,
            "this_host": devices.host_is(profile)
            and profile.device in answering.get(profile.backend, (profile.device,)),
        }
        for profile in catalog.values()
    ]


def profile_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The table of profiles; the ones that this host is are marked."""
    width = max(len(row["name"]) for row in rows)
    lines = [f"  {'device':<{width}} {'backend':<11} {'runs on':<7} description"]
    for row in rows:
        mark = "▸" if row["this_host"] else " "
        also = f" (also {', '.join(row['aliases'])})" if row["aliases"] else ""
        lines.append(
            f"{mark} {row['name']:<{width}} {row['backend']:<11} {row['device']:<7} "
            f"{row['description']}{also}".rstrip()
        )
    return [*lines, "", "  ▸ this host; --devices FILE adds your own"]


def backends() -> list[dict[str, Any]]:
    """For each backend: usable or not, why not, and the command that mends it."""
    rows = []
    for name in seam.installed():
        if name == "fake":  # for tests: no device is behind it
            continue
        try:
            probe = msgspec.to_builtins(seam.find(name).probe())
        except (ImportError, EdgetlError) as error:
            probe = {"usable": False, "devices": [], "versions": {}, "reason": str(error), "absent": {}}
            probe["mend"] = f"pip install 'edgetl[{name}]'"
        rows.append({"backend": name, **probe})
    return rows


def backend_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line a backend, and one for each device of it that is not here."""
    lines = []
    for row in rows:
        version = " ".join(row["versions"].values())
        state = f"usable: {', '.join(row['devices'])}" if row["usable"] else f"not usable: {row['reason']}"
        lines.append(f"  {row['backend']:<12} {version:<12} {state}")
        if row["mend"]:
            lines.append(f"  {'':<12} {'':<12} mend: {row['mend']}")
        lines += [f"  {'':<12} {'':<12} {device} not: {why}" for device, why in row["absent"].items()]
    return lines


def examine(cache: Path, root: Path = Path("/")) -> dict[str, Any]:
    """This host, the versions installed, what is missing for its part of a build, and how to mend it.

    A Jetson compiles and runs what was trained elsewhere, so it misses neither torch nor the space for it.

    Parameters
    ----------
    root : where a Jetson's own files are looked for.
    """
    board = jetson.read(root)
    rows = backends()
    versions = {name: _version(name) for names in EXTRAS.values() for name in names}
    place = cache if cache.exists() else Path.home()
    free_gb = shutil.disk_usage(place).free / 1e9
    missing = _missing_to_train(versions, free_gb) if board is None else _missing_on_device(rows)
    return {
        "host": {
            "system": f"{platform.system()} {platform.machine()}",
            "python": sys.version.split()[0],
            **devices.host_fingerprint(),
        },
        "board": None if board is None else _board(board),
        "versions": {"edgetl": _version("edgetl"), **versions},
        "backends": rows,
        "cache": {"path": str(cache), "free_gb": round(free_gb, 1)},
        "missing": missing,
        "healthy": not missing,
    }


def _board(board: jetson.Board) -> dict[str, Any]:
    """The board with the profile that fits, and the lines that say it."""
    profile = jetson.fitting(board, devices.load())
    return {
        **msgspec.to_builtins(board),
        "profile": None if profile is None else profile.name,
        "lines": jetson.lines(board, profile),
    }


def _missing_on_device(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """What TensorRT's backend lacks, and the binding that engines are run by."""
    missing = [
        {"what": row["reason"], "for": "tensorrt", "mend": row["mend"]}
        for row in rows
        if row["backend"] == "tensorrt" and not row["usable"]
    ]
    if _version("pycuda") is None:
        missing.append({"what": "pycuda", "for": "tensorrt", "mend": on_pycuda.MEND})
    return missing


def _missing_to_train(versions: Mapping[str, str | None], free_gb: float) -> list[dict[str, str]]:
    """What a whole build on an Intel host takes."""
    missing = []
    for extra in NEEDED:
        absent = [name for name in EXTRAS[extra] if versions[name] is None]
        if absent:
            missing.append(
                {"what": ", ".join(absent), "for": extra, "mend": f"pip install 'edgetl[{extra}]'"}
            )
    if free_gb < TRAIN_DISK_GB:
        missing.append(
            {
                "what": f"disk space: {free_gb:.1f} GB free, {TRAIN_DISK_GB} GB wanted for training",
                "for": "train",
                "mend": "free some, or point EDGETL_CACHE at another disk",
            }
        )
    return missing


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def examine_lines(found: Mapping[str, Any]) -> list[str]:
    """The report of ``edgetl doctor``."""
    host = found["host"]
    lines = [f"  host         {host['system']} · {host.get('cpu', 'unknown CPU')} · Python {host['python']}"]
    if found["board"] is not None:
        lines += found["board"]["lines"]
    lines += [f"  cache        {found['cache']['path']} · {found['cache']['free_gb']} GB free", ""]
    lines += [f"  {name:<24} {version or 'not installed'}" for name, version in found["versions"].items()]
    lines += ["", *backend_lines(found["backends"]), ""]
    if found["healthy"]:
        part = (
            "a build on this host" if found["board"] is None else "building and running engines on this board"
        )
        return [*lines, f"  nothing is missing for {part}"]
    for lack in found["missing"]:
        lines += [f"  missing      {lack['what']}", f"               {lack['mend']}"]
    return lines
