"""A save that is killed leaves the old index or the new one, in full; the next one cleans up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills are POSIX signals")


def run(folder: Path, *words: str) -> list[dict[str, Any]]:
    command = [sys.executable, str(HERE / "killed_saves.py"), str(folder), *words]
    done = subprocess.run(
        command, cwd=HERE.parent, capture_output=True, text=True, env=environment(), timeout=300
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parent}"}


def check(found: list[dict[str, Any]], count: int) -> tuple[int, int]:
    """Check each state after the one before; return how many saves were lost, and how many not."""
    lost = kept = 0
    for state in found:
        assert state["whole"]
        assert state["count"] in (count, count + 1 if count else 21)
        lost += state["count"] == count
        kept += state["count"] != count
        count = state["count"]
    return lost, kept


@pytest.mark.parametrize(("way", "count"), [("first", 0), ("later", 21)])
def test_a_kill_at_any_access_to_a_file_leaves_old_or_new(tmp_path, way: str, count: int) -> None:
    found = run(tmp_path / "index", way)
    assert [state["code"] for state in found[:-1]] == [-signal.SIGKILL] * (len(found) - 1)
    assert found[-1]["code"] == 0  # at last there was no such access: the save ended
    lost, kept = check(found, count)
    assert lost > 10 and kept > 3  # before the pointer was replaced, and after
    names = found[-1]["names"]
    assert names[:2] == [".lock", "CURRENT"] and len(names) == 3  # no trace of all the others


def test_a_kill_at_any_moment_leaves_old_or_new(tmp_path: Path) -> None:
    found = run(tmp_path / "index", "moments", "12")
    check(found, 4001)
    assert sum(state["code"] == -signal.SIGKILL for state in found) >= 5
