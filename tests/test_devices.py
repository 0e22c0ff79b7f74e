"""Profiles: what ships is whole, a user's file is merged over it, and a mistake is answered with the nearest name."""

from __future__ import annotations

import platform
from pathlib import Path

import msgspec
import pytest

from edgetl import devices
from edgetl.devices import DeviceProfile, Facts, Hosts
from edgetl.errors import InputError

FAMILY = (
    "local",
    "intel-cpu",
    "intel-igpu",
    "intel-npu",
    "intel-n100",
    "intel-core-ultra",
    "jetson-orin-nano",
    "jetson-orin-nano-4gb",
    "jetson-orin-nano-super",
    "jetson-orin-nx-8gb",
    "jetson-orin-nx-16gb",
    "jetson-agx-orin-32gb",
    "jetson-agx-orin-64gb",
    "jetson-xavier-nx",
    "jetson-agx-xavier",
    "jetson-nano",
    "jetson-tx2",
    "jetson-thor-t5000",
    "jetson-thor-t4000",
    "nvidia-t4",
    "nvidia-l4",
    "nvidia-a2",
    "rtx-3060-12gb",
    "rtx-4070",
    "rtx-4090",
    "nvidia-a100-40gb",
    "nvidia-a100-80gb",
    "nvidia-h100",
    "nvidia-h200",
)


def merged(tmp_path: Path, text: str) -> devices.Catalog:
    """The built-in profiles with a file of one's own."""
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    return devices.load(file)


def host(root: Path, *, cpu: str = "", flags: str = "", board: str = "") -> Path:
    """A small ``/proc``."""
    (root / "proc/device-tree").mkdir(parents=True)
    (root / "proc/cpuinfo").write_text(f"model name\t: {cpu}\nflags\t\t: {flags}\n")
    if board:
        (root / "proc/device-tree/model").write_text(f"{board}\x00")
    return root


def test_every_device_that_is_promised_is_there() -> None:
    assert set(FAMILY) <= set(devices.load())


def test_jetson_is_the_orin_nano() -> None:
    catalog = devices.load()
    assert catalog.find("jetson") is catalog["jetson-orin-nano"]


def test_facts_are_inherited_and_changed_key_by_key() -> None:
    catalog = devices.load()
    assert catalog["jetson-orin-nx-16gb"].facts == Facts(
        compute_capability="8.7", bandwidth_gb_s=102.4, int8_tops=50, gpu_int8_tops=30, dla=2
    )
    assert catalog["jetson-orin-nano-4gb"].aliases == ()
    assert catalog["intel-n100"].backend == "openvino"


def test_a_device_without_int8_has_no_scheme_for_it() -> None:
    catalog = devices.load()
    for name in ("jetson-nano", "jetson-tx2"):
        assert catalog[name].scheme == "none"
        assert catalog[name].facts.int8_tops is None


def test_dense_figures_are_told_not_the_sparse_ones_of_headlines() -> None:
    catalog = devices.load()
    found = {name: catalog[name].facts.int8_tops for name in ("jetson-orin-nano", "jetson-agx-orin-64gb")}
    assert found == {"jetson-orin-nano": 20, "jetson-agx-orin-64gb": 137}


def test_a_profile_of_ones_own_extends_a_built_in_one(tmp_path: Path) -> None:
    mine = merged(tmp_path, "devices: {box: {extends: intel-n100, threads: 2, budgets: {p50_ms: 5}}}")["box"]
    assert (mine.threads, mine.budgets.p50_ms, mine.budgets.max_drop) == (2, 5, 1.0)
    assert mine.facts.isa == "avx2_vnni"


