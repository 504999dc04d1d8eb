"""Where a number comes from: code, data, packages, machine."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import os
import platform
import resource
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PACKAGES = ("tensorflow", "keras", "tensorflow-addons", "numpy", "scipy", "pillow")

# These show results, describe them or choose settings; they cannot change a run's digits.
_PRESENTATION = {
    *("figures", "overlays", "tables", "report", "studies", "pipeline", "cells", "notebook"),
    *("presets", "matrix", "comparison", "tuning", "compatibility", "provenance"),
    *("embedder", "weights", "retrieval", "reranking", "evidence", "explorer"),
    "__main__",
}


def code_fingerprint() -> str:
    """Return sixteen hexadecimal digits over the package's code.

    Comments, formatting and docstrings do not count, nor do modules that only show results: what
    is left is what can change a run's digits, and makes a cached result stale.
    """
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        relative = path.relative_to(package)
        if Path(relative.parts[0]).stem in _PRESENTATION:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list) and body and _is_docstring(body[0]):
                node.body = body[1:]
        digest.update(f"{relative.as_posix()}\n{ast.dump(tree)}\n".encode())
    return digest.hexdigest()[:16]


def commit() -> str:
    """Return the checked-out commit, with `-modified` if files differ, or "unknown"."""
    root = Path(__file__).parents[1]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != root.resolve():
            return "unknown"  # installed inside somebody else's repository
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
    """Return versions, commit, code fingerprint, machine and UTC time of now."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "code_fingerprint": code_fingerprint(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "machine": {"system": platform.platform(), "cores": os.cpu_count()},
    }


def _is_docstring(node: ast.AST) -> bool:
    constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return constant and isinstance(node.value.value, str)
