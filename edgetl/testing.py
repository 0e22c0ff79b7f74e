"""For those who write a backend or test a program that uses edgetl: a fake backend, a contract, a tiny model, a clock.

A backend of your own is held to the contract by a test class of three lines::

    class TestMine(BackendContract):
        name = "mine"
        library = "mine-sdk"

It takes pytest, and ``onnx`` for the model.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from edgetl import digest
from edgetl.backends import seam
from edgetl.backends.fake import Fake as FakeBackend
from edgetl.backends.seam import Backend, Session
from edgetl.devices import DeviceProfile
from edgetl.errors import BackendError, EnvironmentLacks, InputError, NotComparable
from edgetl.types import Engine, Preprocess

__all__ = ["BackendContract", "FakeBackend", "RecordedClock", "expected_logits", "tiny_model"]

Array = npt.NDArray[Any]
Colours = Sequence[tuple[float, float, float]]

SIDE = 32
RULE = Preprocess(height=SIDE, width=SIDE, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
COLOURS: Colours = ((0.7, 0.2, 0.2), (0.2, 0.7, 0.2), (0.2, 0.2, 0.7), (0.2, 0.2, 0.2), (0.7, 0.7, 0.7))
THREADS = 16


class RecordedClock:
    """Nanoseconds that only pass where a call takes them: a measurement on it has one outcome."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now

    def call(self, times_ns: Iterator[int]) -> Callable[[], None]:
        """A call that takes the next of these times."""

        def once() -> None:
            self.now += next(times_ns)

        return once


