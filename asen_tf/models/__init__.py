"""The methods, each a `SimilarityModel`."""

from asen_tf.models.asen import Asen, AsenV2
from asen_tf.models.asen_pp import AsenPlusPlus
from asen_tf.models.base import SimilarityModel
from asen_tf.models.build import build_model, load_starting_weights
from asen_tf.models.classifier import AttributeClassifier
from asen_tf.models.fusion import fuse
from asen_tf.models.pairs import PairInputs
from asen_tf.models.relatives import ConditionalSimilarityNetwork, TripletNetwork
from asen_tf.models.saved import ModelFileError, load_saved

__all__ = [
    "Asen",
    "AsenPlusPlus",
    "AsenV2",
    "AttributeClassifier",
    "ConditionalSimilarityNetwork",
    "ModelFileError",
    "PairInputs",
    "SimilarityModel",
    "TripletNetwork",
    "build_model",
    "fuse",
    "load_saved",
    "load_starting_weights",
]
