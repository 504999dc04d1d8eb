"""The methods, each a `SimilarityModel`: from images and attributes to embeddings."""

from asen_tf.models.asen import Asen, AsenV2
from asen_tf.models.asen_pp import AsenPlusPlus, build_branch, fuse
from asen_tf.models.base import PairInputs, SimilarityModel
from asen_tf.models.build import build_model, load_starting_weights
from asen_tf.models.relatives import ConditionalSimilarityNetwork, FrozenFeatures, TripletNetwork
from asen_tf.models.rpf import RegionToPatch
from asen_tf.models.saved import ModelFileError, load_saved

__all__ = [
    "Asen",
    "AsenPlusPlus",
    "AsenV2",
    "ConditionalSimilarityNetwork",
    "FrozenFeatures",
    "ModelFileError",
    "PairInputs",
    "RegionToPatch",
    "SimilarityModel",
    "TripletNetwork",
    "build_branch",
    "build_model",
    "fuse",
    "load_saved",
    "load_starting_weights",
]
