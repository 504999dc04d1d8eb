"""The methods, each a `SimilarityModel`."""

from asen_tf.models.asen_pp import AsenPlusPlus, fuse
from asen_tf.models.base import SimilarityModel
from asen_tf.models.build import build_model, load_starting_weights
from asen_tf.models.classifier import AttributeClassifier

__all__ = [
    "AsenPlusPlus",
    "AttributeClassifier",
    "SimilarityModel",
    "build_model",
    "fuse",
    "load_starting_weights",
]
