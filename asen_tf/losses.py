"""The losses of ASEN++: pure functions of embeddings.

All similarities are cosines, so embeddings need not be normalised. Training batches are *grouped*:
axis 0 runs over groups (triplets, or attributes), axis 1 over the images of a group.
"""

from __future__ import annotations

import tensorflow as tf


def cosine_similarity(left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """Return the cosine over the last axis.

    Args:
        left: float tensor `(..., D)`.
        right: float tensor broadcastable to `left`.

    Returns:
        Float32 tensor `(...)` in [-1, 1]; 0 where a vector is zero.
    """
    return tf.reduce_sum(_unit(left) * _unit(right), axis=-1)


def triplet_ranking_loss(embeddings: tf.Tensor, margin: float) -> tf.Tensor:
    """Triplet ranking loss: `mean(max(0, margin - cos(a, p) + cos(a, n)))`.

    Args:
        embeddings: `(T, 3, D)`: anchor, positive and negative of each triplet.
        margin: `m`, in cosine units; 0.2 in the paper.

    Returns:
        Float32 scalar. With cos(a, p) = 0.9, cos(a, n) = 0.8 and margin 0.2, one triplet costs 0.1.

    References:
        Dong et al., IEEE TIP 2021 (arXiv 2104.02429), triplet ranking loss.
    """
    anchor, positive, negative = tf.unstack(embeddings, num=3, axis=1)
    gap = cosine_similarity(anchor, positive) - cosine_similarity(anchor, negative)
    return tf.reduce_mean(tf.nn.relu(margin - gap))


def batch_all_loss(embeddings: tf.Tensor, values: tf.Tensor, margin: float) -> tf.Tensor:
    """Triplet ranking loss over every valid triplet of each group.

    A triplet (i, j, k) of one group is valid when i and j are different rows with the same value
    and k has another value. The mean runs over the triplets that break the margin: triplets that
    are already ranked rightly would only dilute the gradient as training goes on.

    Args:
        embeddings: `(G, M, D)`: G groups of M images, each group embedded for one attribute.
        values: `(G, M)` integers, the attribute values.
        margin: `m`, in cosine units.

    Returns:
        Float32 scalar; 0 when no triplet breaks the margin.

    References:
        Hermans et al., "In Defense of the Triplet Loss for Person Re-Identification",
        arXiv 1703.07737, section 2 ("batch all", averaged over non-zero terms); cosine
        similarity and margin as in ASEN++.
    """
    total, active = batch_all_terms(embeddings, values, margin)
    return total / tf.maximum(active, 1.0)


def batch_all_terms(
    embeddings: tf.Tensor, values: tf.Tensor, margin: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return what `batch_all_loss` divides: the sum over its triplets, and how many are active.

    Groups that are spread over several places have their mean in common only when the sums, and
    the counts, of all places are added before they are divided.

    Args: as for `batch_all_loss`.

    Returns:
        Two float32 scalars.
    """
    unit = _unit(embeddings)
    similarity = tf.einsum("gid,gjd->gij", unit, unit)
    same = tf.equal(values[:, :, None], values[:, None, :])
    distinct = ~tf.eye(tf.shape(values)[1], dtype=tf.bool)
    valid = (same & distinct)[:, :, :, None] & ~same[:, :, None, :]
    loss = tf.nn.relu(margin - similarity[:, :, :, None] + similarity[:, :, None, :])
    loss = tf.where(valid, loss, 0.0)
    active = tf.reduce_sum(tf.cast(loss > 0.0, tf.float32))
    return tf.reduce_sum(loss), active


def alignment_loss(global_embeddings: tf.Tensor, local_embeddings: tf.Tensor) -> tf.Tensor:
    """Alignment loss: pulls both branches' embeddings of one image together.

    `3 * mean(1 - cos(g, l))`. On triplets this is the paper's sum over anchor, positive and
    negative of their means; groups of any other size keep the same scale. The gradient flows into
    both branches.

    Args:
        global_embeddings: `(G, M, D)`.
        local_embeddings: `(G, M, D)`.

    Returns:
        Float32 scalar in [0, 6].

    References:
        Dong et al., IEEE TIP 2021 (arXiv 2104.02429), alignment loss.
    """
    return 3.0 * tf.reduce_mean(1.0 - cosine_similarity(global_embeddings, local_embeddings))


def _unit(vectors: tf.Tensor) -> tf.Tensor:
    # Float32 under mixed precision too; the epsilon keeps zero vectors at zero, without NaN.
    return tf.math.l2_normalize(tf.cast(vectors, tf.float32), axis=-1, epsilon=1e-12)
