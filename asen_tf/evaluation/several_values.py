"""MAP that counts any shared value, for datasets whose images hold several of an attribute.

The protocol of the papers asks for one value at a time: an image that holds the query's value and
another one is a miss when it is listed under the other. Here every image counts once, and is
relevant when it shares any of the query image's values.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from asen_tf.annotations import Split
from asen_tf.evaluation.embedding import PairEmbeddings
from asen_tf.ranking import (
    normalise,
    random_shared_value_precisions,
    shared_value_precisions,
)


def has_several_values(split: Split) -> bool:
    """Return whether some image of a split holds more than one value of an attribute."""
    return len(np.unique(split.labels[:, :2], axis=0)) < len(np.unique(split.labels, axis=0))


def shared_value_metrics(
    embedded: PairEmbeddings, split: Split, embedding: str
) -> dict[str, np.ndarray]:
    """Rank the candidate images of each attribute for each of its query images, by cosine.

    Args:
        embedded: embeddings of the split's pairs.
        split: its query and candidate rows name the images; all values of an image are those of
            both together.
        embedding: which embedding to rank by.

    Returns:
        `(Q,)` average precisions, fractions, by attribute; each query image counts once.
    """
    vectors = normalise(embedded.arrays[embedding])

    def of(images: np.ndarray, attribute: int) -> np.ndarray:
        return vectors[embedded.rows(_pairs(images, attribute))]

    return {
        name: shared_value_precisions(
            query_embeddings=of(parts["query_images"], attribute),
            candidate_embeddings=of(parts["candidate_images"], attribute),
            **parts,
        )
        for attribute, name, parts in _attributes_several_values(split)
    }


def random_shared_value_metrics(split: Split) -> dict[str, np.ndarray]:
    """Return the exact expectations of `shared_value_metrics` for a random ranking."""
    return {
        name: random_shared_value_precisions(**parts)
        for _, name, parts in _attributes_several_values(split)
    }


def _attributes_several_values(split: Split) -> Iterator[tuple[int, str, dict[str, np.ndarray]]]:
    """Yield index, name, images and their values of each attribute that has queries."""
    for index, name in enumerate(split.attributes.names):
        labels = split.labels[split.labels[:, 1] == index]
        holds = np.zeros((len(split.files), split.attributes.sizes[index]), bool)
        holds[labels[:, 0], labels[:, 2]] = True
        queries, candidates = (
            np.unique(rows[rows[:, 1] == index, 0]) for rows in (split.queries, split.candidates)
        )
        if len(queries):
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


def _pairs(images: np.ndarray, attribute: int) -> np.ndarray:
    return np.stack([images, np.full_like(images, attribute)], axis=1)
