"""A session from opening to closing, on the genuine PyCUDA and the stand-in of CUDA's driver: run in a child."""

from __future__ import annotations

import ctypes
import json
import sys
import threading
from typing import Any

import numpy as np

from edgetl.backends.cuda import CudaSession, on_pycuda
from edgetl.backends.execution import IOTensor
from edgetl.errors import EdgetlError
from edgetl.types import Engine, TensorSpec

WIDTH = 1000
PORTS = (
    IOTensor(name="x", dtype="float32", shape=(1, WIDTH), mode="input"),
    IOTensor(name="y", dtype="float32", shape=(1, WIDTH), mode="output"),
)
INPUT, OUTPUT = (TensorSpec(name=port.name, dtype=port.dtype, shape=port.shape) for port in PORTS)
ENGINE = Engine(
    backend="x", device="GPU", precision="f32", files=(), source="", inputs=(INPUT,), outputs=(OUTPUT,)
)


class Doubled:
    """The stand-in's kernel as an execution."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._bound: dict[str, int] = {}

    def tensors(self) -> list[IOTensor]:
        """Input and output."""
        return list(PORTS)

    def set_shape(self, name: str, dims: tuple[int, ...]) -> None:
        """Fixed."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Fixed."""
        return (1, WIDTH)

    def bind(self, name: str, device_pointer: int) -> None:
        """An address."""
        self._bound[name] = device_pointer

    def enqueue(self, stream_handle: int) -> None:
        """On the stream."""
        words = (self._bound["x"], self._bound["y"], WIDTH, stream_handle)
        self._library.edgetl_kernel(*(ctypes.c_uint64(word) for word in words))

    def close(self) -> None:
        """Nothing."""


def main() -> None:
    library = ctypes.CDLL("libcuda.so.1")
    library.edgetl_report.restype = ctypes.c_char_p
    driver = on_pycuda.find()
    session = CudaSession(ENGINE, lambda: Doubled(library), driver=driver, timed=True)
    wrong: list[int] = []

    def work(seed: int) -> None:
        values = np.random.default_rng(seed).normal(size=(1, WIDTH)).astype(np.float32)
        for _ in range(5):
            if not np.array_equal(session.run({"x": values})["y"], 2 * values + 1):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
        thread.join()
    held = [session.request()]
    kept = held[0].wait()["y"]
    session.close()
    elsewhere = threading.Thread(target=held.clear)  # the last reference goes on a thread without a context
    elsewhere.start()
    elsewhere.join()
    told: dict[str, Any] = {"with one array kept": json.loads(library.edgetl_report())}
    del kept
    try:
        with driver.current():
            driver.allocate(1 << 40)
    except EdgetlError as error:
        told["refused"] = [type(error).__name__, error.problem]
    told.update(json.loads(library.edgetl_report()), facts=session.facts, wrong=wrong)
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
