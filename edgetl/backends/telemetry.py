"""Importing a vendor's library without the module by which it reports to the vendor."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["without"]


@contextmanager
def without(reporter: str) -> Iterator[None]:
    """Let what is imported meanwhile find no such module; a program that has imported it itself keeps it.

    OpenVINO reports each import to the network, which nobody asked for, and from a fork of a process with threads: the
    fork can hang in a lock that no thread of it will open, and then this process waits for it at its end for ever.
    Without ``openvino_telemetry`` it takes a stub of its own.
    """
    if reporter in sys.modules:
        yield
        return
    sys.modules[reporter] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[reporter]
