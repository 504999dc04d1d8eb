"""How long it takes to import what does without TensorFlow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


def start(code: str) -> None:
    """Run a line of Python in a process of its own."""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("module", ["asen_tf.evaluation", "asen_tf.data"])
def test_import_without_tensorflow(paired: Any, notes: Any, module: str) -> None:
    """What a process that imports the module takes beyond one that does nothing."""
    whole, nothing = paired(lambda: start(f"import {module}"), lambda: start("pass"), rounds=7)
    notes.add(
        f"Import of {module} without TensorFlow",
        ours=f"{whole - nothing:.2f} s",
        against=f"an empty Python process {nothing:.3f} s",
        ratio=whole / nothing,
        goal="under 0.3 s",
        met=whole - nothing < 0.3,
    )
