"""Re-ranking: a general retrieval whose first candidates are re-sorted by one attribute."""

from asen_tf.reranking.checks import check
from asen_tf.reranking.measures import by_label, expected_at_random, measure, reorder
from asen_tf.reranking.runs import Reranking
from asen_tf.reranking.shortlists import Items, Shortlists, shortlist
from asen_tf.reranking.tables import RANKS, WEIGHTS, rerank_table
from asen_tf.reranking.text import chosen, in_words, precision_table, similarity_table
from asen_tf.reranking.writing import write

__all__ = [
    "RANKS",
    "WEIGHTS",
    "Items",
    "Reranking",
    "Shortlists",
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
