"""Which Jetson this host is: module, release, power mode, and what of NVIDIA's to expect on it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from edgetl.devices import DeviceProfile
from edgetl.types import Record

__all__ = ["Board", "JetPack", "fitting", "lines", "read"]

UNKNOWN = "unknown"


class JetPack(Record, frozen=True, kw_only=True):
    """A release of JetPack, and the libraries that belong to it."""

    version: str
    cuda: str
    tensorrt: str


RELEASES = {
    "32.6": JetPack(version="4.6", cuda="10.2", tensorrt="8.0.1"),  # gist of Tiryoh
    "32.7": JetPack(version="4.6.1 or later", cuda="10.2", tensorrt="8.2.1"),  # the same; jetson_stats
    "35.1": JetPack(version="5.0.2", cuda="11.4", tensorrt="8.4.1"),  # jetson_stats; TensorRT [unchecked]
    "35": JetPack(version="5.1", cuda="11.4", tensorrt="8.5.2"),  # 35.2 to 35.6: TensorRT#3454
    "36.3": JetPack(version="6.0", cuda="12.2", tensorrt="8.6.2"),  # jetson-containers (12.4 elsewhere in it)
    "36.4.0": JetPack(version="6.1", cuda="12.6", tensorrt="10.3"),  # pytorch/TensorRT PR#3453
    "36.4": JetPack(version="6.2", cuda="12.6", tensorrt="10.3"),  # 36.4.3: jetson_stats PR#706
    "36.5": JetPack(version="6.2.2 or later", cuda="12.6", tensorrt="10.3"),  # jetson-containers PR#1741
    "38.2": JetPack(version="7.0", cuda="13.0", tensorrt="10.13"),  # [unchecked]
    "38.4": JetPack(version="7.1", cuda="13.0", tensorrt="10.13.3"),  # roboflow/inference PR#1935
    "39.2": JetPack(version="7.2", cuda="13.2", tensorrt="10.16"),  # meta-tegra PR#2224
}
"""By L4T release, or by what it begins with."""

MODULES = {
    "p3767-0000": "jetson-orin-nx-16gb",
    "p3767-0001": "jetson-orin-nx-8gb",  # [unchecked]
    "p3767-0003": "jetson-orin-nano",  # [unchecked]
    "p3767-0004": "jetson-orin-nano-4gb",  # [unchecked]
    "p3767-0005": "jetson-orin-nano",  # of the developer kit [unchecked]
    "p3701-0004": "jetson-agx-orin-32gb",
    "p3668-0000": "jetson-xavier-nx",
    "p3668-0001": "jetson-xavier-nx",
    "p3668-0003": "jetson-xavier-nx",
    "p3448-0000": "jetson-nano",
    "p3448-0002": "jetson-nano",
    "p3448-0003": "jetson-nano",
    "p3310-1000": "jetson-tx2",
}
"""Profiles of NVIDIA's part numbers (jetson_stats); a module that is not here is told by its name and memory."""

PLAIN, FASTER = "jetson-orin-nano", "jetson-orin-nano-super"
"""One module: the second is its power modes from JetPack 6.1 on."""


class Board(Record, frozen=True, kw_only=True):
    """A Jetson.

    Attributes
    ----------
    model : the device tree's own words. module : NVIDIA's part number, ``p3767-0005``.
    l4t : release of Jetson Linux, ``36.4.3``. jetpack : ``None`` for a release that is not known here.
    power_mode : as ``nvpmodel -q`` says. modes : all that the board has.
    raised : the device tree is that of the Super modes. memory_gib : as the system sees it.
    """

    model: str
    module: str = UNKNOWN
    l4t: str = UNKNOWN
    jetpack: JetPack | None = None
    power_mode: str = UNKNOWN
    modes: tuple[str, ...] = ()
    raised: bool = False
    memory_gib: float = 0.0


