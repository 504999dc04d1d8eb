"""tf.data pipelines: planned steps in, grouped batches of pixels out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from asen_tf.data.images import ImageSource
from asen_tf.data.sampling import Plan
from asen_tf.layers.region_of_interest import crop_regions

_MOVES = 1  # tells the random numbers of moves from those of sampling
_LEAST_ZOOM = 0.3  # side of the smallest random square, a share of the image's


def training_steps(
    plan_epoch: Callable[[int], Plan],
    *,
    views: ImageSource | ImageFeatures,
    sources: ImageSource | None,
    first_epoch: int,
    epochs: int,
    squares: np.ndarray | None = None,
    moves: Sequence[str] = (),
    seed: int = 0,
    parts: Sequence[int] = (0,),
    of: int = 1,
) -> tf.data.Dataset:
    """Stream the training steps of some epochs, or some parts of every step.

    Every worker plans whole steps, which costs next to nothing, and reads only the images of its
    own parts. The steps are thus the same however they are divided. tf.data's automatic sharding
    is off, since it would deal out whole steps.

    Args:
        plan_epoch: gives the plan of an epoch; called when the epoch begins.
        views: images at the global input size, by index; or `ImageFeatures` of them.
        sources: images at source size, by index; None while only the global branch trains, and
            sees whole images.
        first_epoch: 0-based; a resumed run starts later than 0.
        epochs: the epoch to stop before.
        squares: `(n, A, 4)` int32, what the local branch sees of each image and attribute; None
            where attention decides.
        moves: what is drawn for each image: "flips" mirror half of the views, while sources and
            squares stay as they are; "zooms" show a random square of the source instead of the
            view; "jitter" gives draws by which regions are scaled and moved.
        seed: of the moves, with the epoch.
        parts: which parts of a step's groups to stream, one element each: those of the replicas
            that this worker feeds, in their order.
        of: how many equal parts a step's groups are divided into; 1 leaves steps whole.

    Returns:
        A dataset with one element per part and step, in plan order: `view` `(G, M, g, g, 3)` uint8
        (with features `(G, M, ...)` float32),
        `source` `(G, M, S, S, 3)` uint8 unless `sources` is None or zoomed in, `attribute` and
        `value` `(G, M)` int32, with squares `box` `(G, M, 4)` int32, and with jitter `draws`
        `(G, M, 3)` float32, uniform in [-1, 1]; `G` groups of the part.

    Raises:
        ValueError: the groups cannot be divided into that many parts.
    """
    first = plan_epoch(first_epoch)
    groups = first.images.shape[1]
    if groups % of:
        raise ValueError(f"a step's groups are divided equally; got {groups} groups, {of} parts")
    size = groups // of

    def steps():
        for epoch in range(first_epoch, epochs):
            plan = first if epoch == first_epoch else plan_epoch(epoch)
            arrays = [plan.images, plan.attributes, plan.values]
            if moves:
                rng = np.random.default_rng([seed, epoch, _MOVES])
                arrays.append(rng.uniform(-1.0, 1.0, (*plan.images.shape, 4)).astype(np.float32))
            for step in zip(*arrays, strict=True):
                for part in parts:
                    yield tuple(array[part * size : (part + 1) * size] for array in step)

    def load(
        images: tf.Tensor, attributes: tf.Tensor, values: tf.Tensor, *draws: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        batch = {} if sources is None else {"source": _pixels(sources, images)}
        if "zooms" in moves:
            batch["view"] = _zoomed(batch.pop("source"), draws[0][..., :3], side=views.side)
        else:
            batch["view"] = _pixels(views, images)
        if "flips" in moves:
            mirrored = tf.reverse(batch["view"], axis=[-2])
            batch["view"] = tf.where(draws[0][..., 3:, None, None] < 0.0, mirrored, batch["view"])
        if squares is not None:
            batch["box"] = tf.gather_nd(squares, tf.stack([images, attributes], axis=-1))
        if "jitter" in moves:
            batch["draws"] = draws[0][..., :3]
        return {**batch, "attribute": attributes, "value": values}

    signature = tuple(
        tf.TensorSpec((size, *array.shape[2:]), tf.int32)
        for array in (first.images, first.attributes, first.values)
    )
    if moves:
        signature += (tf.TensorSpec((*signature[0].shape, 4), tf.float32),)
    dataset = tf.data.Dataset.from_generator(steps, output_signature=signature)
    dataset = dataset.map(load, num_parallel_calls=2, deterministic=True)
    options = tf.data.Options()
    # One element is what one replica trains on; the strategy has nothing to deal out.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.with_options(options).prefetch(2)


@dataclass(frozen=True)
class ImageFeatures:
    """Features of each image that training does not change, computed once.

    Attributes:
        array: `(n, ...)` float32.
    """

    array: np.ndarray

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        """Return the features of the images at `indices`."""
        return self.array[indices]


def _zoomed(images: tf.Tensor, draws: tf.Tensor, *, side: int) -> tf.Tensor:
    """Return random squares of `(G, M, S, S, 3)` images as `(G, M, side, side, 3)` uint8.

    Draws, `(G, M, 3)` in [-1, 1], give a square's side, uniform from `_LEAST_ZOOM` to 1, and its
    top and left, uniform where it fits.
    """
    shares = (tf.reshape(draws, (-1, 3)) + 1.0) / 2.0
    width = _LEAST_ZOOM + (1.0 - _LEAST_ZOOM) * shares[:, :1]
    first = shares[:, 1:] * (1.0 - width)
    squares = tf.concat([first, first + width], axis=1)
    flat = tf.reshape(images, (-1, *images.shape[2:]))
    crops = crop_regions(flat, squares, map_size=1, crop_size=side)
    return tf.reshape(tf.cast(tf.round(crops), tf.uint8), (*images.shape[:2], side, side, 3))


def _pixels(images: ImageSource | ImageFeatures, indices: tf.Tensor) -> tf.Tensor:
    if isinstance(images, ImageFeatures):
        shape, kind = images.array.shape[1:], tf.float32
    else:
        shape, kind = (images.side, images.side, 3), tf.uint8
    found = tf.numpy_function(images.__getitem__, [tf.reshape(indices, [-1])], kind, stateful=False)
    return tf.reshape(found, (*indices.shape, *shape))