def test_a_built_in_profile_is_changed_only_where_it_is_named(tmp_path: Path) -> None:
    catalog = merged(tmp_path, "devices: {intel-n100: {facts: {cores: 2}}}")
    assert catalog["intel-n100"].facts.cores == 2
    assert catalog["intel-n100"].facts.tdp_w == 6
    assert catalog["intel-cpu"] == devices.load()["intel-cpu"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("devices: {a: {backend: openvino, thread: 2}}", "unknown key 'thread'. Did you mean 'threads'?"),
        (
            "devices: {a: {backend: openvino, budgets: {p50: 2}}}",
            "unknown key 'budgets.p50'. Did you mean 'p50_ms'?",
        ),
        ("devices: {a: {backend: openvino, facts: {int8_top: 2}}}", "Did you mean 'int8_tops'?"),
        ("devices: {a: {backend: openvino, name: b}}", "unknown key 'name'"),
        ("devices: {a: {}}", "backend"),
        ("devices: {a: {backend: openvino, threads: two}}", "threads"),
        ("devices: {a: {backend: openvino, scheme: openvino-cpuu}}", "Did you mean 'openvino-cpu'?"),
        ("devices: {a: {extends: intel-cpuu}}", "extends 'intel-cpuu', which is not there. Did you mean"),
        ("devices: {a: {extends: a}}", "in a circle: a -> a"),
        ("devices: {a: {extends: b}, b: {extends: c}, c: {extends: a}}", "in a circle: a -> b -> c -> a"),
        ("devices: {a: {backend: openvino, aliases: [jetson]}}", "alias 'jetson'"),
        ("devices: {a: {backend: openvino, aliases: [intel-cpu]}}", "is taken by 'intel-cpu'"),
        (
            "devices: {a: {backend: openvino, aliases: [x]}, b: {backend: openvino, aliases: [x]}}",
            "alias 'x'",
        ),
        ("devices: [a]", "must hold one mapping"),
        ("devices: {a: 3}", "must hold one mapping"),
        ("device: {a: {backend: openvino}}", "must hold one mapping"),
        ("devices: {a: {backend: openvino}}\nmore: 1", "must hold one mapping"),
        ("", "must hold one mapping"),
        ("devices: {a: [", "is not YAML"),
        ("devices: {a: !!python/object/apply:os.system [true]}", "is not YAML"),
    ],
)
def test_a_mistake_in_a_file_is_told_with_what_was_meant(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        merged(tmp_path, text)
    assert words in caught.value.problem
    assert "\n" not in caught.value.problem


def test_a_file_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        devices.load(tmp_path / "no.yaml")


def test_an_unknown_device_is_answered_with_the_nearest_alias_included() -> None:
    catalog = devices.load()
    with pytest.raises(InputError, match="Did you mean 'jetson-orin-nano'"):
        catalog.find("jetson-orin-nanno")
    with pytest.raises(InputError, match="Did you mean 'jetson'"):
        catalog.find("jetsn")


@pytest.mark.parametrize(
    ("cpu", "board", "names"),
    [
        ("Intel(R) N100", "", {"intel-cpu", "intel-igpu", "intel-npu", "intel-n100"}),
        ("Intel(R) Core(TM) Ultra 7 155H", "", {"intel-cpu", "intel-igpu", "intel-npu", "intel-core-ultra"}),
        ("AMD EPYC", "", set()),
        ("", "NVIDIA Jetson AGX Orin Developer Kit", set()),
    ],
)
def test_a_host_is_recognised_by_its_processor(tmp_path: Path, cpu: str, board: str, names: set[str]) -> None:
    place = host(tmp_path, cpu=cpu, board=board)
    found = {profile.name for profile in devices.load().values() if devices.host_is(profile, place)}
    if platform.machine() == "x86_64":
        assert found == {"local", *names}


def test_a_board_is_recognised_by_its_model_and_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    place = host(tmp_path, board="NVIDIA Jetson AGX Orin Developer Kit")
    found = {profile.name for profile in devices.load().values() if devices.host_is(profile, place)}
    assert found == {"local", "jetson-agx-orin-32gb", "jetson-agx-orin-64gb"}


def test_a_card_is_recognised_by_what_its_driver_writes(tmp_path: Path) -> None:
    place = tmp_path / "proc/driver/nvidia/gpus/0000:01:00.0"
    place.mkdir(parents=True)
    (place / "information").write_text("Model: \t\t Tesla T4\nIRQ:   \t\t 17\n")
    catalog = devices.load()
    found = {profile.name for profile in catalog.values() if devices.host_is(profile, tmp_path)}
    assert found - {"local"} == {"nvidia-t4"}


def test_another_host_is_said_and_the_device_itself_is_not(tmp_path: Path) -> None:
    catalog = devices.load()
    place = host(tmp_path, cpu="AMD EPYC")
    assert devices.host_note(catalog["local"], place) == ""
    assert devices.host_note(catalog["intel-n100"], place) == "this host (AMD EPYC) is not intel-n100"


@pytest.mark.parametrize(
    ("backend", "device", "isa", "flags", "saturates"),
    [
        ("openvino", "CPU", "avx2", "", True),
        ("openvino", "CPU", "avx2_vnni", "", False),
        ("openvino", "CPU", None, "fma avx2", True),
        ("openvino", "CPU", None, "avx2 avx512_vnni", False),
        ("openvino", "CPU", None, "avx512f amx_int8", False),
        ("openvino", "CPU", None, "", False),
        ("openvino", "GPU", None, "avx2", False),
        ("tensorrt", "GPU", None, "avx2", False),
    ],
)
def test_bytes_saturate_on_an_x86_without_vnni_alone(
    tmp_path: Path, backend: str, device: str, isa: str | None, flags: str, saturates: bool
) -> None:
    profile = DeviceProfile(name="x", backend=backend, device=device, facts=Facts(isa=isa))
    assert devices.saturates(profile, host(tmp_path, flags=flags)) is saturates


def test_the_fingerprint_changes_with_the_processors_flags_and_not_with_their_order(tmp_path: Path) -> None:
    one = devices.host_fingerprint(host(tmp_path / "a", cpu="X", flags="avx2 fma"))
    same = devices.host_fingerprint(host(tmp_path / "b", cpu="X", flags="fma avx2"))
    other = devices.host_fingerprint(host(tmp_path / "c", cpu="X", flags="fma"))
    assert one == same != other


def test_a_profile_without_hosts_is_no_host() -> None:
    nobody = DeviceProfile(name="x", backend="openvino", hosts=Hosts())
    assert not devices.host_is(nobody)
    machine = msgspec.structs.replace(nobody, hosts=Hosts(machine=platform.machine()))
    assert devices.host_is(machine)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{extends: local, precision: int9}", "precision 'int9'"),
        ("{extends: local, threads: -3}", "threads -3"),
        ("{extends: local, budgets: {max_drop: -1}}", "budgets.max_drop -1"),
        ("{extends: local, budgets: {p50_ms: .nan}}", "budgets.p50_ms nan"),
    ],
)
def test_a_value_that_no_device_can_have_is_refused(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        merged(tmp_path, f"devices: {{box: {text}}}")
    assert words in caught.value.problem


def test_a_device_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'box' is given twice"):
        merged(tmp_path, "devices:\n  box: {extends: local}\n  box: {extends: intel-cpu}\n")


def test_a_profile_may_extend_another_by_its_alias(tmp_path: Path) -> None:
    box = merged(tmp_path, "devices: {box: {extends: jetson}}").find("box")
    assert box.facts == devices.load().find("jetson").facts


@pytest.mark.parametrize(("flags", "narrow"), [("avx2", True), ("avx512_vnni", False)])
def test_a_host_without_vnni_verifies_what_it_can_add_up(flags: str, narrow: bool, tmp_path: Path) -> None:
    """The device has VNNI: the host alone decides; it would report its own overflow as the device's accuracy."""
    profile = devices.load()["intel-n100"]
    place = host(tmp_path, cpu="x", flags=flags)
    assert not devices.saturates(profile, place)
    assert devices.narrow_weights(profile, place) == narrow
