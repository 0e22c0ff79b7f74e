"""Frozen records that cross a border between modules."""

from __future__ import annotations

import shlex
from typing import Literal

import msgspec

__all__ = [
    "PERCENTILES",
    "ROLES",
    "USUAL",
    "BuildSpec",
    "Corrupted",
    "CorruptionCost",
    "Engine",
    "LatencyBudget",
    "LayerInfo",
    "Mistake",
    "Objective",
    "OperatingPoint",
    "Percentile",
    "Preprocess",
    "Reading",
    "Record",
    "Robustness",
    "Role",
    "TensorSpec",
]

Role = Literal["train", "select", "test"]
ROLES: tuple[Role, ...] = ("train", "select", "test")
Percentile = Literal["p50", "p90", "p99"]
PERCENTILES: tuple[Percentile, ...] = ("p50", "p90", "p99")


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every record that is written as JSON: frozen, and unknown fields are refused on reading.

    A subclass says ``frozen=True, kw_only=True`` itself: type checkers do not inherit the first, msgspec not
    the second.
    """


class TensorSpec(Record, frozen=True, kw_only=True):
    """One input or output of an engine; ``None`` in ``shape`` is a dynamic axis."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


class Preprocess(Record, frozen=True, kw_only=True):
    """How a picture becomes the engine's input: data, with one implementation.

    Crop and resize happen outside the engine (``edgetl.runtime.preprocess``); scale, mean and std are in
    its graph, so the engine itself takes uint8 (N, height, width, 3).

    Attributes
    ----------
    height, width : size of the engine's input, in pixels.
    crop : the centre square that is kept, as a fraction (numerator, denominator) of the short side.
    color : order of the channels that the engine expects.
    mean, std : per channel, in units where white is 1.0; ``(x / 255 - mean) / std`` is in the graph.
    """

    height: int
    width: int
    crop: tuple[int, int] = (1, 1)
    color: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def affine(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Scale and shift, per channel, so that ``x * scale + shift`` is the normalised pixel."""
        scale = tuple(1.0 / (255.0 * s) for s in self.std)
        shift = tuple(-m / s for m, s in zip(self.mean, self.std))
        return scale, shift


class Reading(Record, frozen=True, kw_only=True, omit_defaults=True):
    """How labelled pictures are read from their source, so that a later command reads them in the same way.

    Attributes
    ----------
    path_column, label_column, role_column : of a table; ``None`` takes the first of the usual names. Several label
        columns are as many tasks; ``age:value`` is one of a number.
    group_by : column of a table, or ``regex:PATTERN`` with one group, searched in each path: pictures with one value
        of it stay in one role. ``None``: each picture stands for itself.
    """

    path_column: str | None = None
    label_column: str | tuple[str, ...] | None = None
    role_column: str | None = None
    group_by: str | None = None

    def as_options(self) -> str:
        """What asks for it on a command line, with a blank before each option.

        >>> Reading(label_column="grade").as_options()
        ' --label-column grade'
        """
        told = msgspec.to_builtins(self).items()
        given = [(name, one) for name, of in told for one in ([of] if isinstance(of, str) else of)]
        return "".join(f" --{name.replace('_', '-')} {shlex.quote(one)}" for name, one in given)


USUAL = Reading()
"""Tables by the usual names, and every picture for itself."""


class LayerInfo(Record, frozen=True, kw_only=True):
    """One layer as the engine executes it.

    Attributes
    ----------
    kind : the vendor's layer type (``Convolution``, ``Reorder``, ...).
    precision : what it computes in (``u8``, ``i8``, ``bf16``, ``f32``, ...).
    microseconds : mean time in one inference, or ``None`` where it was not profiled.
    kernel : the vendor's name of the implementation, or empty.
    origin : names of the graph's nodes it came from, or empty.
    """

    name: str
    kind: str
    precision: str
    microseconds: float | None = None
    kernel: str = ""
    origin: str = ""


class Mistake(Record, frozen=True, kw_only=True):
    """A labelled picture and what was answered; not all of an engine's worst ones are wrong.

    Attributes
    ----------
    path : POSIX, below the root of the data. sha256 : of the file's bytes.
    label, answer : class indices. probability : of the answer. true_probability : of the label.
    """

    path: str
    sha256: str
    label: int
    answer: int
    probability: float
    true_probability: float


class Objective(Record, frozen=True, kw_only=True):
    """What a threshold between two classes is chosen for; ``at`` is the least recall or precision, else ``None``."""

    metric: Literal["recall", "precision", "f1", "balanced-accuracy"]
    at: float | None = None

    def __str__(self) -> str:
        """As it is asked for.

        >>> str(Objective(metric="recall", at=0.95))
        'recall@0.95'
        """
        return self.metric if self.at is None else f"{self.metric}@{self.at:g}"


class OperatingPoint(Record, frozen=True, kw_only=True):
    """From which probability on an engine of two classes answers the positive one.

    Attributes
    ----------
    positive : the class. threshold : its least probability, above 0 and up to 1.
    objective : what it was chosen for, as ``--optimize`` has it.
    images, positives : select images that it was chosen on, and how many of them are of that class.
    """

    positive: str
    threshold: float
    objective: str
    images: int
    positives: int


class Corrupted(Record, frozen=True, kw_only=True):
    """Two engines on the same images under one corruption at one severity; severity 0 is clean.

    Attributes
    ----------
    reference, candidate : top-1, 0 to 1.
    drop_pt : points that the candidate loses; drop_ci95_pt : Tango's interval. p_value : McNemar, exact.
    """

    corruption: str
    severity: int
    reference: float
    candidate: float
    drop_pt: float
    drop_ci95_pt: tuple[float, float]
    p_value: float


class CorruptionCost(Record, frozen=True, kw_only=True):
    """What one corruption does to two engines, mean of the severities.

    Attributes
    ----------
    extra_pt : points of drop beyond the drop on clean images; extra_ci95_pt : its interval, paired by image.
    p_value : of no extra drop; p_holm : the same, held against all corruptions that were tested (Holm).
    ce_pct, relative_ce_pct : errors, and errors beyond the clean ones, in percent of the reference's; ``None`` where
        those are under one point, for a ratio over so little says nothing.
    """

    corruption: str
    group: str
    reference: float
    candidate: float
    drop_pt: float
    extra_pt: float
    extra_ci95_pt: tuple[float, float]
    p_value: float
    p_holm: float
    ce_pct: float | None
    relative_ce_pct: float | None


class Robustness(Record, frozen=True, kw_only=True):
    """A bundle's engine under corruptions against its f32 engine, as ``edgetl verify --corruptions`` writes it.

    Attributes
    ----------
    name, manifest : of the bundle: its name, and the sha256 of its manifest.
    reference, candidate : names of the two engines. n : images, of ``test_images``.
    cells : every corruption at every severity. costs : one for each corruption, the dearest first.
    mce_pct, relative_mce_pct : means of ``ce_pct`` and ``relative_ce_pct``, with bootstrap intervals over images;
        100 is the reference.
    costs_more : corruptions in which the candidate is shown to lose more than on clean images, at 5 % for all together.
    sentence : whether quantization costs more in the dark, or else under anything that was tested.
    """

    kind: Literal["edgetl corruptions"] = "edgetl corruptions"
    schema: int = 1
    name: str
    manifest: str
    reference: str
    candidate: str
    seed: int
    n: int
    test_images: int
    severities: tuple[int, ...]
    clean: Corrupted
    cells: tuple[Corrupted, ...]
    costs: tuple[CorruptionCost, ...]
    mce_pct: float | None
    mce_ci95_pct: tuple[float, float] | None
    relative_mce_pct: float | None
    relative_mce_ci95_pct: tuple[float, float] | None
    costs_more: tuple[str, ...]
    sentence: str


class Engine(Record, frozen=True, kw_only=True):
    """A compiled network for one device: files in a folder, with this record beside them as ``engine.json``.

    Attributes
    ----------
    backend : name of the backend that made it and opens it.
    device : the vendor's device string (``CPU``, ``GPU``, ``NPU``, ``dla:0``).
    precision : the candidate it is: ``f32``, ``default`` or ``int8``.
    files : names inside the folder, the one to open first.
    source : sha256 of the ONNX file it was compiled from.
    config : vendor options that opening needs, so that the opened engine is the one measured.
    built_with : tool versions.
    inputs, outputs : what it takes and gives.
    """

    backend: str
    device: str
    precision: str
    files: tuple[str, ...]
    source: str
    config: dict[str, str] = {}
    built_with: dict[str, str] = {}
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class LatencyBudget(Record, frozen=True, kw_only=True):
    """Milliseconds that a percentile of the engine's latency must not exceed."""

    ms: float
    at: Percentile = "p50"


class BuildSpec(Record, frozen=True, kw_only=True):
    """What ``edgetl build`` was asked for; the command line and ``edgetl.build`` both make one.

    Attributes
    ----------
    data : image folder, CSV file, or ``demo``.
    path_column, label_column, role_column, group_by : how it is read (``Reading``).
    device : name of a device profile; ``devices_file`` adds profiles of the user's own.
    model : torchvision name, ``timm/NAME``, ``tiny`` or ``package.module:factory``.
    weights : ``DEFAULT``, a file, or ``none``.
    method : how the model is transferred, one of ``edgetl.transfer.methods.known.METHODS``.
    rank : of the updates of ``lora``.
    teacher : what ``distill`` and ``rkd`` learn from: a model's name, or a bundle's or checkpoint's folder; ``None`` is
        the same model, trained first. teacher_weights : of a model that is named, as ``weights``.
    kd_temperature : that ``distill`` and ``rkd`` soften answers by; ``None`` takes the methods' own.
    seeds : trainings, with ``seed`` and those that follow it; the one that is best on the select images ships.
    compare : ``scratch`` also trains the same network from random weights, and a head on frozen features.
    adapt : folder of frames of the place that the engine is for; ``None`` adapts to nothing.
    adapt_method : one of ``edgetl.words.ADAPTATIONS``.
    mean, std : normalisation, where white is 1.0; ``None`` takes it from the weights, then the model.
    image_size : side of the engine's input in pixels; ``None`` takes the model's own.
    crop : centre square kept, as a fraction of the short side; ``None`` takes the model's own.
    batch : batch size of the engine, or ``dynamic``.
    augment : how training pictures are varied: ``none``, ``light``, ``default`` or ``strong``.
    imbalance : what training does about classes of unequal size: ``auto``, ``weights``, ``sampling`` or ``none``.
    max_drop : accuracy budget in points of top-1; ``None`` takes the profile's, infinity lifts it. max_drops : those of
        single tasks, by name: ``1%``, or a number in a value's own unit.
    max_latency : latency budget of the engine alone; ``None`` takes those of the profile.
    backend : ``None`` is the profile's; ``auto`` lets the fastest of those that run here win; or a name.
    time_budget : seconds that the ladder may take to keep the accuracy of INT8.
    precision : ``auto`` ships the fastest that holds the budget; ``f32``, ``default``, ``int8`` insist.
    calib_samples : images from the train role to calibrate with.
    calib_select : how those are chosen: ``stratified`` or ``coverage``.
    calib_method : how ranges are made from statistics.
    optimize : what the decision threshold of two classes is chosen for: ``recall@R``, ``precision@P``, ``f1`` or
        ``balanced-accuracy``; ``None`` answers the likelier class.
    positive : the class that it is about; ``None`` takes the one with fewer pictures to train on.
    strict : a drop that is within the budget but not proven ends with exit code 3.
    require_engine : a pending engine is an error.
    offline : no download, ever.
    out, name : where bundles go: ``out/name/<UTC time>``; the name of the data folder where it is ``None``.
    search : time other placements of INT8 and keep the fastest, where this host is the device.
    instances : fresh engine instances that the latency comparison draws.
    fused_head : TensorRT compiles models whose head is one node, for the plugin of ``kernels/``.
    hosts : where the engine is built, over SSH, once the rest is done here; nothing is compiled for the device here.
    """

    data: str
    path_column: str | None = None
    label_column: str | tuple[str, ...] | None = None
    role_column: str | None = None
    group_by: str | None = None
    device: str = "local"
    devices_file: str | None = None
    model: str = "mobilenet_v2"
    weights: str = "DEFAULT"
    method: str = "feature"
    rank: int = 8
    teacher: str | None = None
    teacher_weights: str = "DEFAULT"
    kd_temperature: float | None = None
    seeds: int = 1
    compare: str | None = None
    adapt: str | None = None
    adapt_method: str = "adabn"
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    image_size: int | None = None
    crop: tuple[int, int] | None = None
    epochs: int = 30
    batch_size: int = 32
    lr: float | None = None
    flip: bool = True
    augment: str = "default"
    imbalance: str = "auto"
    batch: str = "1"
    max_drop: float | None = None
    max_drops: dict[str, str] = {}
    max_latency: LatencyBudget | None = None
    backend: str | None = None
    time_budget: float = 1800.0
    precision: str = "auto"
    calib_samples: int = 300
    calib_select: str = "stratified"
    calib_method: str = "default"
    seed: int = 0
    optimize: str | None = None
    positive: str | None = None
    strict: bool = False
    require_engine: bool = False
    offline: bool = False
    out: str = "runs"
    name: str | None = None
    archive: bool = False
    force: tuple[str, ...] = ()
    search: bool = True
    instances: int = 12
    fused_head: bool = False
    hosts: tuple[str, ...] = ()

    def reading(self) -> Reading:
        """How the data is read."""
        return Reading(
            path_column=self.path_column,
            label_column=self.label_column,
            role_column=self.role_column,
            group_by=self.group_by,
        )
