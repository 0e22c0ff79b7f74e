"""What a release of TensorRT has, from a dump of its bindings: names, signatures, and the types they tell."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["MODULE", "OTHER", "UNKNOWN", "Kind", "Release", "releases"]


class Kind(NamedTuple):
    """What an expression is: of the vendor's classes, one ``of`` them, a ``list`` of such, a ``member`` to call."""

    what: str
    name: str = ""
    member: str = ""


OTHER = Kind("other")
MODULE = Kind("module")
UNKNOWN = Kind("unknown")
"""Given by an attribute of the vendor's, whose types no dump knows: it may be used, and not looked into."""


class Release:
    """The names of one release.

    Parameters
    ----------
    dump : classes with methods, attributes and members, and functions; see the README beside the dumps.
    """

    def __init__(self, dump: Mapping[str, Any]) -> None:
        self.version: str = dump["meta"]["version"]
        self.functions: Mapping[str, list[str]] = dump["functions"]
        self.classes: dict[str, Any] = {}
        for name, body in dump["classes"].items():
            self.classes[name] = body
            for inner, nested in body.get("nested", {}).items():
                self.classes[f"{name}.{inner}"] = nested

    def signatures(self, owner: str, name: str) -> list[str] | None:
        """Of a method, inherited or not."""
        for kind in self._line(owner):
            if name in kind.get("methods", {}):
                found: list[str] = kind["methods"][name]
                return found
        return None

    def access(self, owner: str, name: str) -> str | None:
        """``r``, ``rw`` or ``const`` of an attribute or member; ``None`` where there is none."""
        for kind in self._line(owner):
            if name in kind.get("attributes", {}):
                return str(kind["attributes"][name])
            if name in kind.get("enum", {}):
                return "const"
        return None

    def words(self) -> set[str]:
        """Every name that is anything of the vendor's."""
        bodies = self.classes.values()
        inside = {
            name
            for body in bodies
            for part in ("methods", "attributes", "enum")
            for name in body.get(part, ())
        }
        return inside | {name.rpartition(".")[2] for name in self.classes} | {*self.functions}

    def has(self, kind: Kind, name: str) -> bool:
        """What ``hasattr`` would say."""
        if kind == MODULE:
            return name in self.classes or name in self.functions
        owned = f"{kind.name}.{name}" in self.classes
        return owned or bool(self.signatures(kind.name, name)) or self.access(kind.name, name) is not None

    def kind_of(self, told: str) -> Kind:
        """What the text of a signature's type, or of an annotation, is."""
        bare = re.sub(r"\w+::|trt\.|\|None", "", told.replace(" ", ""))
        listed = re.fullmatch(r"(?i:list)\[(.+)\]", bare)
        inner = listed[1] if listed else bare
        for name in (inner, inner[1:]):  # the parser's errors are told with the I that their class has not
            if name in self.classes:
                return Kind("list" if listed else "of", name)
        return OTHER

    def _line(self, owner: str) -> Iterator[Mapping[str, Any]]:
        if owner in self.classes:
            yield self.classes[owner]
            for base in self.classes[owner].get("bases", []):
                yield from self._line(base)


def releases(folder: Path) -> list[Release]:
    """Every release that ``folder`` has a dump of."""
    files = sorted(file for file in folder.glob("*.json") if not file.name.startswith("vtables"))
    return [Release(json.loads(file.read_text(encoding="utf-8"))) for file in files]
