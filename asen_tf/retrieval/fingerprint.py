"""Which model made a vector: a checksum over weights and settings."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from asen_tf.models import SimilarityModel


def model_fingerprint(model: SimilarityModel) -> str:
    """Return the SHA-256, in hexadecimal, of a model's class, settings and weights.

    Weights count in their order, with shape and dtype, but not by name: Keras numbers the names
    of layers anew in every process. A model that is saved and loaded keeps its fingerprint.
    """
    settings = json.dumps(model.get_config(), sort_keys=True, default=str)
    digest = hashlib.sha256(f"{type(model).__name__}\n{settings}\n".encode())
    for weight in model.weights:
        values = np.ascontiguousarray(weight.numpy())
        digest.update(f"{values.shape} {values.dtype}\n".encode())
        digest.update(memoryview(values).cast("B") if values.size else b"")
    return digest.hexdigest()
