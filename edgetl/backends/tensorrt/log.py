"""What TensorRT says while it works, kept: its functions answer ``None`` on failure, and the reason is in the log."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import tensorrt as trt

from edgetl.backends.checks import without_paths
from edgetl.errors import BackendError, EdgetlError

__all__ = ["Log", "mapped"]

CAUSES = (
    (r"out of memory|OutOfMemory|insufficient memory|Tactic Device request", "memory ran out: close other"
     " programs, add swap, or --backend-option memPoolSize=workspace:256"),
    (r"[Pp]lugin not found|getPluginCreator|plugin.*(not found|not registered)|No importer registered", "TensorRT"
     " has no such operator and no plugin for it: export the model without it"),
    (r"initialization failure with error: ?35", "the driver is older than TensorRT's CUDA: update the driver"),
    (r"[Cc]ould not find any implementation for node", "no kernel fits that node here: give it more memory"
     " (memPoolSize=workspace:N), or leave its Q/DQ out (edgetl sensitivity names layers)"),
    (r"only activation types allowed", "a bias is quantized: edgetl quantize leaves it in float"),
    (r"must be all zeros", "a quantizer has a zero point: edgetl quantize --device jetson makes symmetric ones"),
    (r"MAGIC_TAG|agicTag", "it is no plan, or it is cut short: build it again"),
    (r"[Vv]ersion.*(does not match|Serialized Engine Version)|VersionRead", "another TensorRT built it: build it"
     " again on this device"),
    (r"incompatible device|expecting compute", "it is for another GPU: build it again on this device"),
)  # fmt: skip
"""What the log says, and what mends it; an error that has a known cause is told before one that has none."""


class Log(trt.ILogger):  # type: ignore[misc] # the vendor has no stubs
    """A logger that keeps warnings and errors.

    Attributes
    ----------
    errors, warnings : in the order they came.
    """

    def __init__(self) -> None:
        trt.ILogger.__init__(self)  # pybind11 takes no super()
        self.errors: list[str] = []
        self.warnings: list[str] = []

    def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
        """Called by the library, from any of its threads."""
        if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
            self.errors.append(_plain(msg))
        elif severity == trt.ILogger.WARNING:
            self.warnings.append(_plain(msg))

    def failure(self, what: str, otherwise: str = "it says no more") -> BackendError:
        """An error of ours, with the sentence that explains it and all that was said.

        Parameters
        ----------
        what : that failed, a sentence's begin. otherwise : the reason where the log has none.
        """
        said = [*self.errors, *self.warnings]
        for line in [*said, otherwise]:
            for pattern, mend in CAUSES:
                if re.search(pattern, line):
                    return BackendError(f"{what}: {line}", hint=mend, vendor=said)
        return BackendError(
            f"{what}: {(self.errors or [otherwise])[-1]}", hint="--debug shows all it said", vendor=said
        )


@contextmanager
def mapped(log: Log, what: str) -> Iterator[None]:
    """Whatever the library raises becomes an error of ours: TypeError where it gives a null pointer, mostly."""
    try:
        yield
    except (EdgetlError, OSError):
        raise
    except Exception as error:
        raise log.failure(what, _plain(str(error)) or type(error).__name__) from error


def _plain(words: str) -> str:
    """One line without source positions and paths.

    >>> _plain("4: [network.cpp::validate::3] Error Code 4: Internal Error (no outputs)")
    'Error Code 4: Internal Error (no outputs)'
    """
    return re.sub(r"^(?:\d+: )?\[[^\]]*\] ?", "", without_paths(words))
