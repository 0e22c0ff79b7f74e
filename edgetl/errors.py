"""Every failure that edgetl can name, and the exit code of each branch.

::

    EdgetlError                 70   a failure of ours, unless a branch below says otherwise
    |-- GateFailed               1   everything ran, the answer is no
    |-- InputError               2   usage or bad input
    |   `-- BundleError          2   a bundle that is not what its manifest says
    |-- Inconclusive             3   the measurement cannot tell
    |-- NotComparable            4   another device, shape, power mode or version
    |-- EnvironmentLacks         5   this host lacks a backend, a device, a file, space
    |   `-- BackendError         5   a vendor library refused; its own words are in ``facts``
    `-- Cancelled              130   interrupted; what was whole is kept
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from typing import ClassVar

__all__ = [
    "BackendError",
    "BundleError",
    "Cancelled",
    "EdgetlError",
    "EnvironmentLacks",
    "GateFailed",
    "Inconclusive",
    "InputError",
    "NotComparable",
    "did_you_mean",
    "outcome",
]


class EdgetlError(Exception):
    """A failure edgetl can name: the problem, what mends it, and the facts behind it.

    Parameters
    ----------
    problem : what was found and what was expected, one line.
    hint : the next action, one line; empty where there is none.
    **facts : JSON-able values, printed by ``--json``.
    """

    exit_code: ClassVar[int] = 70

    def __init__(self, problem: str, *, hint: str = "", **facts: object) -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint
        self.facts = facts

    def as_data(self) -> dict[str, object]:
        """The error as ``--json`` prints it."""
        return {
            "code": self.exit_code,
            "class": type(self).__name__,
            "problem": self.problem,
            "hint": self.hint,
            "facts": json.loads(json.dumps(self.facts, default=str)),
        }


class GateFailed(EdgetlError):
    """Everything ran; the answer is no."""

    exit_code = 1


class InputError(EdgetlError):
    """What the user gave is not usable."""

    exit_code = 2


class BundleError(InputError):
    """A bundle that is not what its manifest says."""


class Inconclusive(EdgetlError):
    """The measurement cannot tell."""

    exit_code = 3


class NotComparable(EdgetlError):
    """Two results that must not be held against each other."""

    exit_code = 4


class EnvironmentLacks(EdgetlError):
    """This host lacks something: a backend, a device, a driver, a file, space."""

    exit_code = 5


class BackendError(EnvironmentLacks):
    """A vendor library refused; its words are in ``facts["vendor"]``."""


class Cancelled(EdgetlError):
    """The user interrupted; what was whole is kept."""

    exit_code = 130


def outcome(failure: EdgetlError | None) -> dict[str, object]:
    """How a command ends that also has an answer, as ``--json`` prints it beside that: the code, and why it is no 0.

    >>> outcome(GateFailed("too slow"))
    {'exit_code': 1, 'failure': 'too slow'}
    """
    return {
        "exit_code": 0 if failure is None else failure.exit_code,
        "failure": None if failure is None else failure.problem,
    }


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``" Did you mean 'x'?"`` for the nearest known name, or an empty string.

    >>> did_you_mean("mobilnet_v2", ["resnet18", "mobilenet_v2"])
    " Did you mean 'mobilenet_v2'?"
    """
    bare = {option.lstrip("-"): option for option in known}  # two dashes in common make no two options alike
    near = difflib.get_close_matches(name.lstrip("-"), list(bare), n=1, cutoff=0.6)
    return f" Did you mean {bare[near[0]]!r}?" if near else ""
