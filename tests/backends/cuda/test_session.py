"""The CUDA session on a driver that counts: answers, threads, and that all is given back in any order."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable

import numpy as np
import pytest

from edgetl.backends.cuda import CudaRequest, CudaSession
from edgetl.backends.execution import Execution, IOTensor
from edgetl.backends.seam import Session
from edgetl.errors import BackendError, EnvironmentLacks, InputError
from tests.backends.fake_cuda import Array, FakeCuda, FakeExecution, engine_of

STATIC = (
    IOTensor(name="x", dtype="uint8", shape=(2, 3), mode="input"),
    IOTensor(name="y", dtype="float32", shape=(2, 3), mode="output"),
)
FREE = (
    IOTensor(name="x", dtype="float32", shape=(None, 3), mode="input"),
    IOTensor(name="y", dtype="float32", shape=(None, 3), mode="output"),
)
THREADS = 8


def opened(
    cuda: FakeCuda,
    tensors: tuple[IOTensor, ...] = STATIC,
    *,
    timed: bool = False,
    clock: Callable[[], int] = lambda: 0,
    **options: bool,
) -> CudaSession:
    """A session of an engine that doubles and adds one."""

    def execution() -> Execution:
        return FakeExecution(cuda, tensors, **options)

    return CudaSession(engine_of(tensors), execution, driver=cuda, timed=timed, clock=clock)


def picture(seed: int = 0) -> Array:
    """An input of the static engine."""
    return np.random.default_rng(seed).integers(0, 256, (2, 3)).astype(np.uint8)


def doubled(values: Array) -> Array:
    """What the engine answers."""
    result: Array = 2 * values.astype(np.float32) + 1
    return result


@pytest.fixture
def cuda() -> FakeCuda:
    """A card with memory of its own."""
    return FakeCuda()


@pytest.mark.parametrize("no_graphs", ["", "no CUDA graphs, for cuda-python is not installed"])
@pytest.mark.parametrize("integrated", [False, True])
def test_answers_are_the_engines_and_the_callers_own(no_graphs: str, integrated: bool) -> None:
    cuda = FakeCuda(no_graphs=no_graphs, integrated=integrated)
    session = opened(cuda)
    assert isinstance(session, Session)
    first = session.run({"x": picture(1)})["y"]
    second = session.run({"x": picture(2)})["y"]
    assert np.array_equal(first, doubled(picture(1)))
    assert np.array_equal(second, doubled(picture(2)))
    session.close()
    assert cuda.leaks() == {}
    assert cuda.faults == []


def test_static_shapes_are_launched_as_a_graph_and_that_is_said(cuda: FakeCuda) -> None:
    session = opened(cuda)
    assert session.facts["launch"] == "graph"
    for seed in range(3):
        session.run({"x": picture(seed)})
    assert cuda.launches == 3


def test_without_cuda_python_launches_are_plain_and_the_reason_is_said() -> None:
    cuda = FakeCuda(no_graphs="no CUDA graphs, for cuda-python is not installed")
    session = opened(cuda)
    assert session.facts["launch"] == "plain: no CUDA graphs, for cuda-python is not installed"
    assert np.array_equal(session.run({"x": picture()})["y"], doubled(picture()))
    assert cuda.launches == 0


def test_graphs_are_left_out_where_layers_are_to_be_timed(cuda: FakeCuda) -> None:
    session = CudaSession(engine_of(STATIC), lambda: FakeExecution(cuda, STATIC), driver=cuda, graphs=False)
    assert session.facts["launch"] == "plain: no CUDA graphs were asked for"
    session.run({"x": picture()})
    assert (cuda.launches, cuda.made.get("graph", 0)) == (0, 0)
    assert opened(cuda).facts["launch"] == "graph"


def test_an_engine_that_cannot_be_captured_is_launched_plainly_and_that_is_said(cuda: FakeCuda) -> None:
    session = opened(cuda, captures=False)
    assert session.facts["launch"] == "plain: the vendor cannot be captured"
    assert np.array_equal(session.run({"x": picture()})["y"], doubled(picture()))
    assert cuda.faults == []


def test_nothing_is_allocated_by_a_call(cuda: FakeCuda) -> None:
    session = opened(cuda)
    session.run({"x": picture()})
    before = dict(cuda.made)
    for seed in range(5):
        session.run({"x": picture(seed)})
    assert cuda.made == before


def test_a_request_is_written_to_and_started_and_two_do_not_meet(cuda: FakeCuda) -> None:
    session = opened(cuda)
    one, other = session.request(), session.request()
    one.inputs["x"][...] = picture(1)
    other.fill({"x": picture(2)})
    one.start()
    other.start()
    assert np.array_equal(one.wait()["y"], doubled(picture(1)))
    assert np.array_equal(other.wait()["y"], doubled(picture(2)))


def test_free_shapes_grow_with_the_largest_and_allocate_no_more(cuda: FakeCuda) -> None:
    session = opened(cuda, FREE)
    assert session.facts["launch"] == "plain: shapes are free"
    for count in (1, 4, 2, 4, 3):
        values = np.random.default_rng(count).normal(size=(count, 3)).astype(np.float32)
        assert np.array_equal(session.run({"x": values})["y"], doubled(values))
        if count == 4:
            largest = dict(cuda.made)
    assert cuda.made == largest
    session.close()
    assert (cuda.leaks(), cuda.faults) == ({}, [])


def test_a_shape_that_the_engine_does_not_take_is_bad_input_and_the_session_lives(cuda: FakeCuda) -> None:
    session = opened(cuda, FREE)
    with pytest.raises(InputError, match="takes up to 8"):
        session.run({"x": np.zeros((9, 3), np.float32)})
    assert session.run({"x": np.zeros((2, 3), np.float32)})["y"].shape == (2, 3)
    session.close()
    assert (cuda.leaks(), cuda.faults) == ({}, [])


@pytest.mark.parametrize("wrong", [np.zeros((2, 3), np.float32), np.zeros((3, 2), np.uint8)])
def test_nothing_is_cast(cuda: FakeCuda, wrong: Array) -> None:
    with pytest.raises(InputError, match="the engine takes uint8"):
        opened(cuda).run({"x": wrong})


def test_threads_get_their_own_answers_and_contexts(cuda: FakeCuda) -> None:
    session = opened(cuda)
    wrong: list[int] = []
    gate = threading.Barrier(THREADS)

    def work(seed: int) -> None:
        gate.wait()
        for _ in range(20):
            if not np.array_equal(session.run({"x": picture(seed)})["y"], doubled(picture(seed))):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    session.close()
    assert (wrong, cuda.faults, cuda.leaks()) == ([], [], {})
    assert cuda.made["execution"] <= THREADS + 1


def test_opening_again_and_again_leaks_nothing(cuda: FakeCuda) -> None:
    for seed in range(50):
        session = opened(cuda, timed=True)
        session.run({"x": picture(seed)})
        session.close()
    assert (cuda.leaks(), cuda.faults) == ({}, [])


def test_a_session_that_nobody_closes_goes_with_its_last_reference(cuda: FakeCuda) -> None:
    opened(cuda).run({"x": picture()})
    gc.collect()
    assert (cuda.leaks(), cuda.faults) == ({}, [])


def test_a_session_may_be_closed_before_its_requests_and_twice(cuda: FakeCuda) -> None:
    session = opened(cuda)
    request = session.request()
    request.fill({"x": picture()})
    request.start()
    session.close()
    session.close()
    assert np.array_equal(request.wait()["y"], doubled(picture()))
    with pytest.raises(InputError, match="closed"):
        session.request()
    with pytest.raises(InputError, match="closed"):
        session.run({"x": picture()})
    del request
    assert (cuda.leaks(), cuda.faults) == ({}, [])


def test_a_request_that_is_dropped_in_flight_is_waited_for(cuda: FakeCuda) -> None:
    session = opened(cuda)
    request = session.request()
    request.start()
    del request
    session.close()
    assert (cuda.leaks(), cuda.faults) == ({}, [])


def test_an_array_of_a_request_lasts_longer_than_the_request(cuda: FakeCuda) -> None:
    session = opened(cuda)
    request = session.request()
    request.fill({"x": picture(3)})
    request.start()
    kept = request.wait()["y"]
    del request
    session.close()
    assert cuda.leaks() == {"pinned": 1}
    assert np.array_equal(kept, doubled(picture(3)))
    del kept
    assert cuda.leaks() == {}


def test_a_request_that_goes_on_another_thread_goes_in_a_context(cuda: FakeCuda) -> None:
    session = opened(cuda)
    held = [session.request()]
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    session.close()
    assert (cuda.leaks(), cuda.faults) == ({}, [])


@pytest.mark.parametrize("room", [0, 6, 29])
def test_out_of_memory_is_told_and_what_was_taken_is_given_back(room: int) -> None:
    cuda = FakeCuda(room=room)
    with pytest.raises(EnvironmentLacks, match="no memory left"):
        opened(cuda)
    gc.collect()
    assert (cuda.leaks(), cuda.faults) == ({}, [])


def test_a_second_request_without_room_leaves_the_first_at_work() -> None:
    cuda = FakeCuda(room=32)
    session = opened(cuda)
    with pytest.raises(EnvironmentLacks, match="no memory left"):
        session.request()
    assert np.array_equal(session.run({"x": picture()})["y"], doubled(picture()))


def test_an_engine_that_fails_is_told_and_given_back(cuda: FakeCuda) -> None:
    with pytest.raises(BackendError, match="could not run"):
        opened(cuda, fails=True)
    gc.collect()
    assert (cuda.leaks(), cuda.faults) == ({}, [])


def test_a_device_that_failed_for_good_is_told_and_still_closed(cuda: FakeCuda) -> None:
    session = opened(cuda)
    cuda.sticky = True
    with pytest.raises(BackendError, match="unspecified launch failure"):
        session.run({"x": picture()})
    session.close()
    gc.collect()
    assert (cuda.leaks(), cuda.faults) == ({}, [])


def test_an_engine_that_is_not_its_record_is_refused(cuda: FakeCuda) -> None:
    other = (STATIC[0], IOTensor(name="y", dtype="float16", shape=(2, 3), mode="output"))
    with pytest.raises(BackendError, match=r"takes and gives .*float16.* record says .*float32"):
        CudaSession(engine_of(STATIC), lambda: FakeExecution(cuda, other), driver=cuda)
    gc.collect()
    assert (cuda.leaks(), cuda.faults) == ({}, [])


@pytest.mark.parametrize(("copied", "mapped", "chosen"), [(900, 400, "mapped"), (400, 900, "copied")])
def test_shared_memory_is_used_where_it_was_faster(copied: int, mapped: int, chosen: str) -> None:
    cuda = FakeCuda(integrated=True)
    laps = iter([0, copied, 0, mapped] * 1000)
    total = 0

    def clock() -> int:
        nonlocal total
        total += next(laps) * 1000
        return total

    session = opened(cuda, clock=clock)
    assert session.facts["memory"] == f"{chosen}: {copied:.1f} us copied, {mapped:.1f} us mapped"
    assert cuda.live.get("device", 0) == (0 if chosen == "mapped" else 2)
    assert np.array_equal(session.run({"x": picture()})["y"], doubled(picture()))
    session.request()
    assert cuda.live.get("device", 0) == (0 if chosen == "mapped" else 2)
    session.close()
    assert (cuda.leaks(), cuda.faults) == ({}, [])


def test_a_card_copies_and_free_shapes_are_not_measured() -> None:
    assert opened(FakeCuda()).facts["memory"] == "copied: the GPU has memory of its own"
    free = opened(FakeCuda(integrated=True), FREE)
    assert free.facts["memory"] == "copied: shapes are free, so nothing was measured"


def test_device_time_is_taken_by_events(cuda: FakeCuda) -> None:
    request = opened(cuda, timed=True).request()
    assert isinstance(request, CudaRequest)
    request.start()
    request.wait()
    assert request.device_ms == 1.0


def test_the_judge_notices_work_without_a_context(cuda: FakeCuda) -> None:
    cuda.stream()
    assert cuda.faults == ["make a stream without a context", "stream was forgotten"]


def test_the_judge_gives_old_bytes_to_who_does_not_wait(cuda: FakeCuda) -> None:
    request = opened(cuda).request()
    request.fill({"x": picture(1)})
    request.start()
    view = request.wait()["y"]
    request.fill({"x": picture(2)})
    request.start()
    assert np.array_equal(view, doubled(picture(1)))
    request.wait()
    assert np.array_equal(view, doubled(picture(2)))
