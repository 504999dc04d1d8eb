"""The branches that methods are made of: from images and attributes to embeddings.

The methods, each a `SimilarityModel`.
"""

from asen_tf.models.asen import Asen, AsenV2
from asen_tf.models.asen_pp import AsenPlusPlus, build_branch, fuse
from asen_tf.models.base import PairInputs, SimilarityModel
from asen_tf.models.build import build_model, load_starting_weights
from asen_tf.models.relatives import (
    ConditionalSimilarityNetwork,
    TripletNetwork,
    build_asen,
    build_asen_v2,
    build_conditional,
    build_unconditional,
)
from asen_tf.models.saved import ModelFileError, load_saved

__all__ = [
    "Asen",
    "AsenPlusPlus",
    "AsenV2",
    "ConditionalSimilarityNetwork",
    "ModelFileError",
    "PairInputs",
    "SimilarityModel",
    "TripletNetwork",
    "build_asen",
    "build_asen_v2",
    "build_branch",
    "build_conditional",
    "build_model",
    "build_unconditional",
    "fuse",
    "load_saved",
    "load_starting_weights",
]
