"""The CUDA session on a GPU, by PyCUDA, with a kernel of our own: answers, graphs, threads, leaks."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from edgetl.backends.cuda import CudaRequest, CudaSession
from edgetl.backends.cuda.on_pycuda import PyCudaDriver
from edgetl.errors import EnvironmentLacks, InputError
from tests.gpu.conftest import lacking

WIDTH = 1000
LOOPS = 200
SLACK_BYTES = 4 << 20
"""What other programs and the driver's own pools may move meanwhile."""


@pytest.fixture(scope="module")
def kernel(cuda: PyCudaDriver, affine: Any) -> Any:
    """The kernel, loaded once."""
    with cuda.current():
        return affine.Kernel()


def opened(
    cuda: PyCudaDriver, affine: Any, kernel: Any, *shape: int | None, timed: bool = False
) -> CudaSession:
    """A session of it."""
    ports = affine.tensors(*shape)
    return CudaSession(affine.engine(ports), lambda: affine.Affine(kernel, ports), driver=cuda, timed=timed)


def values(seed: int, count: int = WIDTH) -> np.ndarray[Any, np.dtype[np.float32]]:
    """An input."""
    return np.random.default_rng(seed).normal(size=(1, count)).astype(np.float32)


def test_answers_are_the_kernels(cuda: PyCudaDriver, affine: Any, kernel: Any) -> None:
    session = opened(cuda, affine, kernel, 1, WIDTH)
    for seed in range(10):
        found = session.run({"x": values(seed)})["y"]
        assert np.allclose(found, 2 * values(seed) + 1, rtol=1e-6)
    session.close()


def test_a_static_engine_is_a_graph_where_cuda_python_is_here(
    cuda: PyCudaDriver, affine: Any, kernel: Any
) -> None:
    if cuda.no_graphs:
        lacking(cuda.no_graphs)
    session = opened(cuda, affine, kernel, 1, WIDTH)
    assert session.facts["launch"] == "graph"
    session.close()


def test_free_shapes_answer_at_any_size(cuda: PyCudaDriver, affine: Any, kernel: Any) -> None:
    session = opened(cuda, affine, kernel, 1, None)
    for count in (1, 5000, 7):
        found = session.run({"x": values(count, count)})["y"]
        assert np.allclose(found, 2 * values(count, count) + 1, rtol=1e-6)
    session.close()


def test_threads_get_their_own_answers(cuda: PyCudaDriver, affine: Any, kernel: Any) -> None:
    session = opened(cuda, affine, kernel, 1, WIDTH)
    wrong: list[int] = []

    def work(seed: int) -> None:
        for _ in range(50):
            if not np.allclose(session.run({"x": values(seed)})["y"], 2 * values(seed) + 1, rtol=1e-6):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    session.close()
    assert not wrong


def test_opening_and_closing_leaves_the_devices_memory_as_it_was(
    cuda: PyCudaDriver, affine: Any, kernel: Any
) -> None:
    import pycuda.driver as vendor

    def free() -> int:
        with cuda.current():
            return int(vendor.mem_get_info()[0])

    opened(cuda, affine, kernel, 1, 1 << 20).close()
    before = free()
    for seed in range(LOOPS):
        session = opened(cuda, affine, kernel, 1, 1 << 20)  # 8 MiB a lane: a leak of one in fifty shows
        session.run({"x": values(seed, 1 << 20)})
        session.close()
    assert before - free() < SLACK_BYTES


def test_a_request_outlives_its_session(cuda: PyCudaDriver, affine: Any, kernel: Any) -> None:
    session = opened(cuda, affine, kernel, 1, WIDTH)
    request = session.request()
    request.fill({"x": values(3)})
    request.start()
    session.close()
    session.close()
    kept = request.wait()["y"]
    del request
    assert np.allclose(kept, 2 * values(3) + 1, rtol=1e-6)
    with pytest.raises(InputError, match="closed"):
        session.run({"x": values(3)})


def test_device_time_is_less_than_what_the_host_waited(cuda: PyCudaDriver, affine: Any, kernel: Any) -> None:
    request = opened(cuda, affine, kernel, 1, 1 << 20, timed=True).request()
    assert isinstance(request, CudaRequest)
    request.start()
    request.wait()
    assert request.device_ms > 0


def test_more_memory_than_there_is_is_told(cuda: PyCudaDriver, affine: Any, kernel: Any) -> None:
    if cuda.integrated:
        pytest.skip(
            "the GPU shares the host's memory: asking for all of it would have the system end this process"
        )
    with pytest.raises(EnvironmentLacks, match="no memory left"), cuda.current():
        cuda.allocate(1 << 50)
