"""Walks the syntax trees of the TensorRT backend and holds every name of the vendor's to what a release has.

It runs the code in the abstract, once a release: types come from annotations and from the signatures of the release,
``hasattr`` is answered from its names, and what is not reached is not held to it. A name whose object has no known
type is an error, too: it could not be checked.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from _tensorrt_names import MODULE, OTHER, UNKNOWN, Kind, Release

__all__ = ["PLANTED", "SOURCES", "Fault", "Use", "audit", "planted", "sources"]

SOURCES = Path(__file__).parent.parent / "edgetl" / "backends" / "tensorrt"
VENDOR = "trt"
PLANTED = (
    ("build.py", "config.profiling_verbosity =", "config.max_workspace_size =", "max_workspace_size"),
    ("releases.py", 'if hasattr(trt.BuilderFlag, "FP16"):', "if precision:", "FP16"),
    ("execution.py", "engine.get_tensor_name(index)", "engine.get_binding_name(index)", "get_binding_name"),
    (
        "build.py",
        "build_serialized_network(network, config)",
        "build_serialized_network(network)",
        "arguments",
    ),
    ("releases.py", 'hasattr(error, "node_name")', 'hasattr(error, "nodename")', "nodename"),
)
"""Module, a piece of it, what a careless hand would write there, and the word that the fault must have.

An attribute that 10 removed, a flag that 11 removed and that nothing guards, a method that 10 removed, an argument that
is missing, and a guard for a name that no release ever had.
"""


class Fault(NamedTuple):
    """What is wrong with one name."""

    place: str
    release: str
    problem: str


Use = tuple[str, int, str]
"""Module, line and name."""


def sources() -> dict[str, str]:
    """The modules that touch the vendor's, by name."""
    texts = {file.name: file.read_text(encoding="utf-8") for file in sorted(SOURCES.glob("*.py"))}
    return {name: text for name, text in texts.items() if "import tensorrt as trt" in text}


def planted(texts: Mapping[str, str]) -> list[tuple[dict[str, str], str]]:
    """The modules with one mistake each, and the word that a fault must have."""
    found = []
    for module, piece, wrong, word in PLANTED:
        if piece not in texts[module]:
            raise ValueError(f"{module} has no {piece!r} to put a mistake in its place")
        found.append(({**texts, module: texts[module].replace(piece, wrong)}, word))
    return found


def audit(texts: Mapping[str, str], against: Sequence[Release]) -> tuple[list[Fault], set[Use]]:
    """What is wrong in these modules, and the uses of names that were looked at."""
    trees = {module: ast.parse(text) for module, text in texts.items()}
    faults: list[Fault] = []
    guards: dict[tuple[str, str], bool] = {}
    uses: set[Use] = set()
    for release in against:
        for module, tree in trees.items():
            walk = _Walk(release, module, list(trees.values()))
            walk.block(tree.body, {VENDOR: MODULE})
            faults += walk.faults
            uses |= walk.uses
            for guard, there in walk.guards.items():
                guards[guard] = guards.get(guard, False) or there
    faults += [
        Fault(place, "every release", f"guards {name}, which none has")
        for (place, name), there in guards.items()
        if not there
    ]
    return sorted(set(faults)), uses


