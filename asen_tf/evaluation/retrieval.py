"""Attribute-specific retrieval: MAP and its relatives, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from asen_tf.annotations import Split
from asen_tf.evaluation.embedding import PairEmbeddings
from asen_tf.intervals import bootstrap_interval, macro_interval
from asen_tf.ranking import (
    normalise,
    overall,
    random_average_precisions,
    retrieval_metrics,
    summarise,
)

QueryMetrics = dict[str, dict[str, np.ndarray]]  # metric -> attribute -> (Q,) values

RANKS = (1, 5, 10)  # k of recall@k and precision@k


def query_metrics(embedded: PairEmbeddings, split: Split, embedding: str) -> QueryMetrics:
    """Measure every query of a split, ranking all candidates of its attribute by cosine.

    Args:
        embedded: embeddings of the split's pairs.
        split: queries and candidates.
        embedding: which embedding to rank by.

    Returns:
        By metric ("average_precision", "recall@k", "precision@k") and attribute name, the `(Q,)`
        values of the attribute's queries in file order. Attributes without queries are absent.
    """
    vectors = normalise(embedded.arrays[embedding])
    metrics: QueryMetrics = {}
    for attribute, queries, candidates in _attributes(split):
        measured = retrieval_metrics(
            query_embeddings=vectors[embedded.rows(queries)],
            query_values=queries[:, 2],
            candidate_embeddings=vectors[embedded.rows(candidates)],
            candidate_values=candidates[:, 2],
            ks=RANKS,
        )
        for name, values in measured.items():
            metrics.setdefault(name, {})[attribute] = values
    return metrics


def random_metrics(split: Split) -> QueryMetrics:
    """Return the exact expectation of each query's average precision under a random ranking."""
    return {
        "average_precision": {
            attribute: random_average_precisions(
                query_values=queries[:, 2], candidate_values=candidates[:, 2]
            )
            for attribute, queries, candidates in _attributes(split)
        }
    }


def validation_map(embedded: PairEmbeddings, split: Split, embedding: str) -> float:
    """Return the MAP over all queries of a split, in percent."""
    return 100.0 * overall(query_metrics(embedded, split, embedding)["average_precision"])


def map_rows(
    average_precision: Mapping[str, np.ndarray],
    *,
    method: str,
    embedding: str,
    seed: int,
    resamples: int,
    intervals: bool = True,
) -> list[dict[str, Any]]:
    """Turn per-query average precisions into rows of `map.csv`.

    Args:
        average_precision: `(Q,)` fractions by attribute.
        method: the method's name.
        embedding: "global", "local", "fused", or "-" for random.
        seed: the run's seed; also seeds the bootstrap.
        resamples: bootstrap resamples over queries.
        intervals: False for exact expectations, whose interval is the value itself.

    Returns:
        One row per attribute, then `overall` (weighted by queries) and `macro` (unweighted):
        `method, embedding, seed, attribute, map, ci_low, ci_high, queries`; percent.
    """
    everything = np.concatenate(list(average_precision.values()))
    samples: dict[str, Sequence[np.ndarray] | np.ndarray] = dict(average_precision)
    rows = []
    for name, value in summarise(average_precision).items():
        values = samples.get(name, everything)
        low = high = value
        if intervals and name == "macro":
            low, high = macro_interval(
                list(average_precision.values()), resamples=resamples, seed=seed
            )
        elif intervals:
            low, high = bootstrap_interval(values, resamples=resamples, seed=seed)
        rows.append(
            {
                "method": method,
                "embedding": embedding,
                "seed": seed,
                "attribute": name,
                "map": 100.0 * value,
                "ci_low": 100.0 * low,
                "ci_high": 100.0 * high,
                "queries": len(values),
            }
        )
    return rows


def _attributes(split: Split):
    """Yield name, queries and candidates of each attribute that has queries."""
    for index, name in enumerate(split.attributes.names):
        queries = split.queries[split.queries[:, 1] == index]
        candidates = split.candidates[split.candidates[:, 1] == index]
        if len(queries):
            yield name, queries, candidates
