"""tf.data pipelines: planned steps in, grouped batches of pixels out."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from asen_tf.data.sampling import Plan
from asen_tf.data.sources import ImageSource


def training_steps(
    plan_epoch: Callable[[int], Plan],
    *,
    views: ImageSource,
    sources: ImageSource | None,
    first_epoch: int,
    epochs: int,
) -> tf.data.Dataset:
    """Stream the training steps of some epochs.

    Args:
        plan_epoch: gives the plan of an epoch; called when the epoch begins.
        views: images at the global input size, by index.
        sources: images at source size, by index; None while only the global branch trains.
        first_epoch: 0-based; a resumed run starts later than 0.
        epochs: the epoch to stop before.

    Returns:
        A dataset with one element per step, in plan order: `view` `(G, M, g, g, 3)` uint8,
        `source` `(G, M, S, S, 3)` uint8 unless `sources` is None, `attribute` and `value`
        `(G, M)` int32. Axis 0 may be split over replicas: groups are independent.
    """
    first = plan_epoch(first_epoch)

    def steps():
        for epoch in range(first_epoch, epochs):
            plan = first if epoch == first_epoch else plan_epoch(epoch)
            yield from zip(plan.images, plan.attributes, plan.values, strict=True)

    def load(images: tf.Tensor, attributes: tf.Tensor, values: tf.Tensor) -> dict[str, tf.Tensor]:
        batch = {"view": _pixels(views, images)}
        if sources is not None:
            batch["source"] = _pixels(sources, images)
        return {**batch, "attribute": attributes, "value": values}

    signature = tuple(
        tf.TensorSpec(array.shape[1:], tf.int32)
        for array in (first.images, first.attributes, first.values)
    )
    dataset = tf.data.Dataset.from_generator(steps, output_signature=signature)
    dataset = dataset.map(load, num_parallel_calls=2, deterministic=True)
    options = tf.data.Options()
    # One element is one global batch already; there is nothing for the strategy to re-batch.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.with_options(options).prefetch(2)


def _pixels(images: ImageSource, indices: tf.Tensor) -> tf.Tensor:
    flat = tf.reshape(indices, [-1])
    pixels = tf.numpy_function(images.__getitem__, [flat], tf.uint8, stateful=False)
    return tf.reshape(pixels, (*indices.shape, images.side, images.side, 3))
