"""The setup of a notebook: its working directory, fewer warnings, and checked parameters.

Papermill sets any name that it is given and only warns about unknown ones, and JupyterLab starts a
notebook in the notebook's own folder. Here `-p marign 0.3` becomes an error, and relative paths
always start at the project's root, wherever a notebook is started.
"""

from __future__ import annotations

import ast
import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from asen_study import matrix
from asen_study.provenance import ROOT
from asen_tf.config import ConfigError, ExperimentConfig, did_you_mean
from asen_tf.presets import preset

_INJECTED = "# Parameters\n"  # the first line of the cell that papermill adds
_KNOWN_WARNING = r"\s*TensorFlow Addons \(TFA\) has ended development"  # why versions are fixed


def prepare(*, threads: int | None = None) -> None:
    """Change to the project's root, and hide warnings that users cannot act on.

    Call this first: TensorFlow reads its log level and number of threads when it is imported.

    Args:
        threads: cores that TensorFlow may use; all of them when None.
    """
    if threads is not None:
        for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
            os.environ[name] = str(threads)
    warnings.filterwarnings("ignore", message=_KNOWN_WARNING)
    if Path.cwd() not in (ROOT, ROOT / "notebooks"):
        print(f"Relative paths start at the project's folder, {ROOT}.")
    os.chdir(ROOT)


def parameters(namespace: Mapping[str, Any], *, also: Iterable[str] = ()) -> dict[str, Any]:
    """Return a notebook's parameters by name.

    Args:
        namespace: the notebook's `globals()`, after the parameters cell, whose lines read
            `name: type = value`.
        also: further names that papermill may set although the cell does not list them.

    Returns:
        The values of all names in the cell, and of those in `also` that papermill has set.

    Raises:
        ConfigError: papermill has set a name that is neither in the cell nor in `also`, or a value
            of the wrong type.
    """
    listed = dict(namespace.get("__annotations__", {}))
    never_none, injected = _cells(namespace.get("In", ()))
    known = [*listed, *also]
    for name in injected:
        if name not in known:
            hint = did_you_mean(name, known)
            raise ConfigError(f"{name!r} is not a parameter of this notebook; {hint}")
    for name, kind in listed.items():
        value = namespace[name]
        fits = type(value) is kind or (kind is float and type(value) is int)
        if value is None:
            fits = name not in never_none  # the cell's own None: take what holds elsewhere
        if isinstance(kind, type) and not fits:
            raise ConfigError(
                f"{name} must be of type {kind.__name__}; got {value!r} of type "
                f"{type(value).__name__}{_remedy(name, kind, value)}"
            )
    return {name: namespace[name] for name in dict.fromkeys([*listed, *injected])}


def configuration(namespace: Mapping[str, Any]) -> ExperimentConfig:
    """Return the configuration that a notebook's parameters describe.

    It starts from the parameter `preset`. `method` names a row of `asen_study.matrix`, such as
    "csn" or "asen_pp/no_asa". Every other parameter that is a setting of `ExperimentConfig`, and is
    not None, overrides both. Papermill may set any setting, even if the parameters cell does not
    list it.

    Args:
        namespace: the notebook's `globals()`.

    Raises:
        ConfigError: a name is unknown, or a value breaks its setting's rule.
        asen_tf.training.ClusterError: strategy multi_worker, and `TF_CONFIG` is absent or wrong.
    """
    from asen_study.runs import DRAWN  # this imports TensorFlow, which reads what `prepare` sets

    settings = ExperimentConfig().to_dict()
    values = parameters(namespace, also=settings)
    changes = {name: values[name] for name in values if name in settings}
    changes = {name: value for name, value in changes.items() if value is not None}
    study = preset(values["preset"])
    row = changes.pop("method", None)
    config = (study if row is None else matrix.settings(row, study)).override(**changes)
    if study.dataset in DRAWN and config.dataset != study.dataset:
        print(
            f"The preset {values['preset']} is for drawn garments; for photographs, such as "
            f"{config.dataset} may hold, -p preset photos does better."
        )
    if config.strategy == "multi_worker":  # workers must meet before TensorFlow computes anything
        from asen_tf.training.cluster import team_for

        team_for(config)
    return config


def _remedy(name: str, kind: type, value: Any) -> str:
    """Return what to write instead: papermill's -p guesses a type from how a value looks."""
    if kind is str:
        example = "the text" if value is None or isinstance(value, list | dict) else value
        return f"; papermill's -r takes a value as the text that it is: -r {name} {example}"
    if kind is list:
        return f"; lists are given by papermill's -y: -y '{name}: [{value}]'"
    return ""


def _cells(inputs: Iterable[str]) -> tuple[set[str], list[str]]:
    """Return the parameters whose cell gives a value, and the names that papermill's cell assigns.

    Args:
        inputs: the source of all cells run so far; papermill's comes right after the parameters.
    """
    sources = list(inputs)
    places = [place for place, text in enumerate(sources) if text.startswith(_INJECTED)]
    if not places:
        return set(), []
    try:
        listed = ast.parse(sources[max(places[-1] - 1, 0)]).body
    except SyntaxError:  # cells were run by hand in another order, one of them with a magic
        listed = []
    return (
        {
            node.target.id
            for node in listed
            if isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and not (isinstance(node.value, ast.Constant) and node.value.value is None)
        },
        [
            target.id
            for node in ast.parse(sources[places[-1]]).body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        ],
    )
