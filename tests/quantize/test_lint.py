"""Every rule that a graph can break is broken here once, and is the only one that is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgetl.errors import InputError
from edgetl.quantize import place
from edgetl.quantize.lint import TARGETS, checked, lint, rules_of
from edgetl.quantize.lint import page as lint_page
from edgetl.quantize.observe import observe
from edgetl.quantize.schemes import SCHEMES
from tests.quantize import broken, graphs
from tests.quantize.broken import BROKEN, Case
from tests.quantize.qdq import WIDTH, Net

SCHEME_TARGETS = {"openvino-cpu": "openvino", "tensorrt": "tensorrt", "tensorrt-dla": "tensorrt-dla"}


def numbers(path: Path, target: str) -> set[str]:
    return {finding.rule.number for finding in lint(path, target)}


@pytest.mark.parametrize(("number", "case"), BROKEN, ids=[f"{n}-{c.__name__}" for n, c in BROKEN])
def test_a_graph_that_breaks_one_rule_is_told_so_and_no_other(
    number: str, case: Case, tmp_path: Path
) -> None:
    net = Net()
    found = lint(net.save(tmp_path / "model.onnx", case(net)), "tensorrt")
    assert {finding.rule.number for finding in found} == {number}
    known = {node.name for node in net.nodes}
    assert all(finding.node in known and finding.problem for finding in found)


@pytest.mark.parametrize("case", [broken.good, broken.residual("skip"), broken.half_precision])
def test_a_graph_that_keeps_the_rules_is_left_alone(case: Case, tmp_path: Path) -> None:
    net = Net()
    assert lint(net.save(tmp_path / "model.onnx", case(net)), "tensorrt") == []


@pytest.mark.parametrize(
    ("case", "opset"),
    [(broken.good, 12), (broken.half_precision, 18), (broken.eight_bit_floats, 18), (broken.blocks, 20)],
)
def test_what_a_graph_uses_is_held_to_its_opset(case: Case, opset: int, tmp_path: Path) -> None:
    old, new = Net(opset=opset), Net(opset=opset + 1 if opset > 12 else 13)
    assert "R35" in numbers(old.save(tmp_path / "old.onnx", case(old)), "tensorrt")
    assert "R35" not in numbers(new.save(tmp_path / "new.onnx", case(new)), "tensorrt")


@pytest.mark.parametrize("shape", [("n", WIDTH, 8, 8), (4097, WIDTH, 8, 8), (1, WIDTH, 8193, 1)])
def test_dla_wants_fixed_shapes_within_its_limits(shape: tuple[int | str, ...], tmp_path: Path) -> None:
    net = Net(shape)
    model = net.save(tmp_path / "model.onnx", net.conv(net.pair("x")))
    assert numbers(model, "tensorrt-dla") == {"R38"}
    assert numbers(model, "tensorrt") == set()


def test_dla_names_the_operators_that_it_does_not_run(tmp_path: Path) -> None:
    net = Net()
    row = net.node("GlobalAveragePool", net.node("HardSwish", net.conv(net.pair("x"))))
    product = net.node("MatMul", row, net.node("Transpose", row, perm=[0, 1, 3, 2]))
    found = lint(net.save(tmp_path / "model.onnx", product), "tensorrt-dla")
    assert {finding.rule.number for finding in found} == {"R39"}
    assert {finding.node.partition("_")[0] for finding in found} == {
        "HardSwish",
        "GlobalAveragePool",
        "MatMul",
    }


@pytest.mark.parametrize(
    ("number", "case"),
    [
        ("O1", broken.openvino_signed_offset),
        ("O2", broken.openvino_inlined_hardswish),
        ("O3", broken.openvino_clip_left),
        ("O4", broken.openvino_quantized_pixels),
        ("O5", broken.good),
    ],
)
def test_what_breaks_int8_on_openvino_is_told(number: str, case: Case, tmp_path: Path) -> None:
    net = Net()
    assert numbers(net.save(tmp_path / "model.onnx", case(net)), "openvino") == {number}


@pytest.mark.parametrize("limit", [5.0, 7.0])
def test_a_clip_that_the_integers_do_not_imply_is_left_alone(limit: float, tmp_path: Path) -> None:
    """A narrower one cuts what uint8 holds; a wider one than the range is implied again."""
    net = Net()
    clipped = net.node(
        "Clip", net.conv(net.pair("x", zero=128, dtype=np.uint8)), net.const(0), net.const(limit)
    )
    model = net.save(tmp_path / "model.onnx", net.conv(net.pair(clipped, scale=6 / 255, dtype=np.uint8)))
    assert numbers(model, "openvino") == (set() if limit < 6 else {"O3"})


@pytest.mark.parametrize("case", graphs.CASES)
@pytest.mark.parametrize("scheme", SCHEME_TARGETS)
def test_what_we_quantize_keeps_the_rules(case: str, scheme: str, tmp_path: Path) -> None:
    model, out = graphs.write(case, tmp_path), tmp_path / "int8.onnx"
    place.quantize(model, observe(model, graphs.pictures(4)), SCHEMES[scheme], "default", out)
    found = lint(out, SCHEME_TARGETS[scheme])
    assert [
        finding for finding in found if finding.rule.number != "R39"
    ] == []  # what DLA lacks is the network's


@pytest.mark.parametrize("target", TARGETS)
def test_a_rule_is_checked_exactly_where_a_graph_can_break_it(target: str) -> None:
    rules, held = rules_of(target), checked(target)
    assert held <= {number for number, rule in rules.items() if rule.level in ("error", "warning")}
    assert all(rule.says and rule.mend and rule.source for rule in rules.values())


def test_every_rule_of_tensorrt_is_classified_and_every_checkable_one_is_checked() -> None:
    rules = rules_of("tensorrt")
    assert list(rules) == [*(f"R{number}" for number in range(1, 44)), "T1", "T2", "T3", "T4"]
    by_graph = {number for number, rule in rules.items() if rule.level in ("error", "warning")}
    assert by_graph == checked("tensorrt") | checked("tensorrt-dla")
    assert by_graph <= {number for number, _ in BROKEN} | {"R35", "R38", "R39"}, (
        "each has a graph that breaks it"
    )


def test_a_float_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no QuantizeLinear"):
        lint(graphs.write("gemm", tmp_path), "tensorrt")


def test_an_unknown_target_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'tensorrt'"):
        lint(tmp_path / "model.onnx", "tensort")


def test_the_page_of_the_rules_is_what_the_rules_say() -> None:
    page = Path(__file__).parents[2] / "docs/lint-rules.md"
    assert page.read_text() == lint_page.page(), "python -m edgetl.quantize.lint.page > docs/lint-rules.md"
