"""The layers that changed between two engines: time, precision, fusion, and nothing else."""

from __future__ import annotations

from edgetl.bench.layers import layer_diff
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
