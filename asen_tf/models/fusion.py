"""One embedding out of two."""

from __future__ import annotations

import tensorflow as tf


def fuse(global_embeddings: tf.Tensor, local_embeddings: tf.Tensor, weight: float) -> tf.Tensor:
    """Fuse both branches: `concat(sqrt(b) g/|g|, sqrt(1 - b) l/|l|)`.

    The dot product of two fused embeddings is `b cos_g + (1 - b) cos_l`: with b = 0.6, cosines of
    0.5 and 1.0 fuse to 0.7.

    Args:
        global_embeddings: `(..., D)` float.
        local_embeddings: `(..., D)` float.
        weight: `b` in [0, 1].

    Returns:
        `(..., 2 D)` float, of length 1.

    References:
        Dong et al., IEEE TIP 2021 (arXiv 2104.02429), inference.
    """
    return tf.concat(
        [
            weight**0.5 * tf.math.l2_normalize(global_embeddings, axis=-1),
            (1.0 - weight) ** 0.5 * tf.math.l2_normalize(local_embeddings, axis=-1),
        ],
        axis=-1,
    )
