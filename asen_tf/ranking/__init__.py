"""Retrieval metrics: arrays in, numbers out. NumPy only; results are fractions, not percent."""

from asen_tf.ranking.chance import (
    random_average_precision,
    random_average_precisions,
    random_map,
)
from asen_tf.ranking.metrics import average_precision, precision_at_k, recall_at_k
from asen_tf.ranking.retrieval import (
    average_precisions,
    mean_average_precision,
    normalise,
    retrieval_metrics,
)
from asen_tf.ranking.several_values import (
    random_shared_value_precisions,
    shared_value_precisions,
)
from asen_tf.ranking.summary import macro, overall, summarise

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
    "recall_at_k",
    "retrieval_metrics",
    "shared_value_precisions",
    "summarise",
]
