"""The house rules that no linter checks: what is public is named and explained, what is shipped is found."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LONGEST = 400
ABSOLUTE = re.compile(r"""(?<![\w.:/~<{$])/(?:home|root|Users|work|mnt)/[\w.]""")
"""A path of somebody's machine; ``/proc`` and ``/sys`` are every Linux's."""


NO_TEXT = {"edgetl/models/tiny.safetensors", "docs/how-to/corruptions.jpg"}
"""All that is committed and is not text: our weights, our picture."""


def sources(*folders: str) -> list[Path]:
    """The Python files of these folders, in order."""
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))


ABSENT = ("cuda", "pycuda", "tensorrt")
"""Of the vendors whose libraries most hosts have not: their modules are read here, and not imported."""
SHIPPED = sources("edgetl", "calibration")
OURS = SHIPPED + sources("tests", "benchmarks", "examples")


def module_of(file: Path) -> str:
    """The dotted name that a shipped file is imported by."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    parts = ("edgetl", *parts) if parts[0] == "calibration" else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def public(tree: ast.Module) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Functions and classes at the top of a module whose names say that they are public."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {
        node.name: node for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")
    }


def named(tree: ast.Module) -> list[str] | None:
    """What ``__all__`` lists; ``None`` without one."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]:
            listed: list[str] = ast.literal_eval(node.value)
            return listed
    return None


def problems(tree: ast.Module) -> list[str]:
    """What a module's public face lacks."""
    found, listed = public(tree), named(tree)
    lacks = [] if ast.get_docstring(tree) or not tree.body else ["the module has no docstring"]
    if listed is None:
        return lacks + (["no __all__"] if found else [])
    lacks += [f"{name} is public and not in __all__" for name in found if name not in listed]
    if len(set(listed)) != len(listed):
        lacks.append("__all__ names something twice")
    for name, node in found.items():
        if not ast.get_docstring(node):
            lacks.append(f"{name} has no docstring")
        if isinstance(node, ast.ClassDef):
            methods = [child for child in node.body if isinstance(child, ast.FunctionDef)]
            lacks += [
                f"{name}.{method.name} has no docstring"
                for method in methods
                if not method.name.startswith("_") and not ast.get_docstring(method) and not _settles(method)
            ]
    return lacks


def _settles(method: ast.FunctionDef) -> bool:
    """A property's setter or an overload, explained once and elsewhere; or a test, whose name is a sentence."""
    marks = [ast.unparse(mark) for mark in method.decorator_list]
    return method.name.startswith("test_") or any(
        mark.endswith((".setter", "overload", "override")) for mark in marks
    )


def offenders(files: list[Path], rule: Callable[[Path], object]) -> dict[str, object]:
    """What a rule says of each file that breaks it."""
    return {str(file.relative_to(ROOT)): said for file in files if (said := rule(file))}


def tree_of(file: Path) -> ast.Module:
    """A shipped file, parsed as the oldest Python that it must run on."""
    return ast.parse(file.read_text(encoding="utf-8"), str(file), feature_version=(3, 10))


def test_every_public_name_is_listed_and_explained() -> None:
    commands = ROOT / "edgetl" / "cli"  # their names and words are the command line's, and shown by --help
    library = [file for file in SHIPPED if commands not in file.parents]
    assert offenders(library, lambda file: problems(tree_of(file))) == {}


def test_a_name_without_docstring_and_one_left_out_are_noticed() -> None:
    tree = ast.parse('"""M."""\n__all__ = ["f"]\ndef f(): pass\ndef g():\n    """G."""\n')
    assert problems(tree) == ["g is public and not in __all__", "f has no docstring"]


def test_what_a_module_lists_is_there() -> None:
    def missing(file: Path) -> list[str]:
        tree = tree_of(file)
        listed = named(tree)
        try:
            module = importlib.import_module(module_of(file)) if listed else None
        except ModuleNotFoundError as error:
            if error.name not in ABSENT:
                raise
            return [name for name in listed or [] if name not in public(tree)]
        return [name for name in listed or [] if not hasattr(module, name)]

    assert offenders(SHIPPED, missing) == {}


def test_every_shipped_file_is_python_3_10() -> None:
    assert all(tree_of(file) for file in SHIPPED)


def test_every_module_can_be_read_in_one_sitting() -> None:
    def length(file: Path) -> int:
        lines = len(file.read_text(encoding="utf-8").splitlines())
        return lines if lines > LONGEST else 0

    assert offenders(OURS, length) == {}


def test_no_shipped_file_knows_a_machine() -> None:
    assert offenders(SHIPPED, lambda file: ABSOLUTE.findall(file.read_text(encoding="utf-8"))) == {}


@pytest.mark.parametrize("text", ['"/home/me/x"', "see /root/.cache", "(/mnt/data)"])
def test_a_machines_path_is_noticed(text: str) -> None:
    assert ABSOLUTE.search(text)


def is_text(data: bytes) -> bool:
    """Whether a file can be read in a review; an archive, a library or a picture cannot."""
    return b"\0" not in data


def test_what_is_committed_is_text_but_for_what_is_named() -> None:
    git = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    listed = subprocess.run(git, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout: what is committed is not known")
    files = [name for name in listed.stdout.split("\0") if (ROOT / name).is_file()]
    assert {name for name in files if not is_text((ROOT / name).read_bytes())} == NO_TEXT


@pytest.mark.parametrize("name", sorted(NO_TEXT))
def test_a_file_that_is_no_text_is_noticed(name: str) -> None:
    assert not is_text((ROOT / name).read_bytes())


def test_calibration_imports_numpy_and_the_errors_alone() -> None:
    allowed = {"numpy", "edgetl.calibration", "edgetl.errors"}
    for file in sources("calibration"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                first = name.partition(".")[0]
                known = first in sys.stdlib_module_names or first == "numpy"
                assert known or any(name == a or name.startswith(f"{a}.") for a in allowed), (file.name, name)


def test_every_folder_of_the_package_is_listed_for_the_wheel() -> None:
    block = re.search(
        r"^packages = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.MULTILINE | re.DOTALL
    )
    assert block is not None
    listed = set(re.findall(r'^  "(edgetl[\w.]*)"', block[1], re.MULTILINE))
    folders = {module_of(file.parent / "__init__.py") for file in SHIPPED}
    assert listed == folders | {"edgetl._data", "edgetl.kernels"}


def test_every_registered_backend_answers_by_its_name() -> None:
    entries = entry_points(group="edgetl.backends")
    assert {entry.name: entry.load()().name for entry in entries} == {name: name for name in entries.names}


def test_calibration_is_found_from_anywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module("edgetl.calibration.ranges")
    assert module.__name__ == "edgetl.calibration.ranges"
