"""D4: what a CUDA session adds to the bare launch of the same graph, which copies in, runs one kernel and copies out.

Both are of one process, one stream of work and the same pinned memory; blocks of calls alternate. Without a GPU the
row says "not measured".
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import _affine
from _results import Results, parser

from edgetl.backends.cuda import CudaSession, on_pycuda
from edgetl.backends.cuda.driver import CudaDriver
from edgetl.backends.cuda.memory import TensorMemory
from edgetl.errors import EnvironmentLacks

ROW = "D4 PyCUDA session overhead over the bare launch, CUDA graph"
LIMIT_US = 15.0
SIZE = 224 * 224 * 3
BLOCKS, CALLS, WARM = 40, 200, 200


def main() -> None:
    options = parser(__doc__).parse_args()
    results = Results("cuda", quick=options.quick, also=["pycuda", "cuda-python"])
    try:
        driver = on_pycuda.find()
        if driver.no_graphs:
            raise EnvironmentLacks(driver.no_graphs)
        measure(results, driver, blocks=4 if options.quick else BLOCKS)
    except EnvironmentLacks as error:
        results.row(ROW, None, "us", target=f"<= {LIMIT_US}", note=f"not measured: {error.problem}")
    results.write()


def measure(results: Results, driver: CudaDriver, *, blocks: int) -> None:
    """Time both, in blocks that alternate."""
    ports = _affine.tensors(1, SIZE)
    with driver.current():
        kernel = _affine.Kernel()
    session = CudaSession(_affine.engine(ports), lambda: _affine.Affine(kernel, ports), driver=driver)
    request = session.request()

    def ours() -> None:
        request.start()
        request.wait()

    contenders = {"bare": bare_launch(driver, kernel), "session": ours}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    with driver.current():  # the bare launch makes no context current itself
        for call in contenders.values():
            for _ in range(WARM):
                call()
        for block in range(blocks):
            order = list(contenders) if block % 2 else list(reversed(contenders))
            for name in order:
                times[name].append(microseconds(contenders[name]))
    session.close()
    results.keep("microseconds, means of blocks", times)
    added = [whole - bare for whole, bare in zip(times["session"], times["bare"])]
    results.limit(
        ROW,
        statistics.median(added),
        "us",
        at_most=LIMIT_US,
        n=len(added),
        note=f"bare {statistics.median(times['bare']):.1f} us; {driver.facts['gpu']}; {session.facts['memory']}",
    )


def bare_launch(driver: CudaDriver, kernel: _affine.Kernel) -> Callable[[], None]:
    """The same graph, launched and waited for."""
    source, target = (TensorMemory(driver, port, mapped=False) for port in _affine.tensors(1, SIZE))
    with driver.current():
        stream = driver.stream()
        execution = _affine.Affine(kernel, _affine.tensors(1, SIZE))
        execution.bind("x", source.fit((1, SIZE)))
        execution.bind("y", target.fit((1, SIZE)))

        def work() -> None:
            source.send(stream)
            execution.enqueue(stream.handle)
            target.fetch(stream)

        work()
        stream.synchronize()
        graph = driver.capture(stream, work)

    def launch() -> None:
        graph.launch(stream)
        stream.synchronize()

    return launch


def microseconds(call: Callable[[], None]) -> float:
    """Mean time of a call over a block."""
    begin = time.perf_counter_ns()
    for _ in range(CALLS):
        call()
    return (time.perf_counter_ns() - begin) / CALLS / 1e3


if __name__ == "__main__":
    main()
