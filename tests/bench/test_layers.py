"""The layers that changed between two engines: time, precision, fusion, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from edgetl.bench.layers import LayerChange, agreed_diff, layer_diff
from edgetl.types import LayerInfo


def layer(name: str, us: float | None = 100.0, precision: str = "u8", origin: str = "") -> LayerInfo:
    """One layer; it came from a node of its own name where no other is given."""
    return LayerInfo(
        name=name, kind="Convolution", precision=precision, microseconds=us, origin=origin or name
    )


BASELINE = [layer("stem"), layer("middle"), layer("head", 20.0)]


def test_an_engine_against_itself_has_no_change() -> None:
    assert layer_diff(BASELINE, BASELINE) == []


def test_a_planted_slower_layer_is_named_with_its_times() -> None:
    (change,) = layer_diff(BASELINE, [layer("stem"), layer("middle", 180.0), layer("head", 20.0)])
    assert (change.name, change.what, change.before_us, change.after_us) == (
        "middle",
        ("time",),
        100.0,
        180.0,
    )
    assert change.sentence == "middle: 100.0 -> 180.0 us (+80 %)"


def test_times_that_scatter_are_no_change() -> None:
    scattered = [layer("stem", 105.0), layer("middle", 96.0), layer("head", 21.5)]
    assert layer_diff(BASELINE, scattered) == []


def test_a_layer_that_fell_back_to_float_is_named_though_it_is_as_fast() -> None:
    (change,) = layer_diff(BASELINE, [layer("stem", precision="f32"), *BASELINE[1:]])
    assert (change.name, change.what) == ("stem", ("precision",))
    assert "u8 -> f32" in change.sentence


def test_a_fusion_that_came_apart_is_one_change_with_both_layers() -> None:
    fused = [layer("conv", 100.0, origin="conv,relu")]
    apart = [layer("conv", 90.0, origin="conv"), layer("relu", 40.0, origin="relu")]
    (change,) = layer_diff(fused, apart)
    assert change.name == "conv"
    assert set(change.what) == {"time", "fusion"}
    assert [one.name for one in change.after] == ["conv", "relu"]
    assert (change.before_us, change.after_us) == (100.0, 130.0)
    assert "1 -> 2 layers" in change.sentence


def test_a_fusion_is_found_by_its_nodes_though_the_vendor_renamed_the_layer() -> None:
    assert layer_diff([layer("a + b", origin="a,b")], [layer("fused_0", origin="a,b")]) == []


def test_a_reorder_that_appeared_and_one_that_went_are_told_apart() -> None:
    reorder = LayerInfo(name="reorder_7", kind="Reorder", precision="u8", microseconds=15.0)
    (added,) = layer_diff(BASELINE, [*BASELINE, reorder])
    (removed,) = layer_diff([*BASELINE, reorder], BASELINE)
    assert (added.what, added.sentence) == (("added",), "reorder_7: new, 15.0 us")
    assert (removed.what, removed.sentence) == (("removed",), "reorder_7: gone, it took 15.0 us")


def test_the_layer_that_costs_most_comes_first_and_the_one_that_gained_last() -> None:
    candidate = [layer("stem", 150.0), layer("middle", 300.0), layer("head", 5.0)]
    assert [change.name for change in layer_diff(BASELINE, candidate)] == ["middle", "stem", "head"]


def test_views_without_time_are_no_layers() -> None:
    assert layer_diff(BASELINE, [*BASELINE, layer("view", 0.0), layer("constant", None)]) == []


def test_numbers_that_a_compiler_hands_out_join_nothing() -> None:
    """OpenVINO names nodes it makes ``Multiply_6227``: another compile has other numbers."""
    before = [layer("conv", origin="conv,Multiply_1"), layer("other", origin="other,Multiply_2")]
    after = [layer("conv", origin="conv,Multiply_9"), layer("other", origin="other,Multiply_8")]
    assert layer_diff(before, after) == []


NETWORK = [layer(f"layer {number}", 50.0 + 10 * number) for number in range(12)]


class Machine:
    """Profiles as a shared machine gives them: instances, minutes and layers each scatter."""

    def __init__(self, seed: int, noise: float) -> None:
        self._rng = np.random.default_rng([7, seed])
        self._noise = noise

    def profile(self, slow: str = "", factor: float = 1.0) -> list[LayerInfo]:
        """One of the network, a layer of which may be slow."""
        whole = self._rng.lognormal(0, 0.03)
        return [
            layer(
                one.name,
                (one.microseconds or 0.0)
                * whole
                * (factor if one.name == slow else 1.0)
                * self._rng.lognormal(0, self._noise),
            )
            for one in NETWORK
        ]

    def found(self, slow: str = "", factor: float = 1.0) -> list[LayerChange]:
        """Of a mirrored turn."""
        before = self.profile()
        after, again = self.profile(slow, factor), self.profile(slow, factor)
        return agreed_diff((before, self.profile()), (after, again))


def test_an_unchanged_pair_names_no_layer_though_profiles_scatter() -> None:
    once = [Machine(seed, 0.06) for seed in range(40)]
    by_one = sum(len(layer_diff(one.profile(), one.profile())) for one in once)
    by_two = sum(len(Machine(seed, 0.06).found()) for seed in range(40))
    assert by_one > 80, "of 480 layers"
    assert by_two <= 12


def test_a_burst_in_one_profile_names_no_layer() -> None:
    machine = Machine(0, 0.01)
    profiles = [machine.profile() for _ in range(4)]
    stolen = [layer(one.name, 2.0 * (one.microseconds or 0.0)) for one in profiles[2]]
    assert agreed_diff((profiles[0], profiles[1]), (stolen, profiles[3])) == []
    assert agreed_diff((profiles[0], stolen), (profiles[1], profiles[3])) == []


@pytest.mark.parametrize("factor", [1.5, 0.6])
def test_a_planted_layer_is_named_through_the_noise(factor: float) -> None:
    found = [Machine(seed, 0.03).found("layer 8", factor) for seed in range(20)]
    assert sum("layer 8" in [change.name for change in changes] for changes in found) >= 19


def test_a_precision_that_changed_is_named_though_its_time_scatters() -> None:
    before, after = [layer("stem", 100.0)], [layer("stem", 130.0, precision="f32")]
    noisy = [layer("stem", 160.0)]
    (change,) = agreed_diff((before, noisy), (after, after))
    assert change.what == ("precision",)


def test_times_of_profiles_that_name_other_layers_are_not_believed() -> None:
    before, after = [layer("stem", 100.0)], [layer("stem", 200.0)]
    assert [change.what for change in agreed_diff((before, before), (after, after))] == [("time",)]
    assert agreed_diff((before, before), (after, [layer("other", 200.0)])) == []
