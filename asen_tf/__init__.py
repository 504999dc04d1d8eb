"""Attribute-specific embeddings for fine-grained fashion similarity, in Keras.

Importing the package checks the versions of Python, Keras and TensorFlow and loads nothing heavy:
`asen_tf.data`, `asen_tf.evaluation` and `asen_tf.config` never load TensorFlow. If it is loaded
later, it prints none of its start-up lines, unless you have set TF_CPP_MIN_LOG_LEVEL yourself.
"""

import importlib
import os
import sys
from typing import Any

from asen_tf.compatibility import check_versions, installed_version, name_new_places

__version__ = "0.1.0"

check_versions(
    python=sys.version_info[:2],
    keras=installed_version("keras"),
    tensorflow=installed_version("tensorflow"),
)
name_new_places()
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read once, when TensorFlow is imported


def __getattr__(name: str) -> Any:
    """Give `asen_tf.Embedder` when it is asked for: it needs TensorFlow, the package does not."""
    if name == "Embedder":
        return importlib.import_module("asen_tf.embedder").Embedder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
