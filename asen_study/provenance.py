"""Where a number comes from: code, data, packages, machine."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asen_tf.evaluation.ranking import usable_cores

PACKAGES = ("tensorflow", "keras", "tensorflow-addons", "numpy", "scipy", "pillow")
ROOT = Path(__file__).parents[1]
_IMPORTS = (ast.Import, ast.ImportFrom)
ENTRY = ("asen_study.experiment", "run")  # trains and measures: what it reaches decides digits


@functools.cache
def code_fingerprint(root: Path = ROOT, entry: tuple[str, str] = ENTRY) -> str:
    """Return sixteen hexadecimal digits over the code that decides a run's digits.

    That code is every function, class and constant that `entry` reaches by name, in whichever
    module. Comments, formatting, docstrings and imports do not count, nor does it matter in which
    file a definition stands or what its module is called: moving code makes no finished run stale,
    changing it does. This module only describes runs, so it does not count either.

    Args:
        root: the folder that holds the packages; they are read as they are at the first call.
        entry: module and name of the function to start from.
    """
    sources = functools.cache(functools.partial(_Source, root))
    waiting, reached, texts = [entry], {entry}, set()
    while waiting:
        module, name = waiting.pop()
        source = sources(module)
        if name in source.imports:  # a package passes the names of its modules on
            found = [source.imports[name]]
        else:
            nodes = source.definitions.get(name, [])
            found = [other for node in nodes for other in source.named_in(node)]
            texts |= {source.text(node) for node in nodes}
        for other in found:
            if other not in reached and other[0] != __name__:
                reached.add(other)
                waiting.append(other)
    return hashlib.sha256("\n".join(sorted(texts)).encode()).hexdigest()[:16]


class _Source:
    """One module as text: its definitions, and what the names that it imports stand for.

    Attributes:
        definitions: statements by the name that they define at the top of the module.
        imports: module and name by local name; for an imported module the name is empty. Modules
            outside `root` are left out.
    """

    def __init__(self, root: Path, module: str) -> None:
        path = _file(root, module)
        body = ast.parse(path.read_text(encoding="utf-8")).body if path else []
        self.module = module
        self.definitions: dict[str, list[ast.stmt]] = {}
        self.imports: dict[str, tuple[str, str]] = {}
        for statement in body:
            for name in _defined(statement):
                self.definitions.setdefault(name, []).append(statement)
        for node in (node for statement in body for node in ast.walk(statement)):
            if isinstance(node, ast.ImportFrom) and node.module and _file(root, node.module):
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    is_module = _file(root, inner) and alias.name not in _bound(root, node.module)
                    place = (inner, "") if is_module else (node.module, alias.name)
                    self.imports[alias.asname or alias.name] = place

    def named_in(self, node: ast.AST) -> Iterator[tuple[str, str]]:
        """Give module and name of everything that a definition mentions."""
        for part in ast.walk(node):
            if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
                module, name = self.imports.get(part.value.id, ("", "unknown"))
                if not name:
                    yield module, part.attr
            elif isinstance(part, ast.Name):
                if part.id in self.definitions:
                    yield self.module, part.id
                elif self.imports.get(part.id, ("", ""))[1]:
                    yield self.imports[part.id]

    def text(self, node: ast.stmt) -> str:
        """Return a definition without docstrings, imports, formatting and names of modules."""
        for part in ast.walk(node):
            body = getattr(part, "body", None)
            if isinstance(body, list) and body and _is_docstring(body[0]):
                body = part.body = body[1:]
            if isinstance(body, list):
                part.body = [line for line in body if not isinstance(line, _IMPORTS)]
            elif isinstance(part, ast.Name) and self.imports.get(part.id, ("", "unknown"))[1] == "":
                part.id = "module"
        return ast.dump(node)


@functools.cache
def _bound(root: Path, module: str) -> frozenset[str]:
    """Return the names that a module binds at its top; there they hide submodules of that name."""
    path = _file(root, module)
    body = ast.parse(path.read_text(encoding="utf-8")).body if path else []
    imports = [node for node in body if isinstance(node, ast.ImportFrom)]
    passed_on = [alias.asname or alias.name for node in imports for alias in node.names]
    return frozenset([*passed_on, *(name for statement in body for name in _defined(statement))])


def _file(root: Path, module: str) -> Path | None:
    """Return the file of a module under `root`; None if there is none."""
    place = root.joinpath(*module.split("."))
    files = (place.with_suffix(".py"), place / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def _defined(statement: ast.stmt) -> list[str]:
    """Return the names that a statement at the top of a module defines."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = getattr(statement, "targets", None) or [statement.target]
        names = [node for target in targets for node in ast.walk(target)]
        return [node.id for node in names if isinstance(node, ast.Name)]
    return []


def commit() -> str:
    """Return the checked-out commit, with `-modified` if files differ, or "unknown"."""
    root = Path(__file__).parents[1]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != root.resolve():
            return "unknown"  # installed inside another project's repository
        # Results are what code makes, not code: the study rewrites those that git keeps.
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!results")
        return git("rev-parse", "HEAD") + ("-modified" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def peak_memory_mib() -> float:
    """Return the process's largest resident size so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def describe() -> dict[str, Any]:
    """Return versions, commit, code fingerprint, machine and UTC time of now.

    The machine's `threads` are those of an operation of TensorFlow. Their number decides the order
    of sums, and thereby the last digits of what is trained.
    """
    threads = int(os.environ.get("TF_NUM_INTRAOP_THREADS", "0")) or usable_cores()  # 0 takes all
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "code_fingerprint": code_fingerprint(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "machine": {"system": platform.platform(), "cores": os.cpu_count(), "threads": threads},
    }


def _is_docstring(node: ast.AST) -> bool:
    constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return constant and isinstance(node.value.value, str)
