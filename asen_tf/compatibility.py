"""The versions that the package is written for, and what its modules were called before.

Keras 3 changed what custom layers, training loops and saved files look like, and TensorFlow Addons
ends with TensorFlow 2.15: under other versions the code would fail late and obscurely, or give
other numbers. So importing the package fails at once. The check reads the installed packages'
metadata; importing TensorFlow to learn its version would take seconds.
"""

from __future__ import annotations

import importlib.abc
import importlib.metadata
import sys
from pathlib import Path
from typing import Any

PYTHON = (3, 11)
KERAS = "2.15"
TENSORFLOW = "2.15"

REMEDY = (
    "Remedy: run `make install` in the project's folder and use .venv/bin/python, "
    "or make the conda environment of environment.yml."
)


def installed_version(package: str) -> str | None:
    """Return the installed version of a package by its metadata, or None if there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_versions(*, python: tuple[int, ...], keras: str | None, tensorflow: str | None) -> None:
    """Raise if the package cannot work under these versions.

    Args:
        python: major and minor version of the interpreter, such as (3, 11).
        keras: full version, such as "2.15.0"; None if it is not installed.
        tensorflow: full version, such as "2.15.1"; None if it is not installed.

    Raises:
        ImportError: a version is wrong or missing; the message names every fault, and the
            remedy.
    """
    faults = []
    if python != PYTHON:
        needed, present = (".".join(map(str, version)) for version in (PYTHON, python))
        faults.append(f"Python {needed} (this is Python {present})")
    for name, required, found in (("Keras", KERAS, keras), ("TensorFlow", TENSORFLOW, tensorflow)):
        if found is None:
            faults.append(f"{name} {required} (it is not installed)")
        elif found.split(".")[:2] != required.split("."):
            faults.append(f"{name} {required} (installed is {found})")
    if faults:
        raise ImportError(f"asen_tf needs {'; '.join(faults)}. {REMEDY}")


# Where the modules and names of earlier versions are now: a line of `moved.txt` has the new place,
# then what was called so in `asen_tf`; what a package held is looked for in the new package. A star
# stands for the old name.
_LINES = Path(__file__).with_name("moved.txt").read_text(encoding="utf-8").splitlines()
MOVED = {
    old: new.replace("*", old)
    for new, names in (line.split(": ") for line in _LINES)
    for old in names.split()
}


class _MovedModules(importlib.abc.MetaPathFinder):
    """Says where a module is now, when its old name is imported and nothing else has been found."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        package, _, old = fullname.partition(".")
        if package == "asen_tf" and old in MOVED:
            # No ModuleNotFoundError: `from asen_tf import experiment` would hide it.
            raise ImportError(
                f"{fullname} has moved: import {MOVED[old]} (ARCHITECTURE.md says what is where)",
                name=fullname,
            )


def name_new_places() -> None:
    """Make imports of moved modules fail with their new place; called once."""
    if not any(isinstance(finder, _MovedModules) for finder in sys.meta_path):
        sys.meta_path.append(_MovedModules())