class _Walk:
    """One module, as one release would run it."""

    def __init__(self, release: Release, module: str, trees: Sequence[ast.Module]) -> None:
        self.release = release
        self.module = module
        self.faults: list[Fault] = []
        self.guards: dict[tuple[str, str], bool] = {}
        self.uses: set[Use] = set()
        nodes = [node for tree in trees for node in ast.walk(tree)]
        self.returns = {
            node.name: release.kind_of(ast.unparse(node.returns))
            for node in nodes
            if isinstance(node, ast.FunctionDef) and node.returns is not None
        }
        self.attributes = {
            ast.unparse(node.target): release.kind_of(ast.unparse(node.annotation))
            for node in nodes
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Attribute)
        }

    def fault(self, node: ast.AST, problem: str) -> None:
        """Note what is wrong at a place."""
        place = f"{self.module}:{getattr(node, 'lineno', 0)}"
        self.faults.append(Fault(place, self.release.version, problem))

    def block(self, statements: Sequence[ast.stmt], names: dict[str, Kind]) -> bool:
        """Run statements; false where what follows them is not reached."""
        for statement in statements:
            if isinstance(statement, ast.If):
                if not self._branch(statement, names):
                    return False
            elif not self._statement(statement, names):
                return False
        return True

    def _branch(self, statement: ast.If, names: dict[str, Kind]) -> bool:
        answer = self._truth(statement.test, names)
        goes_on = [
            self.block(body, names)
            for body, taken in ((statement.body, answer is not False), (statement.orelse, answer is not True))
            if taken
        ]
        return any(goes_on)

    def _statement(self, node: ast.stmt, names: dict[str, Kind]) -> bool:
        if isinstance(node, ast.FunctionDef):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            inside = dict(names)
            for argument in arguments:
                inside[argument.arg] = self._annotated(argument.annotation, names)
            self._annotated(node.returns, names)
            self.block(node.body, inside)
        elif isinstance(node, ast.ClassDef):
            self._class(node, names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            if isinstance(node, ast.AnnAssign):
                self._annotated(node.annotation, names)
            kind = OTHER if node.value is None else self.kind(node.value, names)
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                self._store(target, kind, names)
        elif isinstance(node, ast.For):
            self._store(node.target, _element(self.kind(node.iter, names)), names)
            self.block(node.body, names)
        elif isinstance(node, ast.With):
            for item in node.items:
                self.kind(item.context_expr, names)
            return self.block(node.body, names)
        elif isinstance(node, ast.Try):
            for body in (node.body, *(handler.body for handler in node.handlers), node.finalbody):
                self.block(body, names)
        else:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    self.kind(child, names)
        return not isinstance(node, ast.Return | ast.Raise | ast.Continue | ast.Break)

    def _annotated(self, node: ast.expr | None, names: dict[str, Kind]) -> Kind:
        """What an annotation says; the names in it have to be there, too."""
        if node is None:
            return OTHER
        self.kind(node, names)
        return self.release.kind_of(ast.unparse(node))

    def _class(self, node: ast.ClassDef, names: dict[str, Kind]) -> None:
        """A class of ours; one that derives from the vendor's overrides what that has."""
        for base in node.bases:
            kind = self.kind(base, names)
            if kind.what != "class":
                continue
            own = {child.name: child for child in node.body if isinstance(child, ast.FunctionDef)}
            overridden = 0
            for name, method in own.items():
                told = self.release.signatures(kind.name, name)
                if told and not name.startswith("__"):
                    overridden += 1
                    self._arguments(method, f"{kind.name}.{name}", told, len(method.args.args) - 1, [])
            if not overridden:
                self.fault(node, f"{node.name} overrides nothing of {kind.name}")
        self.block(node.body, dict(names))

    def _store(self, target: ast.expr, kind: Kind, names: dict[str, Kind]) -> None:
        if isinstance(target, ast.Name):
            names[target.id] = kind
        elif isinstance(target, ast.Attribute):
            owner = self.kind(target.value, names)
            if (
                owner.what == "of"
                and self.attribute(target, owner)
                and (self.release.access(owner.name, target.attr) != "rw")
            ):
                self.fault(target, f"{owner.name}.{target.attr} cannot be set")
        elif isinstance(target, ast.Tuple):
            for element in target.elts:
                self._store(element, UNKNOWN if kind == UNKNOWN else OTHER, names)

    def kind(self, node: ast.expr, names: dict[str, Kind]) -> Kind:
        """What an expression is; every name in it is looked at on the way."""
        if isinstance(node, ast.Name):
            return names.get(node.id, OTHER)
        if isinstance(node, ast.Attribute):
            declared = self.attributes.get(ast.unparse(node), OTHER)
            return self._attribute(node, names) if declared == OTHER else declared
        if isinstance(node, ast.Call):
            return self._call(node, names)
        if isinstance(node, ast.BoolOp | ast.IfExp):
            return self._choice(node, names)
        if isinstance(node, ast.ListComp | ast.GeneratorExp | ast.SetComp | ast.DictComp):
            return self._comprehension(node, names)
        if isinstance(node, ast.Lambda):
            return self.kind(node.body, dict(names))
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.kind(child, names)
        return OTHER

    def _choice(self, node: ast.BoolOp | ast.IfExp, names: dict[str, Kind]) -> Kind:
        """Operands after one that decides are not reached."""
        if isinstance(node, ast.BoolOp):
            self._truth(node, names)
            return OTHER
        answer = self._truth(node.test, names)
        kinds = [
            self.kind(branch, names)
            for branch, taken in ((node.body, answer is not False), (node.orelse, answer is not True))
            if taken
        ]
        return kinds[0]

    def _comprehension(
        self, node: ast.ListComp | ast.GeneratorExp | ast.SetComp | ast.DictComp, names: dict[str, Kind]
    ) -> Kind:
        inside = dict(names)
        for generator in node.generators:
            self._store(generator.target, _element(self.kind(generator.iter, inside)), inside)
            for condition in generator.ifs:
                self._truth(condition, inside)
        if isinstance(node, ast.DictComp):
            self.kind(node.key, inside)
            self.kind(node.value, inside)
            return OTHER
        kind = self.kind(node.elt, inside)
        return Kind("list", kind.name) if kind.what == "of" else OTHER

    def _truth(self, node: ast.expr, names: dict[str, Kind]) -> bool | None:
        """What a condition comes to for this release; ``None`` where it does not tell."""
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            answer = self._truth(node.operand, names)
            return None if answer is None else not answer
        if isinstance(node, ast.BoolOp):
            decides = isinstance(node.op, ast.Or)
            answers = []
            for operand in node.values:
                answers.append(self._truth(operand, names))
                if answers[-1] is decides:
                    return decides
            return None if None in answers else not decides
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "hasattr":
            return self._guard(node, names)
        self.kind(node, names)
        return None

    def _guard(self, node: ast.Call, names: dict[str, Kind]) -> bool | None:
        kind, name = self.kind(node.args[0], names), node.args[1]
        if kind.what not in ("module", "class", "of"):
            return None
        if not (isinstance(name, ast.Constant) and isinstance(name.value, str)):
            self.fault(node, "hasattr of a name that is not written out cannot be checked")
            return None
        there = self.release.has(kind, name.value)
        self.guards[f"{self.module}:{node.lineno}", name.value] = there
        return there

    def _attribute(self, node: ast.Attribute, names: dict[str, Kind]) -> Kind:
        owner = self.kind(node.value, names)
        if owner == UNKNOWN:
            self.fault(node, f"{node.attr} is looked for in something whose type is not known")
        if owner.what not in ("module", "class", "of") or (owner == MODULE and node.attr == "__version__"):
            return OTHER
        return self.attribute(node, owner) or OTHER

    def attribute(self, node: ast.Attribute, owner: Kind) -> Kind | None:
        """What an attribute of the vendor's is; ``None`` where this release has none."""
        self.uses.add((self.module, node.lineno, node.attr))
        name, inside = node.attr, f"{owner.name}.{node.attr}".lstrip(".")
        if inside in self.release.classes:
            return Kind("class", inside)
        if owner == MODULE and name in self.release.functions:
            return Kind("member", "", name)
        if owner.name and self.release.signatures(owner.name, name):
            return Kind("member", owner.name, f"{owner.what}.{name}")
        if owner.name and self.release.access(owner.name, name):
            return UNKNOWN if owner.what == "of" else OTHER
        self.fault(node, f"there is no {inside}")
        return None

    def _call(self, node: ast.Call, names: dict[str, Kind]) -> Kind:
        if (
            isinstance(node.func, ast.Name)
            and node.func.id in ("getattr", "setattr")
            and (self.kind(node.args[0], names).what in ("module", "class", "of"))
        ):
            self.fault(node, f"{node.func.id} on what is the vendor's cannot be checked")
        for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
            self.kind(argument, names)
        called = self.kind(node.func, names)
        count, words = len(node.args), [keyword.arg or "**" for keyword in node.keywords]
        if called.what == "class":
            told = self.release.signatures(called.name, "__init__") or []
            self._arguments(node, called.name, told, count, words)
            return Kind("of", called.name)
        if called.what == "member":
            unbound, _, name = called.member.rpartition(".")
            signatures = (
                self.release.signatures(called.name, name) if called.name else self.release.functions[name]
            ) or []
            self._arguments(
                node, f"{called.name}.{name}".lstrip("."), signatures, count - (unbound == "class"), words
            )
            return self.release.kind_of(signatures[-1].partition(" -> ")[2]) if signatures else OTHER
        function = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
        return self.returns.get(function, OTHER)

    def _arguments(
        self, node: ast.AST, what: str, signatures: Sequence[str], count: int, words: Sequence[str]
    ) -> None:
        """Any of the overloads has to take as many arguments, and those words."""
        exact = [told for told in signatures if "*args" not in told]
        if exact and not any(_takes(told, count, words) for told in exact):
            given = [str(count), *words]
            self.fault(node, f"{what} does not take these arguments ({', '.join(given)}): {exact[0]}")


def _element(kind: Kind) -> Kind:
    """What a loop over it gives."""
    if kind.what == "list":
        return Kind("of", kind.name)
    return OTHER


def _takes(signature: str, count: int, words: Sequence[str]) -> bool:
    """Whether a signature takes so many positional arguments and these words beside them."""
    listed = _parameters(signature)
    names = [parameter.partition(":")[0].partition("=")[0].strip() for parameter in listed]
    must = [name for name, parameter in zip(names, listed) if "=" not in parameter]
    return (
        count <= len(names)
        and all(word in names[count:] for word in words)
        and all(name in words for name in must if name in names[count:])
    )


def _parameters(signature: str) -> list[str]:
    """The parameters without ``self``, parted at the commas that are in no bracket."""
    inside = signature[signature.index("(") + 1 : signature.rindex(")")]
    parts, depth = [""], 0
    for letter in inside:
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    listed = [part.strip() for part in parts if part.strip()]
    return listed[1:] if listed and listed[0].partition(":")[0] in ("self", "this") else listed
