"""A child's program: one task with our code, its outcome as JSON. Runs as ``python -m tests.nvidia.drive``.

The genuine bindings are imported here as ``tensorrt`` is imported on a device; nothing knows of a stand-in.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from edgetl.errors import EdgetlError

__all__ = ["main"]


def compile(model: str, folder: str, **profile: Any) -> Any:
    """Build an engine as ``edgetl compile`` does; the engine's record."""
    from edgetl.backends.tensorrt import TensorRT
    from edgetl.devices import DeviceProfile

    device = DeviceProfile(**{"name": "under-test", "backend": "tensorrt", "device": "GPU", **profile})
    return TensorRT().compile(Path(model), device, Path(folder))


def explain(engine: dict[str, Any], folder: str) -> Any:
    """The layers of an engine that ``compile`` gave."""
    from edgetl.backends.tensorrt import TensorRT
    from edgetl.types import Engine

    return TensorRT().explain(msgspec.convert(engine, Engine), Path(folder))


def probe() -> Any:
    """What the backend says of this host."""
    from edgetl.backends.tensorrt import TensorRT

    return TensorRT().probe()


def execute(plan: str, dims: list[int], runs: int = 1) -> Any:
    """Open a plan and run it, profiled, on addresses that nobody reads; its tensors, their shapes and the times."""
    from edgetl.backends.tensorrt.execution import OpenedPlan, Times

    times = Times()
    execution = OpenedPlan(bytes.fromhex(plan)).execution(times)
    tensors = execution.tensors()
    for tensor in tensors:
        if tensor.mode == "input" and None in tensor.shape:
            execution.set_shape(tensor.name, tuple(dims))
    shapes = {tensor.name: execution.shape(tensor.name) for tensor in tensors}
    for index, tensor in enumerate(tensors):
        execution.bind(tensor.name, 0x1000 * (index + 1))
    for _ in range(runs):
        execution.enqueue(0x77)
    execution.close()
    return {"tensors": tensors, "shapes": shapes, "milliseconds": times.milliseconds}


def vocabulary() -> Any:
    """The enumerations of the bindings: name -> member -> number."""
    import tensorrt

    found: dict[str, dict[str, int]] = {}
    for name, kind in vars(tensorrt).items():
        members = getattr(kind, "__members__", None)
        if isinstance(kind, type) and members:
            found[name] = {member: int(value) for member, value in members.items()}
    return found


TASKS = {task.__name__: task for task in (compile, explain, probe, execute, vocabulary)}


def main(task: str, arguments: str, outcome: str) -> None:
    """Run a task and write what came of it.

    Parameters
    ----------
    arguments : JSON. outcome : the file that is written: ``result``, or ``error`` with class, problem and hint.
    """
    try:
        told: dict[str, Any] = {"result": TASKS[task](**json.loads(arguments))}
    except EdgetlError as error:
        words = {"class": type(error).__name__, "problem": error.problem, "hint": error.hint}
        told = {"error": words, "facts": error.facts}
    Path(outcome).write_bytes(msgspec.json.encode(told, enc_hook=str))


if __name__ == "__main__":
    main(*sys.argv[1:])
