"""Evaluation: embeddings of a split, retrieval, localisation, triplets, intervals.

The names below are the retrieval metrics: arrays in, fractions out (not percent), NumPy only.
"""

from asen_tf.evaluation.metrics import (
    average_precision,
    macro,
    overall,
    random_average_precision,
    random_average_precisions,
    random_shared_value_precisions,
    summarise,
)
from asen_tf.evaluation.ranking import normalise, ranked, retrieval_metrics, shared_value_precisions

__all__ = [
    "average_precision",
    "macro",
    "normalise",
    "overall",
    "random_average_precision",
    "random_average_precisions",
    "random_shared_value_precisions",
    "ranked",
    "retrieval_metrics",
    "shared_value_precisions",
    "summarise",
]
