"""What a notebook needs around its prose: quiet libraries, and parameters that are checked.

Papermill sets any name it is given, known or not, and only warns; and a notebook in JupyterLab
starts in the folder it lies in. Both are put right here, so that `-p marign 0.3` fails and a
relative path means the same from everywhere.
"""

from __future__ import annotations

import ast
import difflib
import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from asen_study import matrix
from asen_tf.config import ConfigError, ExperimentConfig
from asen_tf.presets import preset

ROOT = Path(__file__).parents[1]
_INJECTED = "# Parameters\n"  # the first line of the cell that papermill adds
_KNOWN_WARNINGS = (
    r"\s*TensorFlow Addons \(TFA\) has ended development",  # why the versions are fixed
)


def prepare(*, threads: int | None = None) -> None:
    """Take relative paths from the project's root, and hide warnings that ask nothing of anybody.

    To be called first: TensorFlow reads its log level and its threads when it is imported.

    Args:
        threads: cores that TensorFlow may use; None leaves it all of them.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if threads is not None:
        for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
            os.environ[name] = str(threads)
    for message in _KNOWN_WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    if Path.cwd() == ROOT / "notebooks":
        os.chdir(ROOT)


def parameters(namespace: Mapping[str, Any], *, also: Iterable[str] = ()) -> dict[str, Any]:
    """Return a notebook's parameters by name.

    Args:
        namespace: the notebook's `globals()`, after the cell of parameters, whose lines read
            `name: type = value`.
        also: names that papermill may set although the cell does not list them.

    Returns:
        The values of all names listed, and of those set among `also`.

    Raises:
        ConfigError: papermill set a name that is neither listed nor among `also`, or a listed one
            to a value of another type.
    """
    listed = dict(namespace.get("__annotations__", {}))
    injected = _injected_names(namespace.get("In", ()))
    known = [*listed, *also]
    for name in injected:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise ConfigError(f"{name!r} is not a parameter of this notebook; {hint}")
    for name, kind in listed.items():
        value = namespace[name]
        whole = kind is float and type(value) is int
        if isinstance(kind, type) and value is not None and type(value) is not kind and not whole:
            raise ConfigError(
                f"{name} must be of type {kind.__name__}; got {value!r} of type "
                f"{type(value).__name__}"
            )
    return {name: namespace[name] for name in dict.fromkeys([*listed, *injected])}


def configuration(namespace: Mapping[str, Any]) -> ExperimentConfig:
    """Return the configuration that a notebook's parameters ask for.

    The parameter `preset` names the start; `method` a row of `asen_study.matrix`, such as "csn" or
    "asen_pp/no_asa"; every other one that is a setting of `ExperimentConfig`, and is not None,
    overrides both. Papermill may set all settings, also those that the cell of parameters does not
    list.

    Args:
        namespace: the notebook's `globals()`.

    Raises:
        ConfigError: for an unknown name, or a value that breaks its setting's rule.
    """
    settings = ExperimentConfig().to_dict()
    values = parameters(namespace, also=settings)
    changes = {name: values[name] for name in values if name in settings}
    changes = {name: value for name, value in changes.items() if value is not None}
    study = preset(values["preset"])
    row = changes.pop("method", None)
    return (study if row is None else matrix.settings(row, study)).override(**changes)


def _injected_names(inputs: Iterable[str]) -> list[str]:
    """Return the names that papermill's cell assigns, from the sources of the cells run so far."""
    sources = [source for source in inputs if source.startswith(_INJECTED)]
    body = ast.parse(sources[-1]).body if sources else []
    return [
        target.id
        for node in body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
