"""The losses: pure functions of embeddings.

Those of ASEN++ come first; then `metric_loss`, losses of metric learning for comparison. All
similarities are cosines, so embeddings need not be normalised. Training batches are *grouped*: axis
0 runs over groups (triplets, or attributes), axis 1 over the images of a group.

No other module uses tensorflow-addons' losses: leaving that library means rewriting `_group_loss`
alone.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from asen_tf.config import METRIC_LOSSES

_MARGIN = 1.0  # Euclidean, between embeddings of length 1: the default of tensorflow-addons
_TEMPERATURE, _BACKGROUND = 0.07, 12.0  # tau and a of E-InfoNCE, as released
_NPAIRS_SCALE = 10.0  # of the cosines in the N-pairs loss


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


def batch_all_terms(
    embeddings: tf.Tensor, values: tf.Tensor, margin: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the two parts of the triplet ranking loss over every valid triplet of each group.

    A triplet (i, j, k) of one group is valid when i and j are different rows with the same value
    and k has another value. The loss is the sum over the triplets that break the margin, divided by
    their number: those that are already ranked correctly would only dilute the gradient as training
    goes on. When groups are spread over several replicas, their common mean is the sum of all sums
    divided by the sum of all numbers.

    Args:
        embeddings: `(G, M, D)`: G groups of M images, each group embedded for one attribute.
        values: `(G, M)` integers, the attribute values.
        margin: `m`, in cosine units.

    Returns:
        Two float32 scalars: the sum, and how many triplets break the margin. Both are 0 when none
        does.

    References:
        Hermans et al., "In Defense of the Triplet Loss for Person Re-Identification",
        arXiv 1703.07737, section 2 ("batch all", averaged over non-zero terms); cosine
        similarity and margin as in ASEN++.
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
    """Alignment loss: pulls the two branches' embeddings of an image together.

    `3 * mean(1 - cos(g, l))`. On triplets this is the paper's sum of the means over anchors,
    positives and negatives; groups of any other size keep the same scale. The gradient flows into
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


def e_info_nce(
    global_embeddings: tf.Tensor,
    local_embeddings: tf.Tensor,
    background: tf.Tensor,
    attributes: tf.Tensor,
    values: tf.Tensor,
) -> tf.Tensor:
    r"""E-InfoNCE: aligns two branches by contrast, with image backgrounds as further negatives.

    Over all `n` images of a step, whatever their groups, with unit vectors :math:`r_i` of the
    global branch, :math:`p_j` of the local one and :math:`b_j` of what the attention leaves out,
    :math:`S_{ij} = \langle r_i, p_j \rangle` and :math:`B_{ij} = \langle r_i, b_j \rangle`:

    .. math::
        L = \frac1n \sum_i \log \frac{P_i + N_i + a K_i}{P_i}, \quad
        P_i = \sum_{j \in V_i} e^{S_{ij} / \tau}, \quad
        N_i = \sum_{j \notin V_i} e^{S_{ij} / \tau}, \quad
        K_i = \sum_{j \in A_i} e^{B_{ij} / \tau}

    :math:`A_i` are the images embedded for the same attribute as `i`, :math:`V_i` those of them
    with the same value, `i` among them; :math:`\tau = 0.07`, :math:`a = 12`. One direction: the
    global branch asks, the local one answers. The gradient flows into both, and the background.

    Args:
        global_embeddings: `(G, M, D)` float.
        local_embeddings: `(G, M, D)` float.
        background: `(G, M, D)` float.
        attributes: `(G, M)` integers.
        values: `(G, M)` integers.

    Returns:
        Float32 scalar, positive. One image alone with all three vectors the same: log 13 = 2.565.

    References:
        Dong et al., "From Region to Patch: Attribute-Aware Foreground-Background Contrastive
        Learning for Fine-Grained Fashion Retrieval", SIGIR 2023 (arXiv 2305.10260), as released.
    """
    asks, answers, others = (
        _unit(tf.reshape(vectors, (-1, vectors.shape[-1])))
        for vectors in (global_embeddings, local_embeddings, background)
    )
    attributes, values = tf.reshape(attributes, [-1]), tf.reshape(values, [-1])
    kin = tf.equal(attributes[:, None], attributes[None, :])
    same = tf.cast(kin & tf.equal(values[:, None], values[None, :]), tf.float32)
    likeness = tf.exp(tf.matmul(asks, answers, transpose_b=True) / _TEMPERATURE)
    hidden = tf.exp(tf.matmul(asks, others, transpose_b=True) / _TEMPERATURE)
    everything = tf.reduce_sum(likeness, axis=1)  # P + N
    everything += _BACKGROUND * tf.reduce_sum(tf.cast(kin, tf.float32) * hidden, axis=1)
    return tf.reduce_mean(
        tf.math.log(everything) - tf.math.log(tf.reduce_sum(same * likeness, axis=1))
    )


def metric_loss(
    name: str, embeddings: tf.Tensor, values: tf.Tensor, *, margin: float, images_per_value: int
) -> tf.Tensor:
    """Return a loss of metric learning, its mean over groups.

    Embeddings are scaled to length 1 first, because cosines are what retrieval compares; then

    - "semi_hard", "hard": triplets by mining inside the group, distance 1 - cosine, `margin`;
    - "npairs": cross-entropy of each anchor's cosines with all positives, times 10. The source has
      unscaled embeddings and a penalty on their length; a fixed scale replaces both;
    - "lifted_struct": every positive pair against all negatives of both its ends, Euclidean
      distance, margin 1;
    - "contrastive": the mean over all pairs, Euclidean distance, margin 1.

    A group without two values, or without two images of a value, has loss 0.

    Args:
        name: one of `asen_tf.config.METRIC_LOSSES`.
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
    if name not in METRIC_LOSSES:
        raise ValueError(f"the loss must be one of {', '.join(METRIC_LOSSES)}; got {name!r}")
    unit = _unit(embeddings)
    losses = []
    for group, held in zip(tf.unstack(unit), tf.unstack(values), strict=True):
        same = tf.equal(held[:, None], held[None, :])
        pairs = tf.reduce_sum(tf.cast(same, tf.int32)) - tf.size(held)
        possible = tf.reduce_any(~same) & (pairs > 0)
        compute = _group_loss(name, group, held, margin, images_per_value)
        # Not tf.where: without any pair the losses divide by zero, and its gradient would be NaN.
        losses.append(tf.cond(possible, compute, lambda: tf.constant(0.0)))
    return tf.add_n(losses) / len(losses)


def _group_loss(
    name: str, unit: tf.Tensor, values: tf.Tensor, margin: float, images_per_value: int
) -> Callable[[], tf.Tensor]:
    """Return the loss of one group, `(M, D)` of length 1, as a function without arguments."""
    # Imported late: tensorflow-addons announces its end of life when it is imported.
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
        # The square root has no finite slope at 0, the distance of equal images.
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


def _unit(vectors: tf.Tensor) -> tf.Tensor:
    # Float32 under mixed precision too; the epsilon keeps zero vectors at zero, without NaN.
    return tf.math.l2_normalize(tf.cast(vectors, tf.float32), axis=-1, epsilon=1e-12)
