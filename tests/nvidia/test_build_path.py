"""What our backend asks of TensorRT's builder, release by release, from the calls that reached the library."""

from __future__ import annotations

import pytest

from tests.nvidia.conftest import ONE_RELEASE, Build, Built, Outcome, Place, building
from tests.nvidia.environment import Release

pytestmark = pytest.mark.nvidia_contract

WEAK = frozenset({"EXPLICIT_BATCH"})
STRONG = frozenset({"EXPLICIT_BATCH", "STRONGLY_TYPED"})
NOTHING: frozenset[str] = frozenset()

NETWORKS = {"8.6.1": WEAK, "10.3.0": WEAK, "10.13.3.9": STRONG, "10.16.1.11": STRONG, "11.4.0.106": NOTHING}
"""What the network of a quantized graph is made with."""
PRECISION = {"FP16", "INT8", "BF16", "FP8", "STRICT_TYPES", "OBEY_PRECISION_CONSTRAINTS", "TF32"}
DLA = {"IBuilder.getNbDLACores": 2, "IBuilderConfig.canRunOnDLA": True}
MISFIT = {**DLA, "IBuilderConfig.canRunOnDLA(ILayer@scatter)": False}
FREE_BATCH = {"ITensor@input.getDimensions": (-1, 32, 32, 3)}
OPTIONS = {
    "memPoolSize": "workspace:512,dlaSRAM:1,dlaLocalDRAM:1G",
    "builderOptimizationLevel": 4,
    "hardwareCompatibilityLevel": "ampere+",
    "versionCompatible": True,
}
SHAPES = {f"{bound}Shapes": f"input:{n}x32x32x3" for bound, n in (("min", 1), ("opt", 4), ("max", 8))}


def flags(outcome: Outcome) -> set[str]:
    """Names of the builder's flags that were set."""
    return {flag for (flag,) in outcome.recording.of("IBuilderConfig.setFlag")}


def test_a_quantized_graph_is_typed_as_the_release_wants_it(release: Release, quantized: Built) -> None:
    outcome = quantized.outcome
    weak = NETWORKS[release.version] == WEAK
    assert outcome.recording.of("IBuilder.createNetworkV2") == [(NETWORKS[release.version],)]
    assert flags(outcome) & PRECISION == ({"INT8", "FP16"} if weak else set())
    assert outcome.result["config"]["typing"] == ("weak" if weak else "strong")


def test_float32_is_not_tf32_and_the_default_is_fp16_where_a_flag_says_so(
    release: Release, build: Build
) -> None:
    f32 = build(precision="f32")
    assert f32.recording.of("IBuilderConfig.clearFlag") == [("TF32",)]
    assert flags(f32) & PRECISION == set()
    default = build(precision="default")
    assert flags(default) & PRECISION == (set() if release.major == "11" else {"FP16"})
    assert default.recording.of("IBuilder.createNetworkV2") == [(NOTHING if release.major == "11" else WEAK,)]


def test_driver_then_builder_each_in_a_process_of_its_own(quantized: Built) -> None:
    calls = quantized.outcome.recording
    asked, probed, built = dict.fromkeys(call.process for call in calls.calls)
    assert {call.on for call in calls.calls if call.process == asked} == {"driver"}
    assert calls.order("driver.cuInit", "library.createInferBuilder") == [
        "driver.cuInit",
        *["library.createInferBuilder"] * 2,
    ]
    assert not [call for call in calls.calls if call.process == probed and call.name == "createNetworkV2"]
    steps = ("IParser.parseFromFile", "IBuilder.createBuilderConfig", "IBuilder.buildSerializedNetwork")
    assert [call.method for call in calls.calls if call.process == built and call.method in steps] == [*steps]


def test_the_plan_is_what_the_library_gave_and_tensors_are_the_networks(quantized: Built) -> None:
    engine = quantized.outcome.result
    assert engine["files"] == ["engine.plan"]
    assert (quantized.folder / "engine.plan").read_bytes() == b"ftrt and a plan"
    assert engine["inputs"] == [{"name": "input", "dtype": "uint8", "shape": [1, 32, 32, 3]}]
    assert engine["outputs"] == [{"name": "logits", "dtype": "float32", "shape": [1, 5]}]


