"""Attribute-specific embeddings for fine-grained fashion similarity, in Keras.

Importing the package checks the versions of Python, Keras and TensorFlow and loads nothing heavy:
`asen_tf.data`, `asen_tf.evaluation` and `asen_tf.config` never load TensorFlow. If it is loaded
later, it prints none of its start-up lines, unless you have set TF_CPP_MIN_LOG_LEVEL yourself, and
takes the faster kernels of oneDNN on every x86 processor, unless you have set
TF_ENABLE_ONEDNN_OPTS=0.
"""

import importlib
import os
import platform
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
# Both are read once, when TensorFlow is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if platform.machine() in ("x86_64", "AMD64"):
    # By itself TensorFlow takes these kernels only where there is VNNI. Without it, too, training
    # a whole EfficientNet takes two thirds of the time with them, and embedding five sixths.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def __getattr__(name: str) -> Any:
    """Give `asen_tf.Embedder` when it is asked for: it needs TensorFlow, the package does not."""
    if name == "Embedder":
        return importlib.import_module("asen_tf.embedder").Embedder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
