"""Re-ranking: a general retrieval whose first candidates are re-sorted by one attribute."""

from asen_apps.rerank.figures import (
    reranking_blend,
    reranking_changes,
    reranking_depth,
    reranking_precision,
)
from asen_apps.rerank.measures import (
    Items,
    Shortlists,
    by_label,
    expected_at_random,
    measure,
    reorder,
    shortlist,
)
from asen_apps.rerank.runs import Reranking
from asen_apps.rerank.strips import reranking_examples, reranking_strips
from asen_apps.rerank.tables import RANKS, WEIGHTS, check, rerank_table
from asen_apps.rerank.text import chosen, in_words, precision_table, similarity_table, write
from asen_tf.data import label

__all__ = [
    "label",
    "reranking_blend",
    "reranking_changes",
    "reranking_depth",
    "reranking_examples",
    "reranking_precision",
    "reranking_strips",
    "Items",
    "RANKS",
    "Reranking",
    "Shortlists",
    "WEIGHTS",
    "by_label",
    "check",
    "chosen",
    "expected_at_random",
    "in_words",
    "measure",
    "precision_table",
    "reorder",
    "rerank_table",
    "shortlist",
    "similarity_table",
    "write",
]
