"""Triplet prediction: is an image with the same value closer than one with another value?"""

from __future__ import annotations

import numpy as np

from asen_tf.data import AnnotationError, Split, images_by_value
from asen_tf.data.records import triplets_filename
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


def triplets_of(split: Split) -> np.ndarray:
    """Return the triplets that a dataset lists, or else some that are drawn from its labels."""
    return held_out_triplets(split) if split.triplets is None else split.triplets


def ranked_correctly(
    embedded: PairEmbeddings, triplets: np.ndarray, split: Split, embedding: str
) -> dict[str, np.ndarray]:
    """Return which triplets have cos(anchor, positive) > cos(anchor, negative); a tie is wrong.

    Args:
        embedded: embeddings of the split's pairs.
        triplets: `(T, 4)` of `triplets_of`.
        split: names the attributes.
        embedding: which embedding to measure.

    Returns:
        `(T,)` bool by attribute name, then `overall`, of all triplets; empty if there are none.

    Raises:
        ValueError: the embeddings give cosines that are not finite.

    References:
        Ma et al., AAAI 2020 (arXiv 2002.02814), triplet prediction.
    """
    if not len(triplets):
        return {}
    vectors = normalise(embedded.arrays[embedding])
    anchor, positive, negative = (
        vectors[embedded.rows(triplets[:, [column, 0]])] for column in (1, 2, 3)
    )
    near, far = ((anchor * other).sum(axis=1) for other in (positive, negative))
    if not np.isfinite([near, far]).all():  # as in a ranking; no comparison with NaN is true
        raise ValueError(
            f"embeddings must give finite scores; got NaN or infinity of {embedding!r}; lower the "
            "learning rates, or measure the model of an earlier epoch"
        )
    right = near > far
    parts = {
        split.attributes.names[attribute]: right[triplets[:, 0] == attribute]
        for attribute in np.unique(triplets[:, 0])
    }
    return {**parts, "overall": right}


def triplet_accuracy(embedded: PairEmbeddings, split: Split, embedding: str) -> float:
    """Return the percentage of a split's triplets that one embedding ranks correctly.

    Raises:
        asen_tf.data.AnnotationError: the split has no triplet.
        ValueError: see `ranked_correctly`.
    """
    triplets = triplets_of(split)
    if not len(triplets):
        raise no_triplets(split)
    right = ranked_correctly(embedded, triplets, split, embedding)["overall"]
    return 100.0 * float(right.mean())


def no_triplets(split: Split) -> AnnotationError:
    """Return the error of a split whose list has no triplet, or whose labels give none."""
    listed = split.triplets is not None
    remedy = "add labels: two values of an attribute, and two images of one of them"
    return AnnotationError(
        f"the {split.name} split needs a triplet whose three images are there, or nothing can be "
        "trained or measured",
        path=split.root / triplets_filename(split.name) if listed else None,
        got="none",
        remedy="add the images that are missing, or triplets of others" if listed else remedy,
    )
