"""The branches that methods are made of: from images and attributes to embeddings."""

from asen_tf.branches.attentive import build_branch
from asen_tf.branches.relatives import (
    build_asen,
    build_asen_v2,
    build_conditional,
    build_unconditional,
)

__all__ = [
    "build_asen",
    "build_asen_v2",
    "build_branch",
    "build_conditional",
    "build_unconditional",
]
