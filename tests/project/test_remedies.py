"""Every error about a data file says what to do: read from the code, so that none is missed."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
READERS = ("dataset", "parsing", "reading", "records", "regions")
FILES = (*(f"asen_tf/data/{name}.py" for name in READERS), "data_prep/writing.py")


def raised(path: Path) -> list[ast.Call]:
    """Return the calls of AnnotationError that are about a file."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    errors = [call for call in calls if getattr(call.func, "id", "") == "AnnotationError"]
    return [call for call in errors if {"path", None} & {word.arg for word in call.keywords}]


@pytest.mark.parametrize("name", FILES)
def test_every_error_about_a_file_names_a_remedy(name: str) -> None:
    for call in raised(ROOT / name):
        words = {word.arg for word in call.keywords}
        assert "remedy" in words or None in words, f"{name}:{call.lineno}"


def test_there_are_errors_to_look_at() -> None:
    assert sum(len(raised(ROOT / name)) for name in FILES) >= 24