@pytest.fixture(scope="module")
def with_options(child_in: Place, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A build with every option that all releases have, of a network with a free axis."""
    build = building(child_in(tmp_path_factory.mktemp("options")))
    return build(FREE_BATCH, options={**OPTIONS, **SHAPES})


def test_options_reach_the_builder_by_the_names_of_the_release(with_options: Outcome) -> None:
    calls = with_options.recording
    assert calls.of("IBuilderConfig.setMemoryPoolLimit") == [
        ("WORKSPACE", 512 << 20),
        ("DLA_MANAGED_SRAM", 1 << 20),
        ("DLA_LOCAL_DRAM", 1 << 30),
    ]
    assert calls.of("IBuilderConfig.setBuilderOptimizationLevel") == [(4,)]
    assert calls.of("IBuilderConfig.setHardwareCompatibilityLevel") == [("AMPERE_PLUS",)]
    assert "VERSION_COMPATIBLE" in flags(with_options)
    assert calls.of("IBuilderConfig.setProfilingVerbosity") == [("DETAILED",)]


def test_a_free_axis_gets_an_optimization_profile(with_options: Outcome, quantized: Built) -> None:
    calls = with_options.recording
    assert calls.of("IOptimizationProfile.setDimensions") == [
        ("input", "MIN", (1, 32, 32, 3)),
        ("input", "OPT", (4, 32, 32, 3)),
        ("input", "MAX", (8, 32, 32, 3)),
    ]
    assert calls.of("IBuilderConfig.addOptimizationProfile") == [("IOptimizationProfile#1",)]
    assert not quantized.outcome.recording.of("IBuilder.createOptimizationProfile")


def test_an_engine_for_its_capability_needs_a_release_that_has_it(release: Release, build: Build) -> None:
    outcome = build(options={"hardwareCompatibilityLevel": "sameComputeCapability"})
    if release.version in ("8.6.1", "10.3.0"):
        assert outcome.error["class"] == "EnvironmentLacks"
        assert release.version in outcome.error["problem"]
        assert not outcome.recording.of("IBuilder.buildSerializedNetwork")
    else:
        levels = outcome.recording.of("IBuilderConfig.setHardwareCompatibilityLevel")
        assert levels == [("SAME_COMPUTE_CAPABILITY",)]


def test_timings_of_one_build_are_given_to_the_next(quantized: Built) -> None:
    first, second = quantized.outcome.recording, quantized.again.recording
    assert [given for given, _ in first.of("IBuilderConfig.createTimingCache")] in ([b""], [None])
    assert [given for given, _ in second.of("IBuilderConfig.createTimingCache")] == [b"timings of this build"]
    assert second.of("IBuilderConfig.setTimingCache") == [("ITimingCache#1", False)]
    steps = ("IBuilderConfig.setTimingCache", "IBuilder.buildSerializedNetwork", "ITimingCache.serialize")
    assert second.order(*steps) == [*steps]


@ONE_RELEASE
def test_no_timings_are_kept_where_that_is_asked(build: Build) -> None:
    calls = build(options={"timingCache": False}).recording
    assert calls.of("IBuilder.buildSerializedNetwork")
    assert not calls.of("IBuilderConfig.createTimingCache")


@ONE_RELEASE
def test_timings_that_the_library_refuses_begin_anew(build: Build) -> None:
    build()
    refused = {"IBuilderConfig.setTimingCache(ITimingCache#1, false)": False}
    calls = build(
        refused,
    ).recording
    assert [size for _, size in calls.of("IBuilderConfig.createTimingCache")] == [21, 0]
    assert calls.of("IBuilderConfig.setTimingCache")[-1] == ("ITimingCache#2", False)


@ONE_RELEASE
def test_a_dla_core_gets_all_layers_and_the_gpu_none(build: Build) -> None:
    outcome = build(DLA, device="dla:1")
    assert outcome.recording.of("IBuilderConfig.setDefaultDeviceType") == [("DLA",)]
    assert outcome.recording.of("IBuilderConfig.setDLACore") == [(1,)]
    assert "GPU_FALLBACK" not in flags(outcome)
    assert "on_gpu" not in outcome.result["config"]


def test_what_a_dla_cannot_run_goes_to_the_gpu_where_that_is_allowed_and_is_named(build: Build) -> None:
    outcome = build(MISFIT, device="dla:0", options={"allowGPUFallback": True})
    assert "GPU_FALLBACK" in flags(outcome)
    assert outcome.result["config"]["on_gpu"] == "scatter"
    assert outcome.recording.of("IBuilderConfig.setDefaultDeviceType") == [("DLA",)]
    assert outcome.recording.of("IBuilderConfig.setDLACore") == [(0,)]
