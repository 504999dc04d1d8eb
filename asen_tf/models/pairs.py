"""(image, attribute) pairs: what a method is asked to embed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf


class PairInputs(NamedTuple):
    """(image, attribute) pairs of one batch of images, as `pair_outputs` takes them.

    Attributes:
        view: `(B, g, g, 3)` uint8, the images at the global input size.
        source: `(B, S, S, 3)` uint8, the images at source size.
        rows: `(P,)` int32, the image of each pair, as a row of the batch.
        attributes: `(P,)` int32, the attribute of each pair.
        boxes: `(P, 4)` int32, for models that are given their regions; of no meaning for others.
    """

    view: tf.Tensor
    source: tf.Tensor
    rows: tf.Tensor
    attributes: tf.Tensor
    boxes: tf.Tensor

    @property
    def places(self) -> tf.Tensor:
        """Each pair's row and attribute, `(P, 2)`: its place in a `(B, A, ...)` tensor."""
        return tf.stack([self.rows, self.attributes], axis=1)


def check_pairs(images: np.ndarray, attributes: np.ndarray, names: Sequence[str]) -> None:
    """Check the images and attributes of pairs.

    Args:
        images: to be `(B, S, S, 3)` uint8.
        attributes: to be `(P,)` integers in `[0, A)`.
        names: of the `A` attributes.

    Raises:
        ValueError: for images or attributes of another shape or range.
    """
    images, attributes = np.asarray(images), np.asarray(attributes)
    if images.ndim != 4 or images.shape[1] != images.shape[2] or images.shape[3] != 3:
        raise ValueError(
            "images must be square RGB, shape (batch, side, side, 3); got shape "
            f"{images.shape}; asen_tf.data.load_image makes such an array from a file"
        )
    if images.dtype != np.uint8:
        raise ValueError(f"images must be 8-bit pixels, dtype uint8; got {images.dtype}")
    if attributes.size and not 0 <= attributes.min() <= attributes.max() < len(names):
        raise ValueError(
            f"attributes must be indices in [0, {len(names)}), of "
            f"{', '.join(names)}; got {attributes.min()}..{attributes.max()}"
        )


def check_no_boxes(needed: bool) -> None:
    """Refuse to embed without boxes; raises ValueError where a model needs them."""
    if needed:
        raise ValueError(
            "this model was trained with region='true' and embeds an image only together with the "
            "boxes of its parts; got none; pass boxes, or take a model of another region"
        )


def attribute_index(names: Sequence[str], attribute: int | str) -> int:
    """Return the index of an attribute given by name or index; ValueError for an unknown name."""
    if not isinstance(attribute, str):
        return int(attribute)
    if attribute not in names:
        raise ValueError(f"this model knows the attributes {', '.join(names)}; got {attribute!r}")
    return names.index(attribute)


def chosen_embedding(names: Sequence[str], name: str | None) -> str:
    """Return an embedding's name, the last one for None; ValueError for one that is not there."""
    if name is not None and name not in names:
        raise ValueError(f"embedding must be one of {', '.join(names)}; got {name!r}")
    return names[-1] if name is None else name
