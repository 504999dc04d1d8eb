"""Attribute-specific embeddings for fine-grained fashion similarity, in Keras.

Importing the package checks the versions of Python, Keras and TensorFlow and loads nothing heavy:
`asen_tf.annotations`, `asen_tf.ranking` and `asen_tf.config` never load TensorFlow.
"""

import os
import sys

from asen_tf.compatibility import check_versions, installed_version

__version__ = "0.1.0"

check_versions(
    python=sys.version_info[:2],
    keras=installed_version("keras"),
    tensorflow=installed_version("tensorflow"),
)

# TensorFlow reads this once, when it is first imported. On a CPU the small convolutions of the
# compact backbone run faster without oneDNN (about 165 images of training a second, against 70 to
# 120 with it), and oneDNN rounds in another order, so one fixed setting is part of "same seed, same
# machine, same digits". For ResNet-50 on a CPU set the variable to 1 outside; a GPU ignores it.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
