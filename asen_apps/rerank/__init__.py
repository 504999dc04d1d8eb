"""Re-ranking: a general retrieval whose first candidates are re-sorted by one attribute."""

from asen_apps.rerank.figures import blend, changes, depth, examples, precision, strips
from asen_apps.rerank.measures import (
    LabelledImages,
    Shortlists,
    by_label,
    expected_at_random,
    measure,
    reorder,
    shortlist,
)
from asen_apps.rerank.runs import Reranking, check, write
from asen_apps.rerank.tables import (
    RANKS,
    WEIGHTS,
    in_words,
    precision_table,
    result_table,
    similarity_table,
)

__all__ = [
    "LabelledImages",
    "RANKS",
    "Reranking",
    "Shortlists",
    "WEIGHTS",
    "blend",
    "by_label",
    "changes",
    "check",
    "depth",
    "examples",
    "expected_at_random",
    "in_words",
    "measure",
    "precision",
    "precision_table",
    "reorder",
    "result_table",
    "shortlist",
    "similarity_table",
    "strips",
    "write",
]
