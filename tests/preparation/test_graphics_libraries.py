from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from data_prep.graphics_libraries import is_missing_library, main, skia_error

ROOT = Path(__file__).parents[2]


def run_beside(skia: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the check where `import skia` finds this source, and no apt-get is."""
    (folder / "skia.py").write_text(skia)
    (folder / "bin").mkdir()
    command = [sys.executable, "-m", "data_prep.graphics_libraries"]
    environment = os.environ | {"PYTHONPATH": str(folder), "PATH": str(folder / "bin")}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def test_skia_works_here_and_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert skia_error() is None and main() == 0
    assert capsys.readouterr() == ("", "")


def test_the_dynamic_loaders_message_is_known() -> None:
    with pytest.raises(OSError) as error:
        ctypes.CDLL("libno_such_library.so.1")
    assert is_missing_library(str(error.value))
    assert not is_missing_library("ModuleNotFoundError: No module named 'skia'")


def test_a_missing_library_gives_the_commands(tmp_path: Path) -> None:
    process = run_beside("import ctypes; ctypes.CDLL('libno_such_library.so.1')", tmp_path)
    assert process.returncode == 1
    assert "libno_such_library.so.1: cannot open shared object file" in process.stdout
    for command in ("apt-get install libegl1 libgl1", "dnf install", "conda install"):
        assert command in process.stdout


def test_another_failure_is_passed_on_as_it_is(tmp_path: Path) -> None:
    process = run_beside("raise ImportError('built for another Python')", tmp_path)
    assert process.returncode == 1
    assert process.stdout == ""
    assert process.stderr == "`import skia` fails: ImportError: built for another Python\n"
