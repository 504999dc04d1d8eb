"""What a random ranking scores on a split: a fact of its labels alone."""

from __future__ import annotations

from asen_tf.annotations.records import Split
from asen_tf.ranking import random_average_precisions, summarise


def random_maps(split: Split) -> dict[str, float]:
    """Return the exact expected MAP of each attribute, and `overall` and `macro`, as fractions.

    Args:
        split: valid or test, with queries and candidates.

    Returns:
        By attribute name; NaN for an attribute without queries.
    """
    expected = {}
    for attribute, name in enumerate(split.attributes.names):
        queries = split.queries[split.queries[:, 1] == attribute]
        candidates = split.candidates[split.candidates[:, 1] == attribute]
        expected[name] = random_average_precisions(
            query_values=queries[:, 2], candidate_values=candidates[:, 2]
        )
    return summarise(expected)
