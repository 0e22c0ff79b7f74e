"""The page over bundles: what it shows, what it says is missing, and what it does not believe."""

from __future__ import annotations

import base64
import errno
import json
import re
import shutil
import tarfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgetl.errors import BundleError, EnvironmentLacks, InputError
from edgetl.reporting import report
from edgetl.runtime import bundle as format_of
from edgetl.runtime import open_bundle
from edgetl.verify.robustness import Question, Subject, judge
from tests import handmade, reported

HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>"


class Page(HTMLParser):
    """The tags, the attributes and the words of a page, as a browser splits them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a tag."""
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        """Keep words."""
        self.words += data


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return handmade.write_pictures(tmp_path_factory.mktemp("colours"))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """A bundle with all that a page shows."""
    place = handmade.write_bundle(tmp_path_factory.mktemp("full") / "bundle", pictures, backend="onnxruntime")
    return reported.fill(place, pictures)


def copy(bundle: Path, tmp_path: Path, name: str = "copy") -> Path:
    return Path(shutil.copytree(bundle, tmp_path / name))


def page(tmp_path: Path, *bundles: Path, data: Path | None = None) -> Page:
    out = tmp_path / "report.html"
    report(bundles, out=out, data=None if data is None else str(data), cache=tmp_path)
    return Page(out.read_text(encoding="utf-8"))


def test_the_page_shows_the_figures_and_what_follows_from_them(tmp_path: Path, full: Path) -> None:
    words = page(tmp_path, full).words
    for told in (
        "99.1 %",  # of 112 images
        "112 images cannot prove it",
        "red is taken for brown most often: 1 of 16",
        "red fares worst",
        "0.951 [0.900, 0.990]",  # ROC AUC of red
        "expected calibration error 0.043 [0.010, 0.080], 15 bins",
        "threshold: 'red' from 0.310 on",
        "of int8 take 2",
        "12 fresh instances of int8",
        "of 2 layers of int8 takes",
        "1.8 MB",
        "two pictures look alike",
        "edgetl gate",
        "with more test images",
        "CPU, 2 cores",
    ):
        assert told in words, told
    assert "not in the bundle: edgetl report BUNDLE --data DIR" in words


def test_the_page_asks_nothing_of_a_network_and_runs_nothing(
    tmp_path: Path, full: Path, pictures: Path
) -> None:
    found = page(tmp_path, full, data=pictures)
    assert not {"script", "link", "iframe", "object", "embed", "form", "base"} & set(found.tags)
    outside = [
        v for n, v in found.attributes if n in ("src", "href", "action") and not v.startswith(("#", "data:"))
    ]
    assert outside == []
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    text = (tmp_path / "report.html").read_text()
    assert not re.findall(r"url\((?!#)|@import", text)
    assert not re.findall(r"https?://(?!www\.w3\.org)", text)
    assert ("http-equiv", "Content-Security-Policy") in found.attributes


def test_the_worst_images_are_shown_small_where_the_data_is_given(
    tmp_path: Path, full: Path, pictures: Path
) -> None:
    found = page(tmp_path, full, data=pictures)
    (uri,) = [value for name, value in found.attributes if name == "src"]
    jpeg = base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))
    assert jpeg[:2] == b"\xff\xd8"
    assert len(jpeg) < 20_000
    assert "taken for brown, with 90 %" in found.words


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"path": "../../etc/passwd"}, "its path leaves the data"),
        ({"path": "/etc/passwd"}, "its path leaves the data"),
        ({"path": "test/red/nowhere.png"}, "not in this data"),
        ({"sha256": "0" * 64}, "not the picture that was answered"),
    ],
)
def test_a_picture_that_is_not_the_one_is_not_shown(
    tmp_path: Path, full: Path, pictures: Path, changed: dict[str, str], words: str
) -> None:
    place = copy(full, tmp_path)
    (one,) = json.loads((place / "results.json").read_bytes())["worst_images"]
    reported.change(place, "results.json", worst_images=[{**one, **changed}])
    found = page(tmp_path, place, data=pictures)
    assert words in found.words
    assert not [value for name, value in found.attributes if name == "src"]


