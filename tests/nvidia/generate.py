"""The interfaces of one major release of the vendor's library as C++ classes that record.

``interfaces.json`` lists virtual methods in slot order, so declaring them in that order makes the compiler lay
out the vendor's vtables. An interface is an ``impl`` (the bindings hold a face, and have its inline methods, which
call the object behind it, compiled in; ``outer`` are virtual methods of the face itself), ``plain`` (called
directly), or a ``callback`` (an object of the caller's own).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["interfaces"]

FACTS = Path(__file__).parent / "standin" / "interfaces.json"
SIGNATURE = re.compile(r"(?P<gives>.+?)(?P<name>\w+)\((?P<takes>.*)\)")
SELF = "Record* self = nullptr;"


@dataclass(frozen=True)
class Type:
    """How a declared type is passed, recorded and given back; ``name`` is of an enumeration or an interface."""

    cpp: str
    kind: str
    record: str = ""
    unpack: str = ""
    name: str = ""


def _integer(cpp: str) -> Type:
    return Type(cpp, "integer", "integer({})", f"static_cast<{cpp}>({{}}.integer)")


KNOWN = {
    "int": _integer("int"),
    "int32_t": _integer("std::int32_t"),
    "int64_t": _integer("std::int64_t"),
    "uint32_t": _integer("std::uint32_t"),
    "size_t": _integer("std::size_t"),
    "bool": Type("bool", "truth", "truth({})", "{}.integer != 0"),
    "float": Type("float", "real", "real({})", "static_cast<float>({}.real)"),
    "void": Type("void", "nothing"),
    "char*": Type("const char*", "text", "text({})", "{}.c_str()"),
    "Dims": Type("Dims", "dims", "of({})", "as_dims({})"),
    "Dims&": Type("const Dims&", "dims", "of({})"),
}


def _type(declared: str, made: frozenset[str]) -> Type:
    """What a type is; ``made`` are the interfaces that the stand-in makes objects of."""
    bare = declared.replace("const ", "").replace(" ", "")
    if bare in KNOWN:
        return KNOWN[bare]
    if bare.rstrip("*&") in made:
        return Type("void*", "object", "pointer({})", "face({})", bare.rstrip("*&"))
    if bare[-1] in "*&" or bare.startswith("cuda"):
        return Type("void*", "address", "pointer({})", "reinterpret_cast<void*>({}.integer)")
    return Type(
        "std::int32_t", "integer", f'integer({{}}, "{bare}")', "static_cast<std::int32_t>({}.integer)", bare
    )


def _method(text: str, slot: int, made: frozenset[str]) -> str:
    """A virtual method that records; where only its name is known, one that says so and stops."""
    signature = SIGNATURE.fullmatch(text)
    if signature is None:
        return f'virtual void slot{slot}() {{ self->unknown("{text}"); }}'
    declared = [one for one in signature["takes"].split(", ") if one]
    takes = [_type(one, made) for one in declared]
    gives = _type(signature["gives"], made)
    head = f"virtual {gives.cpp} slot{slot}({', '.join(f'{one.cpp} a{i}' for i, one in enumerate(takes))})"
    if signature["name"] == "getPImpl":
        return f"{head} {{ return self->face; }}"
    given = [one.record.format(f"a{i}") for i, one in enumerate(takes)]
    for i in range(len(takes) - 1):
        if declared[i : i + 2] == ["const void *", "size_t"]:
            given[i] = f"bytes(a{i}, a{i + 1})"
    called = f'self->call("{signature["name"]}", {{{", ".join(given)}}}, Kind::{gives.kind}, "{gives.name}"'
    called += ", true)" if "&" in signature["gives"] else ")"
    return f"{head} {{ {'return ' + gives.unpack.format(called) if gives.unpack else called}; }}"


def _methods(slots: Sequence[str], made: frozenset[str], ends: str = "") -> list[str]:
    return [ends if text == "~" else _method(text, i, made) for i, text in enumerate(slots)]


def _callback(slots: Sequence[str]) -> list[str]:
    """The caller's vtable, of which the stand-in calls the one method that returns nothing."""
    members = []
    for i, text in enumerate(slots):
        if text.startswith("void "):
            members.append(f"virtual {text.replace('Severity', 'std::int32_t')} = 0;")
        else:
            names = [f"slot{i}", f"slot{i}_deleting"] if text == "~" else [f"slot{i}"]
            members += [f"virtual void {name}() = 0;" for name in names]
    return members


def _struct(name: str, members: Sequence[str]) -> str:
    return "\n".join([f"struct {name} {{", *(f"    {member}" for member in members), "};\n"])


def interfaces(major: str) -> str:
    """The classes of a major release ("8", "10" or "11"), and the function that makes one by its name."""
    parts: Mapping[str, Mapping[str, list[str]]] = json.loads(FACTS.read_text("utf-8"))["majors"][major]
    made = frozenset([*parts["impl"], *parts["plain"]])
    text, cases = [], []
    for name, slots in parts["impl"].items():
        text.append(_struct(f"V{name}", [*_methods(slots, made, f"virtual ~V{name}() = default;"), SELF]))
        text.append(_struct(f"{name} : Face", _methods(parts["outer"].get(name, []), made)))
        cases.append(f'    if (kind == "{name}") return wired(new {name}, new V{name}, kind, label);')
    for name, slots in parts["plain"].items():
        ends = f"virtual ~{name}() {{ self->end(); }}"
        text.append(_struct(f"{name} : Kept", [*_methods(slots, made, ends), SELF]))
        cases.append(f'    if (kind == "{name}") return wired(new {name}, kind, label);')
    text += [_struct(name, _callback(slots)) for name, slots in parts["callback"].items()]
    head = "Record* create_one(const std::string& kind, const std::string& label) {"
    return "\n".join([*text, head, *cases, "    return nullptr;", "}\n"])
