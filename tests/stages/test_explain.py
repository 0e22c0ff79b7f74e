"""What an engine executed, as shares; and that measuring it leaves the compiled engine's digest alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgetl import pipeline
from edgetl.cache import Cache
from edgetl.candidate import CANDIDATES
from edgetl.devices import DeviceProfile
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.stages import compile as compile_stage
from edgetl.stages import explain
from edgetl.types import LayerInfo
from tests.runtime.sealed import Kind, make

HOST = {"cpu": "a test"}


def layer(kind: str, precision: str, microseconds: float | None) -> LayerInfo:
    return LayerInfo(name=kind, kind=kind, precision=precision, microseconds=microseconds)


def test_shares_are_of_what_took_time_and_floats_are_named_by_kind() -> None:
    found = explain.int8_share(
        [
            layer("Convolution", "u8", 60.0),
            layer("Convolution", "i8", 20.0),
            layer("Reorder", "f32", 5.0),
            layer("Pooling", "f32", 15.0),
            layer("Reshape", "f32", None),
        ]
    )
    assert found["int8_layer_share"] == pytest.approx(0.5)
    assert found["int8_time_share"] == pytest.approx(0.8)
    assert found["reorders"] == 1
    assert found["float_layers"] == {"Pooling": 1}


def test_nothing_timed_is_no_share_of_time() -> None:
    found = explain.int8_share([layer("Convolution", "u8", None)])
    assert found["int8_time_share"] is None
    assert found["int8_layer_share"] == 0.0


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_a_second_build_compiles_to_the_same_digest_whatever_was_measured(
    candidate: str, tmp_path: Path
) -> None:
    made = make(tmp_path / "made", Kind())
    profile = DeviceProfile(name="box", backend="openvino", device="CPU", scheme="openvino-cpu")

    def export(inputs: object, out: Path, ctx: Context) -> dict[str, str]:
        (out / "model.onnx").write_bytes((made / "model.fp32.onnx").read_bytes())
        return {}

    def build(number: int) -> dict[str, Artifact]:
        stages = [
            Stage("export", 1, (), {}, {}, export),
            compile_stage.stage(candidate, profile, HOST, source="export"),
            explain.stage(candidate, profile, HOST),
        ]
        return pipeline.run(stages, Cache(tmp_path / str(number)), Context())

    first, second = build(1), build(2)
    assert first[f"compile:{candidate}"].digest == second[f"compile:{candidate}"].digest
    assert (first[f"explain:{candidate}"].path / explain.LAYERS).is_file()
