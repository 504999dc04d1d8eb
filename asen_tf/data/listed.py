"""Training on triplets that a dataset lists, instead of drawing them from labels."""

from __future__ import annotations

import numpy as np

from asen_tf.data.sampling import Plan, SamplingError


def listed_triplets(
    triplets: np.ndarray, *, steps: int, triplets_per_step: int, seed: int, epoch: int
) -> Plan:
    """Plan an epoch of listed triplets, in random order; the list starts over when it ends.

    Args:
        triplets: `(T, 4)` integers: attribute, anchor, positive, negative.
        steps: steps of the epoch.
        triplets_per_step: triplets (groups) per step.
        seed: the run's seed.
        epoch: 0-based; every epoch has an order of its own.

    Returns:
        A plan with `M = 3`: anchor, positive, negative. The lists know no values: those of the
        plan say no more than that the negative's differs.

    Raises:
        SamplingError: the list is empty.

    Source: Veit et al., CVPR 2017 (Conditional Similarity Networks), triplets of Zappos50k.
    """
    if not len(triplets):
        raise SamplingError("training needs at least one listed triplet; got none")
    rng = np.random.default_rng([seed, epoch])
    wanted = steps * triplets_per_step
    rounds = [rng.permutation(len(triplets)) for _ in range(-(-wanted // len(triplets)))]
    chosen = triplets[np.concatenate(rounds)[:wanted]].astype(np.int32)
    shape = (steps, triplets_per_step, 3)
    return Plan(
        images=chosen[:, 1:].reshape(shape),
        attributes=np.repeat(chosen[:, :1], 3, axis=1).reshape(shape),
        values=np.broadcast_to(np.array([0, 0, 1], np.int32), shape).copy(),
    )
