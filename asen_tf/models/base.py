"""What every method offers: embeddings of images for attributes.

(image, attribute) pairs: what a method is asked to embed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from asen_tf.layers import global_view


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


class SimilarityModel(keras.Model):
    """Base of the methods: `embed` and `embed_all` on top of one hook, `pair_outputs`.

    A subclass implements `call` (what training needs) and `pair_outputs` (what embedding needs),
    and names its embeddings in `embedding_names`, the best one last.

    Attributes:
        joint: whether all branches run; False during a first stage that trains one branch alone.

    Args:
        attributes: names of the attributes, in index order; they travel in the saved model.
        global_size: side of the global input in pixels.
        source_size: side of the source images that it was trained on, in pixels: with the
            attributes' names, all that is needed to prepare an image.
        **kwargs: passed to `keras.Model`.

    Raises:
        ValueError: if there is no attribute, or a name occurs twice.
    """

    def __init__(
        self, attributes: Sequence[str], *, global_size: int, source_size: int = 640, **kwargs: Any
    ) -> None:
        """Create the model; see the class for the arguments."""
        super().__init__(**kwargs)
        if not attributes or len(set(attributes)) != len(attributes):
            raise ValueError(f"attributes must be distinct names, at least one; got {attributes!r}")
        # A plain list would be wrapped by Keras' tracking; the config wants JSON's types.
        self.attribute_names = tuple(attributes)
        self.global_size = global_size
        self.source_size = source_size
        self.joint = True

    @property
    def joint(self) -> bool:
        """Whether all branches run."""
        return self._joint

    @joint.setter
    def joint(self, joint: bool) -> None:
        self._joint = joint
        # What runs is decided while tracing, so the trace must not outlive the decision.
        # One signature for all sizes: a result never depends on the shapes that were seen before.
        pairs = tf.TensorSpec((None,), tf.int32)
        images = tf.TensorSpec((None, None, None, 3), tf.uint8)
        boxes = tf.TensorSpec((None, 4), tf.int32)
        self._pairs = tf.function(self._run_pairs, input_signature=(images, pairs, pairs, boxes))

    @property
    def embedding_names(self) -> tuple[str, ...]:
        """The embeddings that `embed` can return, the best one last."""
        return ("global",)

    @property
    def backbones(self) -> list[tuple[str, keras.Model]]:
        """Name (see `asen_tf.backbones.build_backbone`) and model of each backbone."""
        raise NotImplementedError

    @property
    def global_layers(self) -> list[keras.layers.Layer]:
        """The layers that see the whole image, and what they share with others."""
        raise NotImplementedError

    @property
    def local_layers(self) -> list[keras.layers.Layer]:
        """The layers that only a second, zooming branch uses; none for most methods."""
        return []

    @property
    def needs_boxes(self) -> bool:
        """Whether images can be embedded only together with the boxes of their parts."""
        return False

    def pair_outputs(self, pairs: PairInputs) -> dict[str, tf.Tensor]:
        """Embed (image, attribute) pairs; the backbone of the global branch runs once per image.

        Returns:
            `(P, ...)` float32 tensors: one `(P, D)` embedding per name in `embedding_names`, and
            what the method can show of itself (`attention`, `boxes`).
        """
        raise NotImplementedError

    def embed_pairs(
        self,
        images: np.ndarray,
        rows: np.ndarray,
        attributes: np.ndarray,
        boxes: np.ndarray | None = None,
    ) -> dict[str, np.ndarray]:
        """Embed chosen (image, attribute) pairs of one batch of source images.

        Args:
            images: `(B, S, S, 3)` uint8, square RGB images.
            rows: `(P,)` integers in `[0, B)`.
            attributes: `(P,)` integers in `[0, A)`.
            boxes: `(P, 4)` integers: top, left, bottom, right in pixels of the global input; only
                for models that `needs_boxes`.

        Returns:
            The arrays of `pair_outputs`.

        Raises:
            ValueError: for images or attributes of another shape or range.
        """
        check_pairs(images, attributes, self.attribute_names)
        if boxes is None:
            check_no_boxes(self.needs_boxes)
            boxes = np.zeros((len(rows), 4))
        outputs = self._pairs(images, np.int32(rows), np.int32(attributes), np.int32(boxes))
        return {name: value.numpy() for name, value in outputs.items()}

    def embed(
        self,
        images: np.ndarray,
        attributes: Sequence[int] | Sequence[str] | np.ndarray,
        *,
        embedding: str | None = None,
    ) -> np.ndarray:
        """Embed each image for its attribute.

        Args:
            images: `(B, S, S, 3)` uint8, square RGB source images.
            attributes: B attribute indices or names.
            embedding: one of `embedding_names`; the last, best one by default.

        Returns:
            `(B, D)` float32. Compare by cosine; the fused embedding has length 1 already.
        """
        if isinstance(attributes, str):
            raise ValueError(
                f"attributes must be a sequence, one per image; got the text {attributes!r}; "
                f"write [{attributes!r}] for one image"
            )
        indices = np.array(
            [attribute_index(self.attribute_names, attribute) for attribute in attributes], np.int32
        )
        if len(indices) != len(images):
            raise ValueError(f"one attribute per image; got {len(indices)} for {len(images)}")
        outputs = self.embed_pairs(images, np.arange(len(indices)), indices)
        return outputs[chosen_embedding(self.embedding_names, embedding)]

    def embed_all(self, images: np.ndarray, *, embedding: str | None = None) -> np.ndarray:
        """Embed each image for every attribute.

        Args:
            images: `(B, S, S, 3)` uint8, square RGB source images.
            embedding: one of `embedding_names`; the last, best one by default.

        Returns:
            `(B, A, D)` float32, attributes in the order of `attribute_names`.
        """
        count = self.attribute_count
        rows = np.repeat(np.arange(len(images)), count)
        outputs = self.embed_pairs(images, rows, np.tile(np.arange(count), len(images)))
        chosen = outputs[chosen_embedding(self.embedding_names, embedding)]
        return chosen.reshape(len(images), count, chosen.shape[-1])

    @property
    def attribute_count(self) -> int:
        """`A`, the number of attributes."""
        return len(self.attribute_names)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "attributes": list(self.attribute_names),
            "global_size": self.global_size,
            "source_size": self.source_size,
        }

    def _run_pairs(
        self, images: tf.Tensor, rows: tf.Tensor, attributes: tf.Tensor, boxes: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        view = global_view(images, self.global_size)
        return self.pair_outputs(PairInputs(view, images, rows, attributes, boxes))
