"""The judges' own tests: ``verify`` must fail on every bundle that is broken on purpose, and say how."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgetl import bundles, digest, proving
from edgetl.bundles import Answer
from edgetl.data import frames
from edgetl.data.layout import Dataset
from edgetl.errors import EnvironmentLacks, GateFailed, InputError
from edgetl.pipeline import Silent
from edgetl.quantize.normalisation import renormalise
from edgetl.runtime import archive, bundle, open_bundle
from edgetl.runtime import golden as golden_rule
from tests import handmade


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Colourful pictures in class folders."""
    return handmade.write_pictures(tmp_path_factory.mktemp("colours"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A bundle that is right; on ONNX Runtime, which compiles in no time."""
    return handmade.write_bundle(tmp_path_factory.mktemp("whole") / "bundle", data, backend="onnxruntime")


@pytest.fixture
def copied(whole: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(whole, tmp_path / "copied"))


def verify(
    place: Path,
    data: Path | None = None,
    *,
    diagnose: bool = False,
    strict: bool = False,
    max_drop: float | None = None,
) -> Answer:
    """``verify`` with the defaults of the command line."""
    return proving.verify(
        place,
        data=None if data is None else str(data),
        max_drop=max_drop,
        diagnose=diagnose,
        strict=strict,
        demo_folder=Path("unused"),
        on_note=lambda text: None,
    )


def swap_labels(data: Path, to: Path, order: list[str]) -> Path:
    """The same pictures with each class's folder named as another."""
    for role in ("train", "test"):
        for name, other in zip(handmade.CENTRES, order):
            shutil.copytree(data / role / name, to / role / other)
    return to


def test_a_right_bundle_passes_and_has_the_accuracy_of_its_build(whole: Path, data: Path) -> None:
    found = verify(whole, data)
    assert found.failure is None
    assert found.data["accuracy"]["shipped"] == 1.0
    assert found.data["accuracy"]["same_test_images"] is True
    assert found.data["failure"] is None


def test_a_zeroed_engine_fails_though_its_digests_fit(copied: Path, data: Path) -> None:
    handmade.zero_weights(copied)
    handmade.reseal(copied)
    with pytest.raises(GateFailed, match="golden vectors differ"):
        verify(copied)


def test_golden_vectors_alone_tell_an_engine_of_the_other_channel_order(copied: Path) -> None:
    handmade.swap_channels(copied)
    handmade.reseal(copied)
    with pytest.raises(GateFailed, match="red and blue are swapped in this engine"):
        verify(copied)


def test_a_zeroed_engine_with_zeroed_golden_vectors_fails_on_pictures(copied: Path, data: Path) -> None:
    handmade.zero_weights(copied)
    with np.load(copied / bundle.GOLDEN) as stored:
        golden = {name: stored[name] for name in stored.files}
    golden["logits"] = np.zeros_like(golden["logits"])
    np.savez(copied / bundle.GOLDEN, **golden)
    handmade.reseal(copied)
    assert verify(copied).failure is None, "the vectors were forged to fit"
    assert isinstance(verify(copied, data).failure, GateFailed)


def test_swapped_colour_channels_fail_and_are_named(copied: Path, data: Path) -> None:
    flipped = msgspec.structs.replace(handmade.RULE, color="bgr")
    (copied / bundle.PREPROCESS).write_bytes(digest.canonical_json(flipped))
    handmade.reseal(copied)
    assert isinstance(verify(copied, data).failure, GateFailed)
    found = verify(copied, data, diagnose=True)
    assert found.data["diagnosis"]["mistake"] == "red and blue swapped"
    assert "red and blue swapped gives 100.0 %" in str(found.failure)


def test_shuffled_labels_fail_and_nothing_is_blamed(whole: Path, data: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for role in ("train", "test"):
        names = [name for name in handmade.CENTRES for _ in (data / role / name).iterdir()]
        for file, name in zip(sorted((data / role).rglob("*.png")), rng.permutation(names)):
            target = tmp_path / "shuffled" / role / str(name) / f"{file.parent.name}-{file.name}"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    found = verify(whole, tmp_path / "shuffled", diagnose=True)
    assert isinstance(found.failure, GateFailed)
    assert found.data["diagnosis"]["mistake"] is None
    assert "the labels are not of these pictures" in str(found.failure)


def test_permuted_labels_fail_and_the_permutation_is_named(whole: Path, data: Path, tmp_path: Path) -> None:
    wrong = swap_labels(data, tmp_path / "wrong", [*list(handmade.CENTRES)[1:], "blue"])
    found = verify(whole, wrong, diagnose=True)
    assert found.data["diagnosis"]["mistake"] == "labels permuted"
    assert found.failure is not None
    assert "'brown' holds 'blue'" in found.failure.hint


@pytest.mark.parametrize(
    ("mean", "std", "named"),
    [
        ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "0 to 1"),
        ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255), "0 to 255"),
    ],
)
def test_a_model_exported_with_another_normalisation_is_named(
    copied: Path,
    data: Path,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    named: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Trained with one normalisation, exported with ImageNet's: the engine's and the record's agree, and are wrong."""
    trained = msgspec.structs.replace(handmade.RULE, mean=mean, std=std)
    monkeypatch.setattr(handmade, "RULE", trained)
    right = handmade.write_model(copied / "right.onnx")
    imagenet = msgspec.convert(msgspec.json.decode((copied / bundle.PREPROCESS).read_bytes()), type(trained))
    renormalise(right, imagenet, copied / "model.fp32.onnx")
    right.unlink()
    handmade.reseal(copied)
    found = verify(copied, data, diagnose=True)
    assert named in found.data["diagnosis"]["mistake"]
    assert found.data["diagnosis"]["trials"][0]["accuracy"] == 1.0


def test_a_right_bundle_is_not_blamed(whole: Path, data: Path) -> None:
    found = verify(whole, data, diagnose=True)
    assert found.failure is None
    assert found.data["diagnosis"]["mistake"] is None


def test_diagnose_without_pictures_is_refused(whole: Path) -> None:
    with pytest.raises(InputError, match="takes --data"):
        verify(whole, diagnose=True)


def test_pictures_of_other_classes_are_refused(whole: Path, data: Path, tmp_path: Path) -> None:
    wrong = swap_labels(data, tmp_path / "wrong", list("abcdefg"))
    with pytest.raises(InputError, match="has the classes a, b, c, d, e, the bundle blue"):
        verify(whole, wrong)


@pytest.mark.parametrize(("share", "passes"), [(0.8, True), (1.2, False)])
def test_golden_vectors_allow_for_another_cpu_and_no_more(copied: Path, share: float, passes: bool) -> None:
    with np.load(copied / bundle.GOLDEN) as stored:
        golden = {name: stored[name] for name in stored.files}
    for name in ("logits", "logits_f32"):
        golden[name][0, 0] += share * golden_rule.GOLDEN_TOLERANCE * np.abs(golden[name]).max()
    np.savez(copied / bundle.GOLDEN, **golden)
    handmade.reseal(copied)
    if passes:
        assert verify(copied).data["golden"] == pytest.approx(share * golden_rule.GOLDEN_TOLERANCE, rel=0.05)
    else:
        with pytest.raises(GateFailed, match="golden vectors differ"):
            verify(copied)


def test_kernels_that_round_otherwise_pass_where_they_are_as_near_to_f32(copied: Path) -> None:
    with np.load(copied / bundle.GOLDEN) as stored:
        golden = {name: stored[name] for name in stored.files}
    exact = golden["logits_f32"]
    away = np.random.default_rng(0).standard_normal(exact.shape) * exact.std(axis=1).mean()
    golden["logits"] = exact + (0.2 * away).astype(np.float32)
    np.savez(copied / bundle.GOLDEN, **golden)
    handmade.reseal(copied)
    assert verify(copied).data["golden"] > golden_rule.GOLDEN_TOLERANCE


def test_a_budget_that_so_few_images_cannot_prove_is_inconclusive_where_strict(
    whole: Path, data: Path
) -> None:
    loose, strict = verify(whole, data, max_drop=0.1), verify(whole, data, max_drop=0.1, strict=True)
    assert loose.data["accuracy"]["verdict"] == "unproven"
    assert loose.failure is None
    assert strict.failure is not None
    assert strict.failure.exit_code == 3


def test_bench_times_engine_and_frame_and_says_what_has_no_support(whole: Path) -> None:
    found = bundles.bench(whole, device=None, devices_file=None, seconds=0, runs=70, progress=Silent())
    assert set(found.data["latency_ms"]) == {"engine", "frame"}
    assert found.data["latency_ms"]["engine"]["p90"] > 0
    assert found.data["latency_ms"]["engine"]["p99"] is None
    assert "p99 is n/a: it takes 662 runs (--iterations 662)" in "\n".join(found.lines)
    assert len(found.data["measurements"]["frame"]["samples_ns"]) == 70
    assert found.data["context"]["cores"]


def test_bench_compiles_a_model_for_the_device_asked(whole: Path) -> None:
    found = bundles.bench(
        whole / "model.fp32.onnx", device="local", devices_file=None, seconds=0, runs=11, progress=Silent()
    )
    assert set(found.data["latency_ms"]) == {"engine"}


def test_bench_refuses_a_device_for_a_bundle_and_a_model_that_is_not_there(
    whole: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="brings the engine"):
        bundles.bench(whole, device="local", devices_file=None, seconds=0, runs=1, progress=Silent())
    with pytest.raises(InputError, match="no such model"):
        bundles.bench(
            tmp_path / "no.onnx", device=None, devices_file=None, seconds=0, runs=1, progress=Silent()
        )


def test_a_pending_bundle_is_inspected_but_not_timed(data: Path, tmp_path: Path) -> None:
    waiting = bundle.Pending(reason="built on the board", next=("copy it there",))
    place = handmade.write_bundle(tmp_path / "pending", data, pending=waiting)
    with pytest.raises(EnvironmentLacks, match="no engine yet: built on the board"):
        bundles.bench(place, device=None, devices_file=None, seconds=0, runs=1, progress=Silent())
    told = bundles.inspect(place, precision=None, every_layer=False)
    assert any("pending: built on the board" in line for line in told.lines)


def test_inspect_lists_what_is_executed(whole: Path) -> None:
    found = bundles.inspect(whole, precision=None, every_layer=True)
    layers = found.data["executed"]["layers"]
    assert any(layer["kind"] in ("Conv", "FusedConv", "Gemm") for layer in layers)
    assert found.data["executed"]["int8_time_share"] is not None
    with pytest.raises(InputError, match="Did you mean 'default'"):
        bundles.inspect(whole, precision="defalt", every_layer=False)
    with pytest.raises(InputError, match=r"no model\.int8\.onnx"):
        bundles.inspect(whole, precision="int8", every_layer=False)


def test_inspect_reads_an_archive(whole: Path, tmp_path: Path) -> None:
    packed = archive.pack(whole, tmp_path / "colours.tar")
    found = bundles.inspect(packed, precision=None, every_layer=False)
    assert found.data["labels"] == list(handmade.CENTRES)


def fit(folder: Path, city: Path) -> None:
    """Let a bundle say that it is fitted to the frames of a city, and half as accurate where its labels are from."""
    stored = open_bundle(folder)
    parts = frames.parted(city, stored.labels, seed=0)
    readable = [frame for frame in parts.measure if "torn" not in frame.path]
    target = Dataset(classes=stored.labels, samples=frames.tested(readable), layout="")
    results = {**stored.results, "adaptation": {"source": {"candidate_accuracy": 0.5}}}
    (folder / "results.json").write_bytes(digest.canonical_json(results))
    (folder / "manifest.json").unlink()
    facts = msgspec.structs.replace(
        stored.manifest,
        adapted=bundle.Adapted(method="adabn", frames=20, digest=parts.digest, n=len(readable)),
        data={"source_test": stored.manifest.data["test"], "test": target.role_digests()["test"]},
        files={},
        sha256="",
    )
    bundle.seal(folder, facts)


@pytest.fixture
def fitted(copied: Path, data: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A bundle and the city that it is fitted to: a camera's frames, and labelled ones in ``test/``."""
    city = tmp_path / "city"
    shutil.copytree(data / "train", city / "test")
    shutil.copytree(data / "test/red", city / "camera")
    fit(copied, city)
    return copied, city


def test_an_adapted_bundle_is_judged_on_the_frames_that_told_its_gain(fitted: tuple[Path, Path]) -> None:
    found = verify(*fitted).data["accuracy"]
    assert found["same_test_images"] is True
    assert found["n"] == 6 * len(handmade.CENTRES)
    assert found["at_build"] == 1.0


def test_an_adapted_bundle_is_judged_on_newer_frames_of_the_place(fitted: tuple[Path, Path]) -> None:
    place, city = fitted
    (city / "test/red/000.png").unlink()
    found = verify(place, city).data["accuracy"]
    assert found["same_test_images"] is False
    assert found["n"] == 6 * len(handmade.CENTRES) - 1


def test_an_adapted_bundle_is_held_to_what_it_came_to_on_the_labelled_data(
    fitted: tuple[Path, Path], data: Path
) -> None:
    found = verify(fitted[0], data).data["accuracy"]
    assert found["same_test_images"] is True
    assert found["at_build"] == 0.5


def test_the_half_of_the_labelled_frames_that_told_the_gain_is_found_again(
    copied: Path, data: Path, tmp_path: Path
) -> None:
    city = tmp_path / "city"
    shutil.copytree(data / "train", city)
    for number in range(4):
        (city / f"red/torn{number}.png").write_bytes(bytes([number]))
    fit(copied, city)
    found = verify(copied, city).data["accuracy"]
    assert found["same_test_images"] is True
    assert found["n"] < 6 * len(handmade.CENTRES)
