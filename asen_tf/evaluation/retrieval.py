"""Attribute-specific retrieval on a split: embeddings of its pairs, MAP and its relatives.

The papers ask for one value at a time: an image that holds the query's value and another one is a
miss when it is listed under the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from asen_tf.data import Split
from asen_tf.data.dataset import SplitImages
from asen_tf.evaluation.metrics import overall, queries_and_candidates
from asen_tf.evaluation.ranking import normalise, retrieval_metrics
from asen_tf.files import during
from asen_tf.models import SimilarityModel

QueryMetrics = dict[str, dict[str, np.ndarray]]  # metric -> attribute -> (Q,) values

RANKS = (1, 5, 10)  # k of recall@k and precision@k


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


def validation_map(embedded: PairEmbeddings, split: Split, embedding: str) -> float:
    """Return the MAP over all queries of a split, in percent."""
    return 100.0 * overall(query_metrics(embedded, split, embedding)["average_precision"])
