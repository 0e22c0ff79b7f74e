"""A Jetson is recognised by the files that its system has: trees of several boards, and hosts that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgetl import devices
from edgetl.report import jetson

CONF = """\
< PARAM TYPE=FILE NAME=CPU_ONLINE >
CORE_0 /sys/devices/system/cpu/cpu0/online
< POWER_MODEL ID=0 NAME=15W >
CPU_ONLINE CORE_0 1
< POWER_MODEL ID=1 NAME=25W >
< POWER_MODEL ID=2 NAME=MAXN_SUPER >
< PM_CONFIG DEFAULT=1 >
"""
RELEASE = (
    "# R{major} (release), REVISION: {revision}, GCID: 38968081, BOARD: generic, EABI: aarch64, "
    "DATE: Wed Jan  8 01:49:37 UTC 2025\n# KERNEL_VARIANT: oot\n"
)
ORIN_NANO = "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit"


def tree(
    root: Path,
    *,
    model: str = ORIN_NANO,
    compatible: str = "nvidia,p3768-0000+p3767-0005\0nvidia,p3767-0005\0nvidia,tegra234",
    l4t: str = "36.4.3",
    mode: str = "NV Power Mode: 25W\n1\n",
    gib: float = 7.4,
) -> Path:
    """The files of a Jetson, as its kernel and NVIDIA's packages write them."""
    major, _, revision = l4t.partition(".")
    files = {
        "proc/device-tree/model": f"{model}\0",
        "proc/device-tree/compatible": f"{compatible}\0",
        "proc/meminfo": f"MemTotal:        {int(gib * (1 << 20))} kB\nMemFree:         12 kB\n",
        "etc/nv_tegra_release": RELEASE.format(major=major, revision=revision),
        "etc/nvpmodel.conf": CONF,
        "usr/sbin/nvpmodel": f"#!/bin/sh\n[ \"$1\" = -q ] && printf '{mode}'\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "usr/sbin/nvpmodel").chmod(0o755)
    return root


def profile_of(root: Path) -> str | None:
    """The name of the profile that fits."""
    board = jetson.read(root)
    assert board is not None
    found = jetson.fitting(board, devices.load())
    return None if found is None else found.name


def test_an_orin_nano_is_told_with_release_power_mode_and_what_to_expect(tmp_path: Path) -> None:
    board = jetson.read(tree(tmp_path))
    assert board is not None
    assert (board.module, board.l4t, board.power_mode) == ("p3767-0005", "36.4.3", "25W")
    assert board.modes == ("15W", "25W", "MAXN_SUPER")
    assert jetson.lines(board, devices.load()["jetson-orin-nano"]) == [
        f"  board        {ORIN_NANO} · module p3767-0005 · --device jetson-orin-nano",
        "  JetPack      6.2 (L4T 36.4.3) · CUDA 12.6 · expects TensorRT 10.3",
        "  power mode   25W · also 15W, MAXN_SUPER",
    ]


@pytest.mark.parametrize(
    ("l4t", "jetpack", "tensorrt"),
    [
        ("32.7.4", "4.6.1 or later", "8.2.1"),
        ("35.1", "5.0.2", "8.4.1"),
        ("35.4.1", "5.1", "8.5.2"),
        ("36.3.0", "6.0", "8.6.2"),
        ("36.4.0", "6.1", "10.3"),
        ("36.4.4", "6.2", "10.3"),
        ("36.5.0", "6.2.2 or later", "10.3"),
        ("38.4", "7.1", "10.13.3"),
        ("39.2", "7.2", "10.16"),
    ],
)
def test_a_release_says_which_tensorrt_to_expect(
    tmp_path: Path, l4t: str, jetpack: str, tensorrt: str
) -> None:
    board = jetson.read(tree(tmp_path, l4t=l4t))
    assert board is not None and board.jetpack is not None
    assert (board.jetpack.version, board.jetpack.tensorrt) == (jetpack, tensorrt)


@pytest.mark.parametrize("l4t", ["36.41", "40.1", "3.6"])
def test_a_release_that_is_not_known_promises_nothing(tmp_path: Path, l4t: str) -> None:
    board = jetson.read(tree(tmp_path, l4t=l4t))
    assert board is not None
    assert board.jetpack is None
    assert jetson.lines(board, None)[1] == f"  JetPack      L4T {l4t}"


@pytest.mark.parametrize(
    ("model", "parts", "gib", "profile"),
    [
        (ORIN_NANO, "p3768-0000+p3767-0005", 7.4, "jetson-orin-nano"),
        (f"{ORIN_NANO} Super", "p3768-0000+p3767-0005-super", 7.4, "jetson-orin-nano-super"),
        ("NVIDIA Orin Nano", "p3767-0004", 3.3, "jetson-orin-nano-4gb"),
        ("NVIDIA Jetson Orin NX", "p3768-0000+p3767-0000", 15.3, "jetson-orin-nx-16gb"),
        ("NVIDIA Jetson AGX Orin Developer Kit", "p3737-0000+p3701-0000", 29.9, "jetson-agx-orin-32gb"),
        ("NVIDIA Jetson AGX Orin Developer Kit", "p3737-0000+p3701-0005", 61.4, "jetson-agx-orin-64gb"),
        ("NVIDIA Jetson AGX Thor Developer Kit", "p4071-0000+p3834-0008", 122.8, "jetson-thor-t5000"),
        ("NVIDIA Jetson Nano Developer Kit", "p3449-0000+p3448-0000", 3.9, "jetson-nano"),
        ("a board of another maker", "x1234", 7.4, None),
    ],
)
def test_the_profile_is_that_of_the_module_or_of_name_and_memory(
    tmp_path: Path, model: str, parts: str, gib: float, profile: str | None
) -> None:
    compatible = f"nvidia,{parts}\0nvidia,tegra234"
    assert profile_of(tree(tmp_path, model=model, compatible=compatible, gib=gib)) == profile


def test_a_nano_is_told_that_it_has_no_int8(tmp_path: Path) -> None:
    board = jetson.read(tree(tmp_path))
    assert board is not None
    assert "no INT8: engines are FP16" in jetson.lines(board, devices.load()["jetson-nano"])[0]


@pytest.mark.parametrize("mode", ["NVPM ERROR: Permission denied\n", ""])
def test_a_power_mode_that_is_not_told_is_not_guessed(tmp_path: Path, mode: str) -> None:
    board = jetson.read(tree(tmp_path, mode=mode))
    assert board is not None
    assert board.power_mode == "unknown: sudo nvpmodel -q says it"


def test_a_jetson_in_a_container_is_known_by_its_device_tree_alone(tmp_path: Path) -> None:
    place = tree(tmp_path)
    for name in ("etc/nv_tegra_release", "etc/nvpmodel.conf", "usr/sbin/nvpmodel"):
        (place / name).unlink()
    board = jetson.read(place)
    assert board is not None
    assert (board.l4t, board.power_mode, board.modes) == ("unknown", "unknown", ())


def test_any_other_host_is_no_jetson(tmp_path: Path) -> None:
    assert jetson.read(tmp_path) is None
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/device-tree/model").write_text("Raspberry Pi 5 Model B Rev 1.0\0")
    (tmp_path / "proc/device-tree/compatible").write_text("raspberrypi,5-model-b\0brcm,bcm2712\0")
    assert jetson.read(tmp_path) is None
