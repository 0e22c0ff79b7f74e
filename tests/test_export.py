"""The graph answers as torch does, is the same bytes every time, and holds nothing of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from edgetl import export, heads
from edgetl.errors import GateFailed, InputError
from edgetl.tasks import Task
from edgetl.transfer import backbone
from edgetl.types import BuildSpec, Preprocess
from tests.data.pictures import scene

RULE = Preprocess(height=32, width=32, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


class Small(nn.Module):
    """A convolution, a pooling, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, 2, 1)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        out: Tensor = self.head(self.norm(self.conv(x)).relu().mean((2, 3)))
        return out


def small() -> Small:
    torch.manual_seed(0)
    return Small()


def pictures(side: int, count: int = 4) -> Any:
    return np.stack([scene(seed, side) for seed in range(count)])


@pytest.mark.parametrize("batch", [1, 3, "dynamic"])
def test_batches(tmp_path: Path, batch: Any) -> None:
    net = small().eval()
    export.export_classifier(net, RULE, tmp_path / "m.onnx", batch=batch)
    model = onnx.load(tmp_path / "m.onnx")
    assert [v.name for v in (*model.graph.input, *model.graph.output)] == ["input", "logits"]
    first = model.graph.input[0].type.tensor_type.shape.dim[0]
    assert (first.dim_param != "") if batch == "dynamic" else (first.dim_value == batch)
    assert export.check_parity(net, RULE, tmp_path / "m.onnx", pictures(32, 6)) < 1e-5


@pytest.mark.parametrize("batch", [1, "dynamic"])
@pytest.mark.parametrize("write", [export.export_classifier, export.export_features])
def test_for_tensorrt_pixels_go_into_a_cast_at_once(tmp_path: Path, batch: Any, write: Any) -> None:
    net = small().eval()
    write(net, RULE, tmp_path / "m.onnx", batch=batch, cast_first=True)
    graph = onnx.load(tmp_path / "m.onnx").graph
    assert {node.op_type for node in graph.node if "input" in node.input} - {"Shape"} == {"Cast"}
    assert export.check_parity(net, RULE, tmp_path / "m.onnx", pictures(32)) < 1e-5


def test_pictures_that_are_mapped_read_only_bring_no_warning(tmp_path: Path) -> None:
    net = small().eval()
    export.export_classifier(net, RULE, tmp_path / "m.onnx")
    fixed = pictures(32)
    fixed.setflags(write=False)
    export.check_parity(net, RULE, tmp_path / "m.onnx", fixed)  # pytest turns a warning into an error


def test_the_same_network_gives_the_same_bytes_without_a_path_in_them(tmp_path: Path) -> None:
    for name in ("a", "b"):
        export.export_classifier(small().eval(), RULE, tmp_path / name)
    data = (tmp_path / "a").read_bytes()
    assert data == (tmp_path / "b").read_bytes()
    assert b"stack_trace" not in data
    assert b".py" not in data
    assert str(Path(__file__).parent).encode() not in data


def test_another_graph_fails_parity(tmp_path: Path) -> None:
    net = small().eval()
    export.export_classifier(net, RULE, tmp_path / "m.onnx")
    with torch.no_grad():
        net.head.bias[0] += 1.0
    with pytest.raises(GateFailed, match="differs from torch"):
        export.check_parity(net, RULE, tmp_path / "m.onnx", pictures(32))


def test_nan_in_the_logits_is_named(tmp_path: Path) -> None:
    net = small().eval()
    with torch.no_grad():
        net.head.bias[0] = torch.nan
    export.export_classifier(net, RULE, tmp_path / "m.onnx")
    with pytest.raises(GateFailed, match="NaN"):
        export.check_parity(net, RULE, tmp_path / "m.onnx", pictures(32))


def test_the_second_exporter_stands_in_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(export, "_dynamo", broken)
    net = small().eval()
    report = export.export_classifier(net, RULE, tmp_path / "m.onnx")
    assert (report.exporter, report.why) == ("torchscript", "no such operator")
    assert export.check_parity(net, RULE, tmp_path / "m.onnx", pictures(32)) < 1e-5


