"""Figures: data in, a matplotlib `Figure` out; `keep` saves one and shows it."""

from asen_tf.figures.curves import attention_curves, learning_curves, pretraining_curves
from asen_tf.figures.examples import attention_maps, retrieval_strips
from asen_tf.figures.gallery import Gallery
from asen_tf.figures.scores import localisation_scores, map_scores, value_counts
from asen_tf.figures.style import keep, label, picture

__all__ = [
    "Gallery",
    "attention_curves",
    "attention_maps",
    "keep",
    "label",
    "learning_curves",
    "localisation_scores",
    "map_scores",
    "picture",
    "pretraining_curves",
    "retrieval_strips",
    "value_counts",
]
