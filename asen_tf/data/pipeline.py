"""tf.data pipelines: planned steps in, grouped batches of pixels out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from asen_tf.data.augmentation import augment
from asen_tf.data.sampling import Plan
from asen_tf.data.sources import ImageSource


def training_steps(
    plan_epoch: Callable[[int], Plan],
    *,
    views: ImageSource,
    sources: ImageSource | None,
    first_epoch: int,
    epochs: int,
    augmentation_seed: int | None = None,
    squares: np.ndarray | None = None,
) -> tf.data.Dataset:
    """Stream the training steps of some epochs.

    Args:
        plan_epoch: gives the plan of an epoch; called when the epoch begins.
        views: images at the global input size, by index.
        sources: images at source size, by index; None while only the global branch trains.
        first_epoch: 0-based; a resumed run starts later than 0.
        epochs: the epoch to stop before.
        augmentation_seed: change the views at random (see `asen_tf.data.augmentation`), as a pure
            function of this seed and the step; None leaves them as they are.
        squares: `(n, A, 4)` int32, what the local branch is to see of each image and attribute;
            None where the attention decides.

    Returns:
        A dataset with one element per step, in plan order: `view` `(G, M, g, g, 3)` uint8,
        `source` `(G, M, S, S, 3)` uint8 unless `sources` is None, `attribute` and `value`
        `(G, M)` int32, and with squares `box` `(G, M, 4)` int32. Axis 0 may be split over
        replicas: groups are independent.
    """
    first = plan_epoch(first_epoch)

    def steps():
        for epoch in range(first_epoch, epochs):
            plan = first if epoch == first_epoch else plan_epoch(epoch)
            yield from zip(plan.images, plan.attributes, plan.values, strict=True)

    def load(step: tf.Tensor, plan: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        images, attributes, values = plan
        batch = {"view": _pixels(views, images)}
        if augmentation_seed is not None:
            flat = tf.reshape(batch["view"], (-1, *batch["view"].shape[-3:]))
            changed = augment(flat, tf.stack([augmentation_seed, step]))
            batch["view"] = tf.reshape(changed, batch["view"].shape)
        if sources is not None:
            batch["source"] = _pixels(sources, images)
        if squares is not None:
            batch["box"] = tf.gather_nd(squares, tf.stack([images, attributes], axis=-1))
        return {**batch, "attribute": attributes, "value": values}

    signature = tuple(
        tf.TensorSpec(array.shape[1:], tf.int32)
        for array in (first.images, first.attributes, first.values)
    )
    dataset = tf.data.Dataset.from_generator(steps, output_signature=signature)
    dataset = dataset.enumerate(first_epoch * len(first)).map(
        load, num_parallel_calls=2, deterministic=True
    )
    options = tf.data.Options()
    # One element is one global batch already; there is nothing for the strategy to re-batch.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.with_options(options).prefetch(2)


def _pixels(images: ImageSource, indices: tf.Tensor) -> tf.Tensor:
    flat = tf.reshape(indices, [-1])
    pixels = tf.numpy_function(images.__getitem__, [flat], tf.uint8, stateful=False)
    return tf.reshape(pixels, (*indices.shape, images.side, images.side, 3))