def test_a_network_that_stays_in_training_mode_is_refused(tmp_path: Path) -> None:
    class Stubborn(Small):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.dropout(super().forward(x), 0.5, training=True)

    with pytest.raises(InputError, match="training mode"):
        export.export_classifier(Stubborn(), RULE, tmp_path / "m.onnx")


def test_a_head_behind_exported_features_is_the_whole_network(tmp_path: Path) -> None:
    made = backbone.create(BuildSpec(data="", model="tiny", weights="none"), 5)
    export.export_features(made.net.body, made.preprocess, tmp_path / "f.onnx")
    weight, bias = (p.detach().numpy() for p in made.net.head.parameters())
    heads.with_head(tmp_path / "f.onnx", weight, bias, tmp_path / "m.onnx")
    size = made.preprocess.height
    assert export.check_parity(made.net, made.preprocess, tmp_path / "m.onnx", pictures(size)) < 1e-5


FAMILIES = {
    "alexnet": 64, "convnext_tiny": 64, "densenet121": 64, "efficientnet_b0": 64, "googlenet": 96,
    "inception_v3": 128, "maxvit_t": 224, "mnasnet0_5": 64, "mobilenet_v2": 64, "mobilenet_v3_small": 64,
    "regnet_y_400mf": 64, "shufflenet_v2_x0_5": 64, "squeezenet1_1": 64, "swin_t": 64, "vgg16": 64,
    "vit_b_16": 224,
}  # fmt: skip


@pytest.mark.parametrize(
    ("model", "side"),
    [
        ("resnet18", 64),
        *(pytest.param(name, side, marks=pytest.mark.slow) for name, side in FAMILIES.items()),
    ],
)
def test_one_of_each_family_takes_a_new_head_and_exports(tmp_path: Path, model: str, side: int) -> None:
    made = backbone.create(BuildSpec(data="", model=model, weights="none", image_size=side), 7)
    torch.manual_seed(0)
    nn.init.normal_(made.net.head.weight, std=0.1)  # some heads begin at zero, and zero equals anything
    export.export_classifier(made.net, made.preprocess, tmp_path / "m.onnx")
    model_proto = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    assert model_proto.graph.output[0].type.tensor_type.shape.dim[1].dim_value == 7
    assert export.check_parity(made.net, made.preprocess, tmp_path / "m.onnx", pictures(side, 2)) < 1e-4


TASKS = (
    Task(name="kind", kind="classes", labels=("cat", "dog", "emu")),
    Task(name="relu", kind="value", mean=1000.0, std=90.0, spread=70.0),  # called as a tensor of the body is
)


class Parts(nn.Module):
    """Pictures to features, and features to the row that the tasks share."""

    def __init__(self) -> None:
        super().__init__()
        self.body = small()
        self.body.head = nn.Linear(8, 8)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Rows (N, 4)."""
        out: Tensor = self.head(self.body(x))
        return out


@pytest.mark.parametrize("batch", [1, 3, "dynamic"])
def test_each_task_has_an_output_by_its_name(tmp_path: Path, batch: Any) -> None:
    net = Parts().eval()
    with torch.no_grad():
        net.head.bias[3] = 1000.0
    export.export_network(net, RULE, tmp_path / "m.onnx", TASKS, batch=batch)
    graph = onnx.load(tmp_path / "m.onnx").graph
    assert [(v.name, v.type.tensor_type.shape.dim[1].dim_value) for v in graph.output] == [
        ("kind", 3),
        ("relu", 1),
    ]
    names = [name for node in graph.node for name in node.output]
    assert len(set(names)) == len(names)
    assert export.check_parity(net, RULE, tmp_path / "m.onnx", pictures(32, 6), TASKS) < 1e-4


def test_a_task_that_is_exported_wrongly_is_not_drowned_by_a_value_of_large_numbers(tmp_path: Path) -> None:
    net = Parts().eval()
    with torch.no_grad():
        net.head.bias[3] = 1000.0
    export.export_network(net, RULE, tmp_path / "m.onnx", TASKS)
    with torch.no_grad():
        net.head.weight[0] += 0.05
    with pytest.raises(GateFailed, match="differs from torch"):
        export.check_parity(net, RULE, tmp_path / "m.onnx", pictures(32), TASKS)
