"""Evaluation: embeddings of a split, retrieval, localisation, triplets, intervals.

The names below are the retrieval metrics: arrays in, fractions out (not percent), NumPy only.
"""

from asen_tf.evaluation.metrics import (
    average_precision,
    macro,
    overall,
    precision_at_k,
    random_average_precision,
    random_average_precisions,
    random_map,
    random_shared_value_precisions,
    recall_at_k,
    summarise,
)
from asen_tf.evaluation.ranking import (
    average_precisions,
    mean_average_precision,
    normalise,
    ranked,
    retrieval_metrics,
    shared_value_precisions,
)

__all__ = [
    "average_precision",
    "average_precisions",
    "macro",
    "mean_average_precision",
    "normalise",
    "overall",
    "precision_at_k",
    "random_average_precision",
    "random_average_precisions",
    "random_map",
    "random_shared_value_precisions",
    "ranked",
    "recall_at_k",
    "retrieval_metrics",
    "shared_value_precisions",
    "summarise",
]
