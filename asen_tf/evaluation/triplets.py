"""Triplet prediction: is an image with the same value closer than one with another value?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from asen_tf.data import Split, images_by_value
from asen_tf.evaluation.intervals import wilson_interval
from asen_tf.evaluation.ranking import normalise
from asen_tf.evaluation.retrieval import PairEmbeddings

_TRIES = 20  # draws per triplet wanted, before giving up on the rest


def held_out_triplets(split: Split, *, per_attribute: int = 2000, seed: int = 0) -> np.ndarray:
    """Draw triplets from a split's labels: the same for every method.

    Two distinct values of an attribute are drawn uniformly. Anchor and positive are different
    images with the first value; the negative is an image with the second value that does not also
    have the first.

    Args:
        split: the labelled images.
        per_attribute: triplets of each attribute.
        seed: of the draw; independent of any run's seed.

    Returns:
        `(T, 4)` int64: attribute, anchor, positive, negative. Attributes without any possible
        triplet are absent; those where triplets are rare may have fewer.
    """
    found: list[tuple[int, int, int, int]] = []
    for attribute in range(len(split.attributes)):
        rng = np.random.default_rng([seed, attribute])
        held = images_by_value(split.labels, attribute)
        values = list(held)
        if len(values) < 2 or all(len(images) < 2 for images in held.values()):
            continue
        enough = len(found) + per_attribute
        for _ in range(_TRIES * per_attribute):
            first, second = (values[at] for at in rng.permutation(len(values))[:2])
            if len(held[first]) < 2:
                continue
            anchor, positive = held[first][rng.permutation(len(held[first]))[:2]]
            negative = held[second][rng.integers(len(held[second]))]
            if negative in held[first]:
                continue
            found.append((attribute, int(anchor), int(positive), int(negative)))
            if len(found) == enough:
                break
    return np.array(found, np.int64).reshape(-1, 4)


def triplet_rows(
    embedded: PairEmbeddings,
    split: Split,
    *,
    names: Sequence[str],
    method: str,
    seed: int,
    per_attribute: int = 2000,
) -> list[dict[str, Any]]:
    """Measure the share of triplets with cos(anchor, positive) > cos(anchor, negative).

    The triplets are the ones that the dataset lists, or else are drawn from its labels.

    Args:
        embedded: embeddings of the split's pairs.
        split: the labelled images, or listed triplets.
        names: the embeddings to measure.
        method: the method's name.
        seed: the run's seed.
        per_attribute: triplets of each attribute, where they are drawn.

    Returns:
        One row per embedding and attribute, then `overall` over all triplets: `method, embedding,
        seed, attribute, accuracy, ci_low, ci_high, triplets`; percent, with the 95% score interval
        of Wilson (1927) over triplets. A tie is wrong. Empty where there are no triplets.

    References:
        Ma et al., AAAI 2020 (arXiv 2002.02814), triplet prediction.
    """
    asked = split.triplets
    if asked is None:
        asked = held_out_triplets(split, per_attribute=per_attribute)
    rows = []
    for name in names if len(asked) else ():
        vectors = normalise(embedded.arrays[name])
        anchor, positive, negative = (
            vectors[embedded.rows(asked[:, [column, 0]])] for column in (1, 2, 3)
        )
        near, far = ((anchor * other).sum(axis=1) for other in (positive, negative))
        right = near > far
        parts = {
            split.attributes.names[attribute]: right[asked[:, 0] == attribute]
            for attribute in np.unique(asked[:, 0])
        }
        for attribute, answers in {**parts, "overall": right}.items():
            low, high = wilson_interval(int(answers.sum()), len(answers))
            rows.append(
                {
                    "method": method,
                    "embedding": name,
                    "seed": seed,
                    "attribute": attribute,
                    "accuracy": 100.0 * float(answers.mean()),
                    "ci_low": 100.0 * low,
                    "ci_high": 100.0 * high,
                    "triplets": len(answers),
                }
            )
    return rows


def triplet_accuracy(embedded: PairEmbeddings, split: Split, name: str) -> float:
    """Return the percentage of a split's triplets that one embedding ranks correctly."""
    return triplet_rows(embedded, split, names=[name], method="", seed=0)[-1]["accuracy"]
