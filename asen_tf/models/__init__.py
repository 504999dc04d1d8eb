"""The methods, each a `SimilarityModel`: from images and attributes to embeddings."""

from asen_tf.models.asen import Asen, AsenV2
from asen_tf.models.asen_pp import AsenPlusPlus, build_branch, fuse
from asen_tf.models.base import PairInputs, SimilarityModel
from asen_tf.models.build import ModelFileError, build_model, load_saved
from asen_tf.models.relatives import ConditionalSimilarityNetwork, FrozenFeatures, TripletNetwork
from asen_tf.models.rpf import RegionToPatch

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
]
