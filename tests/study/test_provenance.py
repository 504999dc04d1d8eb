"""What makes a finished run stale: changed code, and not moved code."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from asen_study.provenance import ROOT, code_fingerprint, describe

_ENTRY = '''"""The door."""
from package import losses
from package.layers import Attention

def run(x):
    """Train."""
    from package.layers.attention import twice  # only needed here

    return losses.loss(twice(Attention()(x)))
'''
_LOSSES = "MARGIN = 0.2\n\ndef loss(x):\n    return max(0, x - MARGIN)\n\ndef unused():\n    pass\n"
_ATTENTION = "class Attention:\n    def __call__(self, x):\n        return 2 * x\n"
_ATTENTION += "\n\ndef twice(x):\n    return 2 * x\n"


def fingerprint(root: Path, files: dict[str, str], entry: str = "package.experiment") -> str:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return code_fingerprint(root, (entry, "run"))


def package(root: Path, **changes: str) -> str:
    files = {
        "package/__init__.py": "",
        "package/experiment.py": _ENTRY,
        "package/losses.py": _LOSSES,
        "package/layers/__init__.py": "from package.layers.attention import Attention\n",
        "package/layers/attention.py": _ATTENTION,
    }
    return fingerprint(root, files | {f"package/{name}.py": text for name, text in changes.items()})


def test_moving_merging_and_renaming_modules_keeps_it(tmp_path: Path) -> None:
    moved = {
        "method/__init__.py": "",
        "method/parts.py": _ATTENTION + "\n\n" + _LOSSES,
        "study/__init__.py": "",
        "study/door.py": _ENTRY.replace("from package import losses", "from method import parts")
        .replace("package.layers.attention", "method.parts")
        .replace("package.layers", "method.parts")
        .replace("losses.loss", "parts.loss"),
    }
    there = fingerprint(tmp_path / "moved", moved, "study.door")
    assert there == package(tmp_path / "before")


def test_a_function_hides_the_module_of_its_name(tmp_path: Path) -> None:
    entry = "from package.loss import loss\n\ndef run(x):\n    return loss(x)\n"

    def made(root: Path, factor: int) -> str:
        files = {
            "package/__init__.py": "",
            "package/experiment.py": entry,
            "package/loss/__init__.py": "from package.loss.loss import loss\n",
            "package/loss/loss.py": f"def loss(x):\n    return {factor} * x\n",
        }
        return fingerprint(root, files)

    assert made(tmp_path / "a", 2) != made(tmp_path / "b", 3)


def test_comments_docstrings_and_unreached_code_do_not_count(tmp_path: Path) -> None:
    said = _LOSSES.replace("    return", '    """Hinge."""\n    # as published\n    return')
    said = said.replace("    pass", "    return 1")
    assert package(tmp_path / "a", losses=said) == package(tmp_path / "b")


def test_a_change_of_a_constant_or_of_a_class_that_a_package_passes_on_counts(
    tmp_path: Path,
) -> None:
    before = package(tmp_path / "a")
    assert package(tmp_path / "b", losses=_LOSSES.replace("0.2", "0.3")) != before
    for number, name in enumerate(("(self, x):\n        return 2", "twice(x):\n    return 2")):
        assert name in _ATTENTION
        changed = {"layers/attention": _ATTENTION.replace(name, name[:-1] + "3")}
        assert package(tmp_path / f"c{number}", **changed) != before


def test_the_own_fingerprint_covers_the_layers_and_not_the_presets(tmp_path: Path) -> None:
    def changed(folder: str, path: str, old: str, new: str) -> str:
        copy = tmp_path / folder
        for floor in ("asen_tf", "asen_study"):
            shutil.copytree(ROOT / floor, copy / floor)
        text = (copy / path).read_text(encoding="utf-8")
        assert old in text
        (copy / path).write_text(text.replace(old, new), encoding="utf-8")
        return code_fingerprint(copy)

    layer = changed("layer", "asen_tf/layers/spatial_attention.py", "tanh", "sigmoid")
    preset = changed("preset", "asen_tf/presets.py", "def quick", "def quicker")
    assert layer != code_fingerprint() == preset


def test_the_threads_of_an_operation_are_said_as_they_decide_the_last_digits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def said() -> int:
        return describe()["machine"]["threads"]

    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {4, 5, 7}, raising=False)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "2")
    assert said() == 2
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "0")
    assert said() == 3  # all that the process may use, in a container fewer than there are
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS")
    assert said() == 3