def test_a_link_out_of_the_data_is_not_followed(tmp_path: Path, full: Path) -> None:
    place, data = copy(full, tmp_path), tmp_path / "data"
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"mine")
    data.mkdir()
    (data / "link.png").symlink_to(secret)
    (one,) = json.loads((place / "results.json").read_bytes())["worst_images"]
    reported.change(place, "results.json", worst_images=[{**one, "path": "link.png"}])
    assert "its path leaves the data" in page(tmp_path, place, data=data).words


def test_markup_in_labels_and_names_is_text(tmp_path: Path, full: Path) -> None:
    place = copy(full, tmp_path)
    stored = json.loads((place / "results.json").read_bytes())
    (one,) = stored["worst_images"]
    recall = [{**row, "class": HOSTILE} for row in stored["accuracy"]["per_class_recall"]]
    accuracy = {**stored["accuracy"], "sentence": HOSTILE, "per_class_recall": recall}
    reported.change(
        place,
        "results.json",
        accuracy=accuracy,
        notes=[HOSTILE],
        worst_images=[{**one, "path": HOSTILE}],
        context={"cpu": HOSTILE, "governor": HOSTILE},
        shipped={"candidate": "int8", "reason": HOSTILE},
    )
    reported.write(place, "labels.json", [HOSTILE, *list(handmade.CENTRES)[1:]])
    layers = {
        "int8": [{**vars_of(layer), "name": HOSTILE, "kernel": HOSTILE} for layer in reported.layers("int8")]
    }
    reported.write(place, "layers.json", layers)
    reported.rename(place, name=HOSTILE, model=HOSTILE, device=HOSTILE, caller_commit=HOSTILE)
    found = page(tmp_path, place, place)
    assert not {"script", "img"} & set(found.tags)
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert found.words.count(HOSTILE) > 10


