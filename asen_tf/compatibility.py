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


# Where modules of version 0.1 are now, and what they were called in `asen_tf`; what a package held
# is looked for in the new package. A star stands for the old name.
_MOVED = """
asen_study.*: cells comparison matrix measurement notebook
asen_study.*: pipeline production provenance report tables tuning
asen_apps.*: evidence explorer
asen_tf.data: annotations
asen_tf.evaluation.intervals: intervals
asen_tf.files: activity
asen_tf.models: branches
asen_tf.backbones.checkpoints: checkpoints backbones.torchvision
asen_tf.losses: metric_losses
asen_tf.evaluation: ranking
asen_study.experiment: experiment starts
asen_study.figures: figures
asen_study.figures.style: overlays
asen_study.runs: results studies
asen_apps.rerank: reranking
asen_apps.search: retrieval
asen_tf.backbones.build: backbones.errors
asen_tf.config: config.rules config.settings
asen_tf.data.sampling: data.listed
data_prep.pack: data.packing
data_prep.problems: data.problems
data_prep.writing: data.writing data.write_listed_split data.write_meta
data_prep.writing: data.write_regions data.write_split
asen_tf.data.images: data.sources
asen_tf.evaluation.localisation: evaluation.attention
asen_study.production: training.failures training.OutOfMemoryError training.remedies
asen_study.evaluation: evaluation.evaluate evaluation.fusion evaluation.report
asen_study.evaluation: evaluation.several_values
asen_tf.evaluation.retrieval: evaluation.embedding
asen_tf.layers.pixels: layers.global_view layers.image_normalisation
asen_tf.layers.spatial_attention: layers.average_attention layers.product_attention
asen_tf.layers.region_of_interest: layers.region_crops
asen_tf.models.asen_pp: models.fusion
asen_tf.models.base: models.pairs
asen_study.pretraining: models.classifier training.pretraining data.augmentation
asen_tf.training.trainer: training.objective
asen_tf.training.similarity: training.phases
asen_tf.training.cluster: training.replicas training.workers
asen_tf.training.stage: training.state
asen_apps.commands: weights.__main__
asen_tf.weights: weights.loading weights.names
"""
MOVED = {
    old: new.replace("*", old)
    for new, names in (line.split(": ") for line in _MOVED.strip().splitlines())
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
