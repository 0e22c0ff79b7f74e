"""Whether a GPU that shares its memory with the CPU had better read the host's bytes than a copy of them: measured.

Which is faster follows from the chip's caches: up to the TX2 the CPU does not cache memory that the GPU may read,
from Xavier on both see one another's writes. So the whole way of a picture is timed, the host's part included.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl.backends.seam import Request

__all__ = ["medians_us"]

Array = npt.NDArray[Any]

WARM_RUNS = 10
RUNS = 40


def medians_us(
    requests: Mapping[str, Request], feed: Mapping[str, Array], clock: Callable[[], int]
) -> dict[str, float]:
    """Median microseconds from writing the input to having read the output, runs of all requests interleaved.

    Parameters
    ----------
    clock : monotonic, in nanoseconds.
    """
    times: dict[str, list[int]] = {name: [] for name in requests}
    for run in range(WARM_RUNS + RUNS):
        for name, request in requests.items():
            begin = clock()
            request.fill(feed)
            request.start()
            for output in request.wait().values():
                np.array(output)
            if run >= WARM_RUNS:
                times[name].append(clock() - begin)
    return {name: statistics.median(taken) / 1e3 for name, taken in times.items()}