def vars_of(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


def test_a_pending_engine_is_said_first_with_what_is_left_to_do(tmp_path: Path, pictures: Path) -> None:
    waiting = format_of.Pending(reason="built on the board", next=("edgetl compile BUNDLE there",))
    place = handmade.write_bundle(tmp_path / "pending", pictures, pending=waiting)
    words = page(tmp_path, place).words
    for told in (
        "engine: pending · built on the board",
        "edgetl compile BUNDLE there",
        "latency was not measured",
    ):
        assert told in words.replace("\n", " ").replace("pending ·", "pending ·"), told


def test_a_bundle_without_parts_gives_a_page_that_says_what_is_missing(
    tmp_path: Path, pictures: Path
) -> None:
    place = handmade.write_bundle(tmp_path / "old", pictures, backend="onnxruntime")
    words = page(tmp_path, place).words
    for told in (
        "before it was kept which class is taken for which",
        "before the worst images were kept",
        "raw latencies are not in the bundle",
        "times of layers are not in the bundle",
        "size of the engine is not in results.json",
    ):
        assert told in words, told
    (place / "results.json").unlink()
    handmade.reseal(place)
    assert "accuracy is not in results.json" in page(tmp_path, place).words


@pytest.mark.parametrize(
    ("file", "changed", "words"),
    [
        ("results.json", {"accuracy": {"shipped": "much"}}, "float"),
        ("results.json", {"accuracy": {"shipped": 3.0, "n": 5}}, "not from 0 to 1"),
        ("results.json", {"accuracy": {"fp32": 1.0, "int8": 1.0, "shipped": -1, "n": 5}}, "not from 0 to 1"),
        ("results.json", {"latency_ms": {"int8": {"p50": -1.0}}}, "a latency is not from a nanosecond"),
        ("results.json", {"latency_ms": {"int8": {"p50": 1e-320}}}, "a latency is not from a nanosecond"),
        ("results.json", {"accuracy": {"confusion": [[0, 99, 1]]}}, "a class is not one of 7"),
        ("results.json", {"accuracy": {"n": 0}}, "accuracy.n is 0"),
        ("latency.json", {"instances": [{"int8": [[0, -5]]}]}, "a duration is not above 0"),
        ("latency.json", {"instances": 3}, "array"),
        ("layers.json", {"int8": "no"}, "array"),
    ],
)
def test_a_file_that_no_build_writes_is_refused_by_name(
    tmp_path: Path, full: Path, file: str, changed: dict[str, Any], words: str
) -> None:
    place = reported.change(copy(full, tmp_path), file, **changed)
    with pytest.raises(BundleError) as caught:
        page(tmp_path, place)
    assert file in caught.value.problem
    assert words in caught.value.problem


def test_a_flipped_byte_is_refused_and_no_page_is_written(tmp_path: Path, full: Path) -> None:
    place = copy(full, tmp_path)
    body = bytearray((place / "latency.json").read_bytes())
    body[-3] ^= 1
    (place / "latency.json").write_bytes(body)
    with pytest.raises(BundleError, match="sha256 differs"):
        page(tmp_path, place)
    assert not (tmp_path / "report.html").exists()


def test_a_page_is_not_written_over_what_it_is_made_of(tmp_path: Path, full: Path) -> None:
    archive = tmp_path / "bundle.tar"
    with tarfile.open(archive, "w") as packed:
        packed.add(full, arcname="bundle")
    before = archive.read_bytes()
    with pytest.raises(InputError, match=r"would overwrite .*bundle\.tar"):
        report([archive], out=tmp_path / "." / "bundle.tar", data=None, cache=tmp_path)
    assert archive.read_bytes() == before


def test_two_bundles_stand_side_by_side_with_the_layers_that_changed(tmp_path: Path, full: Path) -> None:
    slower = copy(full, tmp_path)
    layers = {name: reported.layers(name, 2.0 if name == "int8" else 1.0) for name in reported.NAMES}
    reported.write(slower, "layers.json", layers)
    handmade.reseal(slower)
    out = tmp_path / "two.html"
    answer = report([full, slower], out=out, data=None, cache=tmp_path)
    (change,) = answer.data["layer_changes"]
    assert (change["name"], list(change["what"])) == ("stem", ["time"])
    words = Page(out.read_text()).words
    assert "Side by side" in words
    assert "stem: 100.0 -> 200.0 us (+100 %)" in words
    assert "not comparable" not in words
    assert "tools and state of the host are the same" in words


def test_what_changed_around_the_layers_is_said(tmp_path: Path, full: Path) -> None:
    other = reported.rename(copy(full, tmp_path), versions={"openvino": "2026.5"})
    context = json.loads((other / "results.json").read_bytes())["context"]
    reported.change(other, "results.json", context={**context, "governor": "powersave"})
    words = page(tmp_path, full, other).words
    assert "around them changed: governor performance to powersave, openvino unknown to 2026.5" in words


def test_a_place_with_a_blank_can_be_pasted_into_a_shell(tmp_path: Path, full: Path) -> None:
    place = copy(full, tmp_path, "my runs")
    assert f"edgetl predict '{place}' photo.jpg" in page(tmp_path, place).words


def test_bundles_that_must_not_be_compared_are_said_not_to_be(tmp_path: Path, full: Path) -> None:
    other = reported.rename(copy(full, tmp_path), device="another", data={"test": "0" * 64})
    words = page(tmp_path, full, other).words
    assert "tested on different images" in words
    assert "of different devices or hosts (by-hand timed on a CPU, another timed on a CPU)" in words
    assert "from A to B" not in words, "layers of two machines are not held against each other"


def test_layers_of_two_networks_are_not_held_against_each_other(tmp_path: Path, full: Path) -> None:
    other = reported.rename(copy(full, tmp_path), model="another")
    answer = report([full, other], out=tmp_path / "r.html", data=None, cache=tmp_path)
    assert answer.data["layer_changes"] is None


def test_an_engine_that_was_timed_on_its_device_is_shown_with_those_runs(tmp_path: Path, full: Path) -> None:
    place = copy(full, tmp_path)
    runs = [7_000_000 + place for place in range(120)]
    reported.write(place, "device.json", {"bench": {"measurements": {"engine": {"samples_ns": runs}}}})
    handmade.reseal(place)
    words = page(tmp_path, place).words
    assert "One instance of int8" in words
    assert "p50 of int8: 7 ms" in words


def test_many_classes_give_a_list_and_not_a_matrix(tmp_path: Path, full: Path) -> None:
    place = copy(full, tmp_path)
    reported.write(place, "labels.json", [f"class {number}" for number in range(60)])
    handmade.reseal(place)
    assert "60 classes are too many for a matrix" in page(tmp_path, place).words


def test_a_full_disk_leaves_the_page_that_was_there(
    tmp_path: Path, full: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page(tmp_path, full)
    before = (tmp_path / "report.html").read_bytes()
    write = Path.write_bytes

    def fills_up(self: Path, content: bytes) -> int:
        write(self, content[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fills_up)
    with pytest.raises(EnvironmentLacks, match="the disk is full"):
        page(tmp_path, full)
    assert (tmp_path / "report.html").read_bytes() == before
    assert not list(tmp_path.glob(".*partial"))


def test_a_page_is_not_written_into_a_bundle(tmp_path: Path, full: Path) -> None:
    place = copy(full, tmp_path)
    with pytest.raises(InputError, match="is in the bundle"):
        report([place], out=place / "report.html", data=None, cache=tmp_path)
    assert open_bundle(place).manifest == open_bundle(full).manifest


def test_a_folder_with_a_manifest_of_something_else_takes_a_page(tmp_path: Path, full: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"name": "a web page"}')
    assert "red fares worst" in page(tmp_path, full).words


def test_data_that_is_not_there_is_refused(tmp_path: Path, full: Path) -> None:
    with pytest.raises(InputError, match="no such data"):
        page(tmp_path, full, data=tmp_path / "nowhere")


def measured(full: Path, tmp_path: Path, **changed: Any) -> Path:
    """A file as ``verify --corruptions --out`` writes it: gaussian noise costs the bundle's engine."""
    asked = Question(("fog", "gaussian_noise"), (1, 5))
    right = np.ones((5, 100), bool)
    wrong = right.copy()
    wrong[3:, :30] = False
    sealed = open_bundle(full).manifest
    found = judge(right, wrong, asked, Subject(sealed.name, sealed.sha256))
    file = tmp_path / "hard.json"
    file.write_bytes(msgspec.json.encode(msgspec.structs.replace(found, **changed)))
    return file


def test_corruptions_are_shown_where_they_were_measured_on_this_bundle(full: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    report([full], out=out, data=None, cache=tmp_path, corruptions=[measured(full, tmp_path)])
    found = Page(out.read_text(encoding="utf-8"))
    for told in ("int8 loses more than on clean images in gaussian noise", "+30.0", "in gaussian_noise? yes"):
        assert told in found.words
    assert "--corruptions all --out" not in found.words
    assert "edgetl verify BUNDLE --data DIR --corruptions all" in page(tmp_path, full).words


def test_corruptions_of_another_bundle_are_refused(full: Path, tmp_path: Path) -> None:
    file = measured(full, tmp_path, manifest="f" * 64)
    with pytest.raises(InputError, match="was measured on another bundle"):
        report([full], out=tmp_path / "r.html", data=None, cache=tmp_path, corruptions=[file])
    assert not (tmp_path / "r.html").exists()


def test_what_auto_took_and_why_is_on_the_page(full: Path, tmp_path: Path) -> None:
    told = {"picked": "feature", "why": "9 labels of the rarest class are too few to fine-tune"}
    place = reported.change(copy(full, tmp_path), "results.json", training=told)
    report([place], out=tmp_path / "page.html", data=None, cache=tmp_path)
    words = Page((tmp_path / "page.html").read_text()).words
    assert "The method auto took feature: 9 labels of the rarest class are too few to fine-tune." in words
