"""Losses of metric learning from tensorflow-addons, for the triplet network.

The only module that touches tensorflow-addons' losses: leaving that library means rewriting the
functions of this module alone.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

LOSSES = ("semi_hard", "hard", "npairs", "lifted_struct", "contrastive")

_MARGIN = 1.0  # Euclidean, between embeddings of length 1: tensorflow-addons' default
_NPAIRS_SCALE = 10.0  # length that embeddings are given for the N-pairs loss


def metric_loss(
    name: str, embeddings: tf.Tensor, values: tf.Tensor, *, margin: float, images_per_value: int
) -> tf.Tensor:
    """Return the mean over groups of a loss of metric learning.

    Embeddings are scaled to length 1 first, because cosines are what retrieval compares; then

    - "semi_hard", "hard": triplets by mining inside the group, distance 1 - cosine, `margin`;
    - "npairs": cross-entropy of each anchor's cosines with all positives, times 10. The source has
      unscaled embeddings and a penalty on their length; a fixed length stands for both;
    - "lifted_struct": every positive pair against all negatives of both its ends, Euclidean
      distance, margin 1;
    - "contrastive": the mean over all pairs, Euclidean distance, margin 1.

    A group without two values, or without two images of a value, has loss 0.

    Args:
        name: one of `LOSSES`.
        embeddings: `(G, M, D)` float: G groups of M images; G is static.
        values: `(G, M)` integers; for "npairs" in blocks of `images_per_value`.
        margin: of the triplets, in cosine units.
        images_per_value: for "npairs": anchors are the first half of a block, positives the second.

    Returns:
        Float32 scalar.

    Raises:
        ValueError: for an unknown name.

    References:
        Schroff et al., CVPR 2015 (semi-hard triplets); Hermans et al., arXiv 1703.07737 (hardest
        triplets); Sohn, NeurIPS 2016 (N-pairs); Oh Song et al., CVPR 2016 (lifted structure);
        Hadsell et al., CVPR 2006 (contrastive).
    """
    if name not in LOSSES:
        raise ValueError(f"the loss must be one of {', '.join(LOSSES)}; got {name!r}")
    # Float32 under mixed precision too; the epsilon keeps zero vectors at zero, without NaN.
    unit = tf.math.l2_normalize(tf.cast(embeddings, tf.float32), axis=-1, epsilon=1e-12)
    losses = []
    for group, held in zip(tf.unstack(unit), tf.unstack(values), strict=True):
        same = tf.equal(held[:, None], held[None, :])
        pairs = tf.reduce_sum(tf.cast(same, tf.int32)) - tf.size(held)
        possible = tf.reduce_any(~same) & (pairs > 0)
        compute = _group_loss(name, group, held, margin, images_per_value)
        # Not tf.where: where the losses divide by no pair at all, its gradient would be NaN.
        losses.append(tf.cond(possible, compute, lambda: tf.constant(0.0)))
    return tf.add_n(losses) / len(losses)


def _group_loss(
    name: str, unit: tf.Tensor, values: tf.Tensor, margin: float, images_per_value: int
) -> Callable[[], tf.Tensor]:
    """Return the loss of one group, `(M, D)` of length 1, as a function without arguments."""
    # Imported late: tensorflow-addons warns of its retirement when it is imported.
    from tensorflow_addons import losses

    if name == "semi_hard":
        return lambda: losses.triplet_semihard_loss(values, unit, margin, "angular")
    if name == "hard":
        return lambda: losses.triplet_hard_loss(values, unit, margin, False, "angular")
    if name == "lifted_struct":
        return lambda: losses.lifted_struct_loss(values, unit, _MARGIN)
    if name == "npairs":
        anchors, positives = _halves(unit, images_per_value)
        logits = _NPAIRS_SCALE * tf.matmul(anchors, positives, transpose_b=True)
        labels = _halves(values[:, None], images_per_value)[0][:, 0]
        return lambda: losses.npairs_loss(labels, logits)

    def contrastive() -> tf.Tensor:
        upper = tf.where(tf.linalg.band_part(tf.ones_like(unit @ tf.transpose(unit)), 0, -1) > 0)
        upper = upper[upper[:, 0] < upper[:, 1]]
        left, right = tf.gather(unit, upper[:, 0]), tf.gather(unit, upper[:, 1])
        squares = tf.reduce_sum((left - right) ** 2, axis=-1)
        # The square root has no finite slope at 0, where equal images are.
        distances = tf.sqrt(tf.maximum(squares, 1e-12))
        same = tf.gather(values, upper[:, 0]) == tf.gather(values, upper[:, 1])
        return tf.reduce_mean(losses.contrastive_loss(same, distances, _MARGIN))

    return contrastive


def _halves(rows: tf.Tensor, images_per_value: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Split `(V * K, D)` into the first and the second half of each block of K, `(V * K/2, D)`."""
    half = images_per_value // 2
    width = rows.shape[-1]
    blocks = tf.reshape(rows, (-1, images_per_value, width))
    return (
        tf.reshape(blocks[:, :half], (-1, width)),
        tf.reshape(blocks[:, half : 2 * half], (-1, width)),
    )