def read(root: Path = Path("/")) -> Board | None:
    """The board, or ``None`` where this host is no Jetson.

    Parameters
    ----------
    root : where ``proc``, ``etc`` and ``usr`` are.
    """
    model = _text(root / "proc/device-tree/model")
    compatible = _text(root / "proc/device-tree/compatible").replace("\0", " ")
    release = _text(root / "etc/nv_tegra_release")
    if "nvidia,tegra" not in compatible and not release:
        return None
    l4t = _l4t(release)
    module = re.search(r"p\d{4}-\d{4}", _module_words(compatible, root))
    return Board(
        model=model or UNKNOWN,
        module=module.group() if module else UNKNOWN,
        l4t=l4t,
        jetpack=_jetpack(l4t),
        power_mode=_power_mode(root),
        modes=tuple(
            re.findall(r"<\s*POWER_MODEL\s+ID=\d+\s+NAME=(\S+)\s*>", _text(root / "etc/nvpmodel.conf"))
        ),
        raised="super" in f"{model} {compatible}".lower(),
        memory_gib=_memory_gib(root),
    )


def fitting(board: Board, catalog: Mapping[str, DeviceProfile]) -> DeviceProfile | None:
    """The profile that describes the board; of several with its name, that of the nearest memory."""
    name = MODULES.get(board.module)
    if name is None:
        named = [
            profile
            for profile in catalog.values()
            if any(part in board.model for part in profile.hosts.board_model) and profile.name != FASTER
        ]
        if not named:
            return None
        name = min(named, key=lambda profile: abs((profile.memory_gib or 0) - board.memory_gib)).name
    return catalog.get(FASTER if name == PLAIN and board.raised else name)


def lines(board: Board, profile: DeviceProfile | None) -> list[str]:
    """What ``edgetl doctor`` says of it."""
    fits = f"--device {profile.name}" if profile else "no profile fits: edgetl devices lists them"
    if profile and profile.scheme == "none":
        fits += ", which has no INT8: engines are FP16"
    release = f"L4T {board.l4t}"
    if board.jetpack:
        jetpack = board.jetpack
        release = f"{jetpack.version} ({release}) · CUDA {jetpack.cuda} · expects TensorRT {jetpack.tensorrt}"
    others = [mode for mode in board.modes if mode != board.power_mode]
    also = f" · also {', '.join(others)}" if others else ""
    return [
        f"  board        {board.model} · module {board.module} · {fits}",
        f"  JetPack      {release}",
        f"  power mode   {board.power_mode}{also}",
    ]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return ""


def _module_words(compatible: str, root: Path) -> str:
    """Part numbers, the module's first: a carrier board (``p3768``, ``p3509``) comes before it in these files."""
    words = f"{compatible} {_text(root / 'proc/device-tree/nvidia,dtsfilename')}"
    found = re.findall(r"p\d{4}-\d{4}", words)
    return " ".join(sorted(found, key=lambda part: part not in MODULES))


def _l4t(release: str) -> str:
    """Of ``# R36 (release), REVISION: 4.3, GCID: ...``."""
    found = re.search(r"R(\d+)\s*\(release\),\s*REVISION:\s*([\d.]+)", release)
    return f"{found[1]}.{found[2]}" if found else UNKNOWN


def _jetpack(l4t: str) -> JetPack | None:
    fitting = [known for known in RELEASES if f"{l4t}.".startswith(f"{known}.")]
    return RELEASES[max(fitting, key=len)] if fitting else None


def _power_mode(root: Path) -> str:
    """Asked of NVIDIA's tool: numbers of modes differ between boards and releases, names do not."""
    tool = root / "usr/sbin/nvpmodel"
    try:
        done = subprocess.run([str(tool), "-q"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return UNKNOWN
    found = re.search(r"NV Power Mode:\s*(\S+)", done.stdout)
    return found[1] if found else f"{UNKNOWN}: sudo nvpmodel -q says it"


def _memory_gib(root: Path) -> float:
    found = re.search(r"^MemTotal:\s*(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE)
    return int(found[1]) / (1 << 20) if found else 0.0
