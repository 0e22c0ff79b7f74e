"""How a command gives what it found: one JSON object or lines, and an exit code that is a yes or a no."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what the command line imports, every command waits for
    from edgetl.bundles import Answer
    from edgetl.errors import EdgetlError

__all__ = ["Told", "end", "give"]


class Told(Exception):
    """The command ends with ``code``, and everything was said: nothing more goes to either output."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def give(found: Answer, *, as_json: bool) -> None:
    """Print an answer, and end with its failure if it is a no.

    Raises
    ------
    EdgetlError : the failure, still to be told. Told : it stands in the JSON object already.
    """
    print(json.dumps(found.data, ensure_ascii=False) if as_json else "\n".join(found.lines))
    if found.failure is not None:
        end(found.failure, as_json=as_json)


def end(failure: EdgetlError, *, as_json: bool) -> None:
    """End with a failure; raises as ``give`` does."""
    if as_json:
        raise Told(failure.exit_code)
    raise failure
