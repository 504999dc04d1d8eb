"""Attribute-specific retrieval on a split: embeddings of its pairs, MAP and its relatives.

The papers ask for one value at a time: an image that holds the query's value and another one is a
miss when it is listed under the other. For datasets whose images hold several values of an
attribute there is a second measure: every image counts once, and is relevant when it shares any
value with the query image.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from asen_tf.data import Split
from asen_tf.data.dataset import SplitImages
from asen_tf.evaluation.intervals import bootstrap_interval, macro_interval
from asen_tf.evaluation.metrics import (
    overall,
    queries_and_candidates,
    random_shared_value_precisions,
    random_split_precisions,
    summarise,
)
from asen_tf.evaluation.ranking import normalise, retrieval_metrics, shared_value_precisions
from asen_tf.files import during
from asen_tf.models import SimilarityModel, fuse

QueryMetrics = dict[str, dict[str, np.ndarray]]  # metric -> attribute -> (Q,) values

RANKS = (1, 5, 10)  # k of recall@k and precision@k
WEIGHTS = tuple(step / 10 for step in range(11))  # of the global branch, in the fusion sweep


@dataclass(frozen=True)
class PairEmbeddings:
    """A model's outputs for (image, attribute) pairs.

    Attributes:
        pairs: `(P, 2)` int64, image and attribute index, sorted, distinct.
        arrays: `(P, ...)` float32 by name: the embeddings, and for methods with attention
            `attention` `(P, h, w)` and `boxes` `(P, 4)`.
    """

    pairs: np.ndarray
    arrays: Mapping[str, np.ndarray]

    def rows(self, labels: np.ndarray) -> np.ndarray:
        """Return the row of each label's pair; `labels` is `(n, 2 or more)`: image, attribute."""
        width = int(max(self.pairs[:, 1].max(), labels[:, 1].max(initial=0))) + 1
        keys = self.pairs[:, 0] * width + self.pairs[:, 1]
        wanted = labels[:, 0] * width + labels[:, 1]
        found = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        if not np.array_equal(keys[found], wanted):
            raise ValueError("labels must be among the pairs that were embedded; got others")
        return found


@during("embedding")
def embed_labelled_pairs(
    model: SimilarityModel, images: SplitImages, *, batch: int, progress: bool = False
) -> PairEmbeddings:
    """Embed every labelled (image, attribute) pair of a split; each image is read only once.

    Args:
        model: any method.
        images: the split, with its images.
        batch: images per step.
        progress: show a progress bar.

    Returns:
        The pairs' embeddings, in the order of `pairs`.
    """
    pairs = np.unique(images.split.labels[:, :2], axis=0)
    indices, starts = np.unique(pairs[:, 0], return_index=True)
    bounds = np.append(starts, len(pairs))
    parts: list[dict[str, np.ndarray]] = []
    if model.settings.preprocessing == "release":
        batch = 1  # whole images differ in size
    steps = range(0, len(indices), batch)
    title = f"embedding the {images.split.name} split"
    for first in tqdm(steps, desc=title, unit="batch", disable=not progress, mininterval=1.0):
        chosen = indices[first : first + batch]
        block = pairs[bounds[first] : bounds[first + len(chosen)]]
        rows = np.searchsorted(chosen, block[:, 0])
        boxes = images.squares[tuple(block.T)] if model.needs_boxes else None
        parts.append(model.embed_pairs(images.sources[chosen], rows, block[:, 1], boxes))
    return PairEmbeddings(
        pairs, {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    )


# === One value at a time, as in the papers ===


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
    for attribute, queries, candidates in queries_and_candidates(split):
        if not len(queries):
            continue
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
    expected = random_split_precisions(split)
    return {"average_precision": {name: each for name, each in expected.items() if len(each)}}


def validation_map(embedded: PairEmbeddings, split: Split, embedding: str) -> float:
    """Return the MAP over all queries of a split, in percent."""
    return 100.0 * overall(query_metrics(embedded, split, embedding)["average_precision"])


def fusion_sweep(
    embedded: PairEmbeddings, split: Split, *, weights: Sequence[float] = WEIGHTS
) -> list[dict[str, float]]:
    """Measure the fused embedding at several weights of the global branch.

    Args:
        embedded: embeddings of the split's pairs, including `global` and `local`.
        split: queries and candidates; the validation split, where weights are chosen.
        weights: `b`, from 0 (local alone) to 1 (global alone).

    Returns:
        One row per weight: `weight`, and `map` over all queries in percent.
    """
    parts = [tf.constant(embedded.arrays[name]) for name in ("global", "local")]
    rows = []
    for weight in weights:
        fused = PairEmbeddings(embedded.pairs, {"fused": fuse(*parts, weight).numpy()})
        rows.append({"weight": weight, "map": validation_map(fused, split, "fused")})
    return rows


# === Any shared value ===


def has_several_values(split: Split) -> bool:
    """Return whether some image of a split holds more than one value of an attribute."""
    return len(np.unique(split.labels[:, :2], axis=0)) < len(np.unique(split.labels, axis=0))


def shared_value_metrics(
    embedded: PairEmbeddings, split: Split, embedding: str
) -> dict[str, np.ndarray]:
    """Rank the candidate images of each attribute for each of its query images, by cosine.

    Args:
        embedded: embeddings of the split's pairs.
        split: the images of its query and candidate rows; an image holds the values of both.
        embedding: which embedding to rank by.

    Returns:
        `(Q,)` average precisions, fractions, by attribute; each query image counts once.
    """
    vectors = normalise(embedded.arrays[embedding])

    def vectors_of(images: np.ndarray, attribute: int) -> np.ndarray:
        return vectors[embedded.rows(np.stack([images, np.full_like(images, attribute)], axis=1))]

    return {
        name: shared_value_precisions(
            query_embeddings=vectors_of(images["query_images"], attribute),
            candidate_embeddings=vectors_of(images["candidate_images"], attribute),
            **images,
        )
        for attribute, name, images in _images_with_values(split)
    }


def random_shared_value_metrics(split: Split) -> dict[str, np.ndarray]:
    """Return the exact expectations of `shared_value_metrics` under a random ranking."""
    return {
        name: random_shared_value_precisions(**images)
        for _, name, images in _images_with_values(split)
    }


def _images_with_values(split: Split) -> Iterator[tuple[int, str, dict[str, np.ndarray]]]:
    """Yield index, name, images and their values of each attribute that has queries."""
    for index, (name, *both) in enumerate(queries_and_candidates(split)):
        queries, candidates = (np.unique(rows[:, 0]) for rows in both)
        if len(queries):
            holds = split.holds(index)
            yield (
                index,
                name,
                {
                    "query_images": queries,
                    "query_holds": holds[queries],
                    "candidate_images": candidates,
                    "candidate_holds": holds[candidates],
                },
            )


# === Rows of a table ===


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
        seed: the run's seed; it also seeds the bootstrap.
        resamples: bootstrap resamples over queries.
        intervals: False for exact expectations, whose interval is the value itself.

    Returns:
        One row per attribute, then `overall` (weighted by queries) and `macro` (unweighted):
        `method, embedding, seed, attribute, map, ci_low, ci_high, queries`; percent.
    """
    everything = np.concatenate(list(average_precision.values()))
    rows = []
    for name, value in summarise(average_precision).items():
        values = average_precision.get(name, everything)
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