def tiny_model(
    file: Path, *, rule: Preprocess = RULE, colours: Colours = COLOURS, batch: int | str = 1
) -> Path:
    """Write a classifier whose classes are colours: the nearest to the picture's mean, after normalisation.

    Its weights follow from the colours, so that the right answer is known: ``expected_logits``.

    Parameters
    ----------
    rule : size and normalisation, which is inside the graph. colours : one a class, RGB where white is 1.0.
    batch : a number, or a name for a free axis.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    scale, shift = (np.array(values, np.float32).reshape(1, 3, 1, 1) for values in rule.affine())
    centres = _normalised(np.array(colours), rule)
    constants = {
        "scale": scale,
        "shift": shift,
        "kernel": np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1),
        "axes": np.array([2, 3], np.int64),
        "weight": (2 * centres).astype(np.float32),
        "bias": -np.square(centres).sum(axis=1).astype(np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["input"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Mul", ["planes", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "shift"], ["shifted"]),
        helper.make_node("Conv", ["shifted", "kernel"], ["same"], name="conv"),
        helper.make_node("ReduceMean", ["same", "axes"], ["mean"], keepdims=0),
        helper.make_node("Gemm", ["mean", "weight", "bias"], ["logits"], transB=1),
    ]
    taken = helper.make_tensor_value_info("input", TensorProto.UINT8, [batch, rule.height, rule.width, 3])
    given = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, len(colours)])
    initialisers = [numpy_helper.from_array(values, name) for name, values in constants.items()]
    graph = helper.make_graph(nodes, "colours", [taken], [given], initialisers)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), file)
    return file


def expected_logits(pictures: Array, *, rule: Preprocess = RULE, colours: Colours = COLOURS) -> Array:
    """What ``tiny_model`` answers, float64 (N, classes), for uint8 (N, H, W, 3)."""
    centres = _normalised(np.array(colours), rule)
    means = _normalised(pictures.astype(np.float64).mean(axis=(1, 2)) / 255, rule)
    logits: Array = 2 * means @ centres.T - np.square(centres).sum(axis=1)
    return logits


def _normalised(values: Array, rule: Preprocess) -> Array:
    result: Array = (values - np.array(rule.mean)) / np.array(rule.std)
    return result


def _pictures(count: int) -> Array:
    """Noise about ``count`` colours, uint8 (count, 1, SIDE, SIDE, 3): each is an input of its own."""
    rng = np.random.default_rng(0)
    colours = rng.integers(40, 216, (count, 1, 1, 1, 3))
    noise = rng.integers(-40, 41, (count, 1, SIDE, SIDE, 3))
    return (colours + noise).astype(np.uint8)


class BackendContract:
    """What every backend keeps; a subclass says which one it is, and adds what is its vendor's alone.

    Attributes
    ----------
    name : as registered by its entry point. device : one that this host has. absent : one that no host has.
    library : the name under which an engine's ``built_with`` holds the vendor's version.
    computes : whether its answers are the network's (only a fake's are not).
    tolerance : of a logit in f32, as a share of the largest.
    free_batch : options under which ``input`` (N, 32, 32, 3) takes 1 to 5 pictures, where the vendor wants to be told.
    """

    name: ClassVar[str]
    library: ClassVar[str]
    device: ClassVar[str] = "CPU"
    absent: ClassVar[str] = "NO-SUCH-DEVICE"
    computes: ClassVar[bool] = True
    tolerance: ClassVar[float] = 1e-3
    free_batch: ClassVar[Mapping[str, str]] = {}

    @pytest.fixture(scope="class")
    @classmethod
    def backend(cls) -> Backend:
        """The backend under test."""
        return seam.find(cls.name)

    @pytest.fixture(scope="class")
    @classmethod
    def profile(cls) -> DeviceProfile:
        """A device of this host, in f32."""
        return DeviceProfile(name="under-test", backend=cls.name, device=cls.device, precision="f32")

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """The tiny model."""
        return tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx")

    @pytest.fixture(scope="class")
    @classmethod
    def built(
        cls, backend: Backend, profile: DeviceProfile, model: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> tuple[Engine, Path]:
        """The tiny model's engine, and the folder of its files."""
        folder = tmp_path_factory.mktemp("engine")
        return backend.compile(model, profile, folder), folder

    @pytest.fixture
    def session(self, backend: Backend, built: tuple[Engine, Path]) -> Iterator[Session]:
        """The engine, opened."""
        opened = backend.open(*built)
        yield opened
        opened.close()

    def test_probe_names_its_devices_and_versions(self, backend: Backend) -> None:
        found = backend.probe()
        assert found.usable
        assert self.device in found.devices
        assert found.versions == backend.fingerprint()
        assert self.library in found.versions

    def test_an_engine_says_what_it_is_and_where_from(self, built: tuple[Engine, Path], model: Path) -> None:
        engine, folder = built
        assert (engine.backend, engine.device, engine.precision) == (self.name, self.device, "f32")
        assert engine.source == digest.of_file(model)
        assert sorted(engine.files) == digest.tree_files(folder)
        assert [(spec.name, spec.dtype, spec.shape) for spec in engine.inputs] == [
            ("input", "uint8", (1, SIDE, SIDE, 3))
        ]
        assert [(spec.name, spec.shape) for spec in engine.outputs] == [("logits", (1, len(COLOURS)))]
        assert msgspec.json.decode(digest.canonical_json(engine), type=Engine) == engine

    def test_answers_are_the_networks(self, session: Session) -> None:
        if not self.computes:
            pytest.skip("its answers are not the network's")
        for picture in _pictures(8):
            expected = expected_logits(picture)
            found = session.run({"input": picture})["logits"]
            assert np.abs(found - expected).max() <= self.tolerance * np.abs(expected).max()

    def test_the_same_input_gives_the_same_answer_in_an_array_of_the_callers(self, session: Session) -> None:
        first, second = _pictures(2)
        kept = session.run({"input": first})["logits"]
        before = kept.copy()
        other = session.run({"input": second})["logits"]
        assert not np.array_equal(before, other)
        assert np.array_equal(kept, before)
        assert np.array_equal(session.run({"input": first})["logits"], before)

    def test_a_cache_changes_no_answer(
        self, backend: Backend, built: tuple[Engine, Path], session: Session, tmp_path: Path
    ) -> None:
        picture = _pictures(1)[0]
        expected = session.run({"input": picture})["logits"]
        for _ in range(2):  # the one that fills it, and one that finds it full
            opened = backend.open(*built, cache=tmp_path)
            try:
                assert np.array_equal(opened.run({"input": picture})["logits"], expected)
            finally:
                opened.close()

    def test_a_trial_answers_as_the_engine_does(
        self, backend: Backend, profile: DeviceProfile, model: Path, session: Session
    ) -> None:
        trial = backend.trial(model, profile)
        try:
            for picture in _pictures(4):
                expected = session.run({"input": picture})["logits"]
                found = trial.run({"input": picture})["logits"]
                assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
        finally:
            trial.close()

    def test_a_trial_refuses_what_compiling_refuses(
        self, backend: Backend, profile: DeviceProfile, model: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(EnvironmentLacks):
            backend.trial(model, msgspec.structs.replace(profile, device=self.absent))
        damaged = tmp_path / "damaged.onnx"
        damaged.write_bytes(b"not a model")
        with pytest.raises(BackendError):
            backend.trial(damaged, profile)

    def test_a_view_of_a_picture_is_taken_as_it_looks(self, session: Session) -> None:
        picture = _pictures(1)[0]
        backwards = picture[:, ::-1, :, ::-1]
        assert np.array_equal(
            session.run({"input": backwards})["logits"],
            session.run({"input": np.ascontiguousarray(backwards)})["logits"],
        )

    @pytest.mark.parametrize(
        ("inputs", "words"),
        [
            ({"input": np.zeros((1, SIDE, SIDE, 3), np.float32)}, "float32"),
            ({"input": np.zeros((1, SIDE + 1, SIDE, 3), np.uint8)}, f"{SIDE + 1}"),
            ({"input": np.zeros((SIDE, SIDE, 3), np.uint8)}, "the engine takes uint8"),
            ({"input": np.zeros((2, SIDE, SIDE, 3), np.uint8)}, "the engine takes uint8"),
            ({"picture": np.zeros((1, SIDE, SIDE, 3), np.uint8)}, "picture"),
            ({}, "takes"),
        ],
        ids=["dtype", "height", "no batch", "batch", "name", "nothing"],
    )
    def test_an_input_that_a_vendor_might_cast_is_refused(
        self, session: Session, inputs: dict[str, Array], words: str
    ) -> None:
        with pytest.raises(InputError, match=words):
            session.run(inputs)

    def test_threads_share_a_session_and_get_their_own_answers(self, session: Session) -> None:
        pictures = _pictures(THREADS)
        expected = [session.run({"input": picture})["logits"] for picture in pictures]
        wrong: list[int] = []
        gate = threading.Barrier(THREADS)

        def work(index: int) -> None:
            gate.wait()
            for _ in range(20):
                found = session.run({"input": pictures[index]})["logits"]
                if not np.array_equal(found, expected[index]):
                    wrong.append(index)

        threads = [threading.Thread(target=work, args=(index,)) for index in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong

    def test_a_request_is_written_to_and_started_and_two_do_not_meet(self, session: Session) -> None:
        first, second = _pictures(2)
        one, other = session.request(), session.request()
        one.inputs["input"][...] = first
        other.fill({"input": second})
        one.start()
        other.start()
        answers = [np.array(request.wait()["logits"]) for request in (one, other)]
        assert np.array_equal(answers[0], session.run({"input": first})["logits"])
        assert np.array_equal(answers[1], session.run({"input": second})["logits"])

    def test_an_inference_at_once_answers_as_one_that_is_started(self, session: Session) -> None:
        request, pictures = session.request(), _pictures(2)
        for picture in pictures:
            request.fill({"input": picture})
            at_once = np.array(request.infer()["logits"])
            request.start()
            assert np.array_equal(request.wait()["logits"], at_once)
            assert np.array_equal(session.run({"input": picture})["logits"], at_once)

    def test_a_closed_session_answers_nobody(self, backend: Backend, built: tuple[Engine, Path]) -> None:
        opened = backend.open(*built)
        opened.run({"input": _pictures(1)[0]})
        opened.close()
        opened.close()
        with pytest.raises(InputError, match="closed"):
            opened.run({"input": _pictures(1)[0]})

    @pytest.mark.parametrize("stamp", [{}, {"version": "1999.1.0"}], ids=["no release", "another release"])
    def test_an_engine_of_another_release_is_refused_before_a_byte_is_read(
        self, backend: Backend, built: tuple[Engine, Path], tmp_path: Path, stamp: dict[str, str]
    ) -> None:
        built_with = {self.library: stamp["version"]} if stamp else {}
        foreign = msgspec.structs.replace(built[0], built_with=built_with)
        with pytest.raises(NotComparable, match="was built with"):  # the folder is empty: reading would fail
            backend.open(foreign, tmp_path)

    def test_damaged_files_are_told_in_our_words(
        self, backend: Backend, built: tuple[Engine, Path], tmp_path: Path
    ) -> None:
        for name in built[0].files:
            (tmp_path / name).write_bytes(b"\x00not an engine\xff" * 9)
        with pytest.raises(BackendError) as caught:
            backend.open(built[0], tmp_path)
        assert str(tmp_path) not in caught.value.problem

    def test_a_file_that_is_no_model_is_told_in_our_words(
        self, backend: Backend, profile: DeviceProfile, tmp_path: Path
    ) -> None:
        broken = tmp_path / "broken.onnx"
        broken.write_bytes(b"\x00no model\xff" * 9)
        (tmp_path / "work").mkdir()
        with pytest.raises(BackendError, match=r"broken\.onnx"):
            backend.compile(broken, profile, tmp_path / "work")

    def test_a_device_that_is_not_here_is_an_error_and_never_another_device(
        self, backend: Backend, profile: DeviceProfile, model: Path, tmp_path: Path
    ) -> None:
        elsewhere = msgspec.structs.replace(profile, device=self.absent)
        with pytest.raises(EnvironmentLacks, match=self.absent):
            backend.compile(model, elsewhere, tmp_path)
        assert not digest.tree_files(tmp_path)

    def test_explain_lists_what_ran_with_precision_and_time(
        self, backend: Backend, built: tuple[Engine, Path]
    ) -> None:
        layers = backend.explain(*built)
        assert layers
        assert all(layer.precision for layer in layers)
        assert sum(layer.microseconds or 0.0 for layer in layers) > 0
        assert len({layer.name for layer in layers}) == len(layers)

    def test_explain_refuses_inputs_that_are_not_the_engines(
        self, backend: Backend, built: tuple[Engine, Path]
    ) -> None:
        with pytest.raises(InputError, match="float32"):
            backend.explain(*built, inputs={"input": np.zeros((1, SIDE, SIDE, 3), np.float32)})

    def test_a_free_batch_takes_any_number(
        self, backend: Backend, profile: DeviceProfile, tmp_path: Path
    ) -> None:
        free = tiny_model(tmp_path / "free.onnx", batch="N")
        folder = tmp_path / "engine"
        folder.mkdir()
        told = msgspec.structs.replace(profile, options={**profile.options, **self.free_batch})
        opened = backend.open(backend.compile(free, told, folder), folder)
        pictures = _pictures(5)[:, 0]
        together = opened.run({"input": pictures})["logits"]
        alone = np.concatenate([opened.run({"input": picture[None]})["logits"] for picture in pictures])
        opened.close()
        assert np.allclose(together, alone, atol=1e-4)
