"""``edgetl lint``: what is broken, where, what mends it, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.quantize.qdq import Net


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """Five activations with a zero point, and a float weight beside the last."""
    net = Net()
    name = "x"
    for _ in range(5):
        name = net.node("Relu", net.conv(net.pair(name, zero=3)))
    return net.save(tmp_path / "model.onnx", name)


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A pair that costs time and changes nothing."""
    net = Net()
    return net.save(tmp_path / "slow.onnx", net.node("Relu", net.pair(net.conv(net.pair("x")))))


def test_an_error_is_told_with_node_mend_and_source(run: Run, broken: Path) -> None:
    told = run("lint", broken, "--target", "tensorrt")
    assert told.code == 1
    assert "error    R1   Quantization is symmetric" in told.out
    assert "QuantizeLinear_0: zero point 3" in told.out
    assert "and 7 more" in told.out
    assert "mend: quantize symmetrically" in told.out
    assert "source: onnx-tensorrt" in told.out
    assert told.err.startswith("error: model.onnx for tensorrt: 10 errors, 0 warnings; 1 of 31 rules broken")


def test_json_is_one_object_with_every_node(run: Run, broken: Path) -> None:
    told = run("lint", broken, "--target", "tensorrt", "--json")
    found = json.loads(told.out)
    assert told.code == 1
    assert told.err == ""
    assert len(found["findings"]) == 10
    assert {"number", "level", "says", "mend", "source", "node", "problem"} == set(found["findings"][0])


@pytest.mark.parametrize(("options", "code"), [((), 0), (("--strict",), 1)])
def test_a_warning_fails_only_where_it_is_asked_to(
    run: Run, slow: Path, options: tuple[str, ...], code: int
) -> None:
    told = run("lint", slow, "--target", "tensorrt", *options)
    assert told.code == code
    assert "warning  R15" in told.out


def test_a_clean_graph_is_said_to_be_one(run: Run, broken: Path, tmp_path: Path) -> None:
    net = Net()
    clean = net.save(tmp_path / "clean.onnx", net.conv(net.pair("x")))
    told = run("lint", clean, "--target", "tensorrt")
    assert (told.code, told.out) == (
        0,
        "  clean.onnx keeps the 31 rules of tensorrt that a graph can break\n",
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "lint needs a model"),
        (("gone.onnx", "-t", "openvino"), "no such model: gone.onnx"),
        (("--rules",), "--target tensorrt|tensorrt-dla|openvino"),
        (("--rules", "-t", "tensort"), "Did you mean 'tensorrt'?"),
    ],
)
def test_what_cannot_be_judged_is_said_in_a_line(run: Run, arguments: tuple[str, ...], words: str) -> None:
    told = run("lint", *arguments)
    assert told.code == 2
    assert words in told.err


def test_a_model_without_a_target_and_one_that_is_no_onnx_are_refused(
    run: Run, slow: Path, tmp_path: Path
) -> None:
    assert "whose rules" in run("lint", slow).err
    text = tmp_path / "text.onnx"
    text.write_text("not a model")
    assert "cannot be read as ONNX" in run("lint", text, "-t", "openvino").err


def test_a_bundle_without_an_int8_model_has_nothing_to_judge(run: Run, bundle: Path) -> None:
    told = run("lint", bundle, "--target", "openvino")
    assert told.code == 2
    assert "has no INT8 model" in told.err


def test_the_rules_are_listed_with_their_class(run: Run) -> None:
    told = run("lint", "--rules", "--target", "tensorrt")
    assert told.code == 0
    assert "R1   error" in told.out
    assert "R43  build" in told.out
    assert len(json.loads(run("lint", "--rules", "-t", "tensorrt", "--json").out)["rules"]) == 47
