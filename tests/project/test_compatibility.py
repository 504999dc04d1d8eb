from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from asen_tf.compatibility import REMEDY, check_versions, installed_version

ROOT = Path(__file__).parents[2]
GOOD = {"python": (3, 11), "keras": "2.15.0", "tensorflow": "2.15.1"}


def import_asen_tf(*interpreter_flags: str, path: Path | None = None) -> str:
    """Import the package in a fresh interpreter; return what it wrote to standard error."""
    code = f"import sys; sys.path[:0] = [{str(path or ROOT)!r}, {str(ROOT)!r}]; import asen_tf"
    command = [sys.executable, *interpreter_flags, "-c", code]
    return subprocess.run(command, capture_output=True, text=True).stderr


@pytest.mark.parametrize("good", [{}, {"tensorflow": "2.15.0.post1"}, {"keras": "2.15.1rc0"}])
def test_the_right_versions_pass(good: dict) -> None:
    check_versions(**(GOOD | good))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"python": (3, 12)}, "needs Python 3.11 (this is Python 3.12)."),
        ({"python": (3, 1)}, "needs Python 3.11 (this is Python 3.1)."),
        ({"keras": "3.4.1"}, "needs Keras 2.15 (installed is 3.4.1)."),
        ({"keras": "2.1.5"}, "needs Keras 2.15 (installed is 2.1.5)."),
        ({"keras": "2.150.0"}, "needs Keras 2.15 (installed is 2.150.0)."),
        ({"keras": None}, "needs Keras 2.15 (it is not installed)."),
        ({"tensorflow": "2.16.1"}, "needs TensorFlow 2.15 (installed is 2.16.1)."),
        ({"tensorflow": None}, "needs TensorFlow 2.15 (it is not installed)."),
        (
            {"python": (3, 13), "keras": "3.9.0"},
            "needs Python 3.11 (this is Python 3.13); Keras 2.15 (installed is 3.9.0).",
        ),
    ],
)
def test_a_wrong_version_is_named_with_the_remedy(wrong: dict, message: str) -> None:
    with pytest.raises(ImportError, match=re.escape(f"asen_tf {message} {REMEDY}") + "$"):
        check_versions(**(GOOD | wrong))


def test_installed_version() -> None:
    assert installed_version("pytest") == pytest.__version__
    assert installed_version("no-such-package-anywhere") is None


def test_import_beside_another_keras_fails_at_once(tmp_path: Path) -> None:
    metadata = tmp_path / "keras-3.4.1.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: keras\nVersion: 3.4.1\n")
    error = import_asen_tf(path=tmp_path)
    assert "ImportError: asen_tf needs Keras 2.15 (installed is 3.4.1). Remedy:" in error


def test_import_without_keras_and_tensorflow_fails_at_once() -> None:
    error = import_asen_tf("-S")  # no site-packages
    assert "Keras 2.15 (it is not installed); TensorFlow 2.15 (it is not installed)" in error


def test_import_loads_nothing_heavy() -> None:
    code = (
        "import sys; before = set(sys.modules); import asen_tf;"
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(loaded.split()) - sys.stdlib_module_names == {"asen_tf"}
