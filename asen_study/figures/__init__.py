"""Figures: data in, a matplotlib `Figure` out; `keep` saves one and shows it."""

from asen_study.figures.curves import attention_curves, learning_curves, pretraining_curves
from asen_study.figures.gallery import Gallery, attention_maps, retrieval_strips
from asen_study.figures.methods import forest, method_scores
from asen_study.figures.scores import localisation_scores, map_scores, value_counts
from asen_study.figures.side_by_side import attention_side_by_side
from asen_study.figures.spaces import all_spaces, attribute_spaces
from asen_study.figures.style import keep, picture
from asen_study.figures.sweeps import fusion_sweep, setting_sweep, training_bands

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
    "learning_curves",
    "localisation_scores",
    "map_scores",
    "method_scores",
    "picture",
    "pretraining_curves",
    "retrieval_strips",
    "setting_sweep",
    "training_bands",
    "value_counts",
]
