"""Old imports: each names the new place, which exists."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from asen_tf.compatibility import MOVED

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("old", MOVED)
def test_an_old_name_says_where_it_is_now(old: str) -> None:
    with pytest.raises(ImportError, match=rf"asen_tf\.{old} has moved: import {MOVED[old]} "):
        importlib.import_module(f"asen_tf.{old}")
    assert importlib.util.find_spec(MOVED[old]) is not None


@pytest.mark.parametrize(
    "code",
    [
        "from asen_tf import experiment",
        "import asen_tf.explorer.server",
        "from asen_tf.retrieval import AttributeIndex",
    ],
)
def test_every_way_to_import_says_so(code: str) -> None:
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 1
    assert "has moved: import asen_" in ran.stderr.splitlines()[-1]


def test_an_old_command_says_so() -> None:
    command = [sys.executable, "-m", "asen_tf.tuning"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode != 0 and "import asen_study.tuning" in ran.stderr


def test_a_name_that_never_was_is_just_not_found() -> None:
    with pytest.raises(ModuleNotFoundError, match="asen_tf.nothing"):
        importlib.import_module("asen_tf.nothing")
