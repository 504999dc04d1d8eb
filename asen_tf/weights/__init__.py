"""The authors' trained weights, put into the models of this package."""

from asen_tf.weights.authors import load_authors_checkpoint

__all__ = [
    "load_authors_checkpoint",
]
