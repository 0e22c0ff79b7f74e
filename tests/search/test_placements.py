"""Which placements of integers are worth timing."""

from __future__ import annotations

from edgetl.quantize import schemes
from edgetl.search.placements import PLAIN, placements, slower_in_integers
from edgetl.types import LayerInfo

CPU, RT = schemes.find("openvino-cpu"), schemes.find("tensorrt")


def ran(name: str, us: float, kind: str = "Convolution", origin: str = "") -> LayerInfo:
    return LayerInfo(name=name, kind=kind, precision="u8", microseconds=us, origin=origin)


def test_the_plain_placement_comes_first_and_every_name_once() -> None:
    found = placements(CPU, ["stem", "a", "b", "head"], {"a"})
    assert found[0].name == PLAIN
    assert found[0].scheme == CPU
    assert len({one.name for one in found}) == len(found) == 7


def test_the_ends_of_the_network_and_slow_layers_are_proposed_for_float() -> None:
    kept = [one.kept for one in placements(CPU, ["stem", "a", "b", "head"], {"b"})]
    assert ("stem", "head") in kept
    assert ("b",) in kept


def test_a_symmetric_scheme_proposes_no_symmetric_one() -> None:
    assert any(one.scheme.symmetric for one in placements(CPU, ["a", "b", "c"], set()))
    assert all(
        one.scheme == RT or one.scheme.joins == ("Add",) for one in placements(RT, ["a", "b", "c"], set())
    )


def test_a_network_of_one_layer_is_not_left_without_integers() -> None:
    assert all(len(one.kept) == 0 for one in placements(CPU, ["only"], {"only"}))


def test_a_layer_is_slow_with_the_reorder_that_it_needs() -> None:
    in_float = [ran("a", 10.0), ran("b", 10.0), ran("c", 10.0)]
    in_integers = [
        ran("a", 5.0),
        ran("r", 8.0, kind="Reorder"),
        ran("fused", 6.0, origin="b,relu"),
        ran("c", 10.5),
    ]
    assert slower_in_integers(in_float, in_integers, ["a", "b", "c"]) == {"b"}


def test_a_layer_that_was_not_seen_alone_is_not_judged() -> None:
    assert slower_in_integers([ran("a", 1.0)], [ran("x", 9.0, origin="a,b")], ["a", "b"]) == set()
