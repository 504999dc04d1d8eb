"""Figures: data in, a matplotlib `Figure` out; `keep` saves one and shows it."""

from asen_tf.annotations import label
from asen_tf.figures.before_after import reranking_examples, reranking_strips
from asen_tf.figures.curves import attention_curves, learning_curves, pretraining_curves
from asen_tf.figures.differences import forest
from asen_tf.figures.examples import attention_maps, retrieval_strips
from asen_tf.figures.gallery import Gallery
from asen_tf.figures.methods import method_scores
from asen_tf.figures.reranking import (
    reranking_blend,
    reranking_changes,
    reranking_depth,
    reranking_precision,
)
from asen_tf.figures.scores import localisation_scores, map_scores, value_counts
from asen_tf.figures.side_by_side import attention_side_by_side
from asen_tf.figures.spaces import all_spaces, attribute_spaces
from asen_tf.figures.style import keep, picture
from asen_tf.figures.sweeps import fusion_sweep, setting_sweep, training_bands
from asen_tf.figures.tuning import parallel_coordinates, setting_importance

__all__ = [
    "Gallery",
    "all_spaces",
    "attention_curves",
    "attention_maps",
    "attention_side_by_side",
    "attribute_spaces",
    "forest",
    "fusion_sweep",
    "keep",
    "label",
    "learning_curves",
    "localisation_scores",
    "map_scores",
    "method_scores",
    "parallel_coordinates",
    "picture",
    "pretraining_curves",
    "reranking_blend",
    "reranking_changes",
    "reranking_depth",
    "reranking_examples",
    "reranking_precision",
    "reranking_strips",
    "retrieval_strips",
    "setting_importance",
    "setting_sweep",
    "training_bands",
    "value_counts",
]
