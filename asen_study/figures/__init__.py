"""Figures: data in, a matplotlib `Figure` out; `keep` saves it, `show` displays it, too."""

from asen_study.figures.attention import attention_maps, attention_side_by_side, local_views
from asen_study.figures.comparisons import forest, method_scores
from asen_study.figures.curves import (
    attention_curves,
    fusion_sweep,
    label_curves,
    learning_curves,
    pretraining_curves,
    setting_sweep,
    training_bands,
)
from asen_study.figures.gallery import (
    Gallery,
    compared_attention,
    first_run,
    retrieval_strips,
)
from asen_study.figures.method import (
    attention_by_attribute,
    batch_pictures,
    overview,
    region_pictures,
    region_steps,
    sampled_batch,
    triplet_step,
)
from asen_study.figures.scores import confusions, localisation_scores, map_scores, value_counts
from asen_study.figures.spaces import all_spaces, attribute_spaces
from asen_study.figures.style import keep, picture, show

__all__ = [
    "Gallery",
    "all_spaces",
    "attention_by_attribute",
    "attention_curves",
    "attention_maps",
    "attention_side_by_side",
    "attribute_spaces",
    "batch_pictures",
    "compared_attention",
    "confusions",
    "first_run",
    "forest",
    "fusion_sweep",
    "keep",
    "label_curves",
    "learning_curves",
    "local_views",
    "localisation_scores",
    "map_scores",
    "method_scores",
    "overview",
    "picture",
    "pretraining_curves",
    "region_pictures",
    "region_steps",
    "retrieval_strips",
    "sampled_batch",
    "setting_sweep",
    "show",
    "training_bands",
    "triplet_step",
    "value_counts",
]
