"""What every method offers: embeddings of images for attributes.

What a method is built from is written once, in its `Settings`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from asen_tf.backbones import build_backbone, cut_after, map_extent, normalisation_mode
from asen_tf.config import check_setting, did_you_mean
from asen_tf.layers import ImageNormalisation, global_view, released_view


class PairInputs(NamedTuple):
    """(image, attribute) pairs of one batch of images, as `pair_outputs` takes them.

    Attributes:
        view: `(B, g, g, 3)` uint8, the images at the global input size.
        source: `(B, S, S, 3)` uint8, the images at source size; with preprocessing "release"
            `(B, H, W, 3)`, whole.
        rows: `(P,)` int32, the image of each pair, as a row of the batch.
        attributes: `(P,)` int32, the attribute of each pair.
        boxes: `(P, 4)` int32, for models that are given their regions; ignored by others.
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


class SimilarityModel(keras.Model):
    """Base of the methods: `embed` and `embed_all` on top of one hook, `pair_outputs`.

    A subclass extends `Settings`; creates all its variables in its constructor, so that weights
    load into a model that has never seen an image; implements `call` (what training needs) and
    `pair_outputs` (what embedding needs); and names its embeddings in `embedding_names`, the best
    one last.

    Attributes:
        attribute_names: names of the attributes, in index order.
        settings: the model's `Settings`.
        joint: whether all branches run; False during a first stage that trains one branch alone,
            and for a model that has no other stage.

    Args:
        attributes: names of the attributes, in index order; they travel in the saved model.
        **arguments: fields of `Settings`, by name, and `joint`; the others are passed to
            `keras.Model`.

    Raises:
        ValueError: if there is no attribute, a name occurs twice, or a setting breaks its rule.
        TypeError: for an unknown name.
    """

    @dataclass(frozen=True)
    class Settings:
        """What a model is built from: plain values, with the published ones as defaults.

        These fields are the only list of a method's settings: its constructor takes them by name,
        `get_config` returns them, so that saved files hold them, and `build_model` fills them from
        a configuration's settings of the same names.
        """

        global_size: int = 224  # px, side of the global input
        source_size: int = 640  # px, side of the source images that it was trained on
        fit: str = "square"  # how its images become squares; see `asen_tf.data.fitting`
        preprocessing: str = "ours"  # "release": exactly the authors' pixels, from whole images
        global_backbone: str = "resnet50"  # a name that `build_backbone` knows
        map_reading: str = "released"  # where cells lie; see `asen_tf.backbones.map_extent`

        def __post_init__(self) -> None:
            """Check every value by the configuration's rule for the setting of its name."""
            for field in dataclasses.fields(self):
                check_setting(field.name, getattr(self, field.name))

    settings: Settings

    def __init__(self, attributes: Sequence[str], **arguments: Any) -> None:
        names = {field.name for field in dataclasses.fields(self.Settings)} & set(arguments)
        settings = {name: arguments.pop(name) for name in names}
        joint = arguments.pop("joint", True)
        super().__init__(**arguments)
        if not attributes or len(set(attributes)) != len(attributes):
            raise ValueError(f"attributes must be distinct names, at least one; got {attributes!r}")
        self.settings = self.Settings(**settings)
        # A plain list would be wrapped by Keras' tracking; the config wants JSON's types.
        self.attribute_names = tuple(attributes)
        self.joint = joint

    @property
    def joint(self) -> bool:
        """Whether all branches run."""
        return self._joint

    @joint.setter
    def joint(self, joint: bool) -> None:
        self._joint = joint
        # What runs is decided while tracing, so a trace must not outlive the decision.
        self._traced = functools.cache(self._trace_pairs)

    @property
    def attribute_count(self) -> int:
        """`A`, the number of attributes."""
        return len(self.attribute_names)

    @property
    def global_size(self) -> int:
        """Side of the global input in pixels."""
        return self.settings.global_size

    @property
    def source_size(self) -> int:
        """Side of the source images in pixels."""
        return self.settings.source_size

    @property
    def map_extent(self) -> tuple[float, float]:
        """Where an attention map starts and ends on the image, in shares of its side."""
        settings = self.settings
        return map_extent(settings.global_backbone, settings.global_size, settings.map_reading)

    @property
    def embedding_names(self) -> tuple[str, ...]:
        """The embeddings that `embed` can return, the best one last."""
        return ("global",)

    @property
    def backbones(self) -> list[tuple[str, keras.Model]]:
        """Name (see `asen_tf.backbones.build_backbone`) and model of each backbone."""
        raise NotImplementedError

    def main_branch(self) -> keras.Model:
        """Return the functional model that sees the whole image.

        Not a property: Keras names the weights in a saved file after the first one that holds them.
        """
        raise NotImplementedError

    @property
    def global_layers(self) -> list[keras.layers.Layer]:
        """The layers that see the whole image, and those that they share with a second branch."""
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
            what the method can show of its workings (`attention`, `boxes`).
        """
        raise NotImplementedError

    def embed_pairs(
        self,
        images: np.ndarray,
        rows: np.ndarray,
        attributes: np.ndarray,
        boxes: np.ndarray | None = None,
        *,
        wanted: tuple[str, ...] | None = None,
    ) -> dict[str, np.ndarray]:
        """Embed chosen (image, attribute) pairs of one batch of source images.

        Args:
            images: `(B, S, S, 3)` uint8, square RGB images, at least one; with preprocessing
                "release" whole upright ones, `(B, H, W, 3)`.
            rows: `(P,)` integers in `[0, B)`, at least one.
            attributes: `(P,)` integers in `[0, A)`.
            boxes: `(P, 4)` integers: top, left, bottom, right in pixels of the global input; only
                for models whose `needs_boxes` is true.
            wanted: names of the arrays to return; all when None. What none of them needs is not
                computed: the local branch for "global", boxes for a single branch.

        Returns:
            The arrays of `pair_outputs`, or those that are wanted.

        Raises:
            ValueError: for arguments of another shape or range.
        """
        if boxes is None:
            if self.needs_boxes:
                raise ValueError(
                    "this model was trained with region='true' and embeds an image only together "
                    "with the boxes of its parts; got none; pass boxes, or take a model of "
                    "another region"
                )
            boxes = np.zeros((np.size(rows), 4))
        check_pairs(images, (rows, attributes, boxes), self)
        run = self._traced(wanted)
        outputs = run(images, np.int32(rows), np.int32(attributes), np.int32(boxes))
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
        chosen = chosen_embedding(self.embedding_names, embedding)
        rows = np.arange(len(indices))
        return self.embed_pairs(images, rows, indices, wanted=(chosen,))[chosen]

    def embed_all(self, images: np.ndarray, *, embedding: str | None = None) -> np.ndarray:
        """Embed each image for every attribute.

        Args:
            images: `(B, S, S, 3)` uint8, square RGB source images.
            embedding: one of `embedding_names`; the last, best one by default.

        Returns:
            `(B, A, D)` float32, attributes in the order of `attribute_names`.

        Raises:
            ValueError: no images, images of another shape, or an unknown embedding.
        """
        count = self.attribute_count
        rows = np.repeat(np.arange(len(images)), count)
        attributes = np.tile(np.arange(count), len(images))
        chosen = chosen_embedding(self.embedding_names, embedding)
        vectors = self.embed_pairs(images, rows, attributes, wanted=(chosen,))[chosen]
        return vectors.reshape(len(images), count, vectors.shape[-1])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        stage = {} if self.joint else {"joint": False}
        names = list(self.attribute_names)
        return {"attributes": names, **dataclasses.asdict(self.settings), **stage}

    def resume_after(self, stages: int) -> keras.Model:
        """Let `call` accept precomputed outputs of the frozen stages of the backbone as `view`.

        Args:
            stages: that are frozen, at least 1.

        Returns:
            What computes it: from views `(B, g, g, 3)` to features `(B, h, w, C)`.
        """
        branch, (name, backbone) = self.main_branch(), self.backbones[0]
        before, after = cut_after(name, backbone, stages)
        others = {key: tensor for key, tensor in branch.input.items() if key != "image"}
        heads = keras.Model({"features": backbone.get_output_at(0), **others}, branch.output)
        given = keras.Input(after.input_shape[1:], name="image")
        outputs = heads({"features": after(given), **others})
        resumed = keras.Model({"image": given, **others}, outputs, name="resumed_branch")
        # In a function, since Keras would save a model that is an attribute a second time.
        self._resumed = lambda: resumed
        image = keras.Input((None, None, 3), name="image")
        normalise = branch.get_layer("global_normalisation")
        return keras.Model(image, before(normalise(image)), name="frozen_stages")

    def branch_for(self, view: tf.Tensor) -> keras.Model:
        """Return what takes a training batch's views: images, or features for `resume_after`."""
        return self.main_branch() if view.shape[-1] == 3 else self._resumed()

    def new_table(self, name: str, units: int) -> keras.layers.Embedding:
        """Return a new table of attribute embeddings, `(A, units)`, drawn from N(0, 1).

        That is PyTorch's default, which the release keeps; Keras' own is uniform in 0.05.
        """
        start = keras.initializers.RandomNormal(0.0, 1.0)
        table = keras.layers.Embedding(
            self.attribute_count, units, embeddings_initializer=start, name=name
        )
        with tf.name_scope(name):  # unique names, for training.optimizers
            table.build((None,))
        return table

    def _trace_pairs(self, wanted: tuple[str, ...] | None) -> Callable[..., dict[str, tf.Tensor]]:
        """Return a compiled `pair_outputs` that leaves out what is not wanted."""
        shrink = released_view if self.settings.preprocessing == "release" else global_view

        def run(
            images: tf.Tensor, rows: tf.Tensor, attributes: tf.Tensor, boxes: tf.Tensor
        ) -> dict[str, tf.Tensor]:
            view = shrink(images, self.global_size)
            outputs = self.pair_outputs(PairInputs(view, images, rows, attributes, boxes))
            return outputs if wanted is None else {name: outputs[name] for name in wanted}

        # One signature for all sizes: a result never depends on the shapes that were seen before.
        pairs = tf.TensorSpec((None,), tf.int32)
        images = tf.TensorSpec((None, None, None, 3), tf.uint8)
        boxes = tf.TensorSpec((None, 4), tf.int32)
        return tf.function(run, input_signature=(images, pairs, pairs, boxes))


def image_features(backbone: str, *, prefix: str) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the symbolic start of every branch: the image input and a backbone's features.

    Args:
        backbone: a name that `asen_tf.backbones.build_backbone` knows.
        prefix: goes before the layers' names.

    Returns:
        `image`, `(B, H, W, 3)` in 0..255 of any size, and the features `(B, h, w, C)`.
    """
    network = build_backbone(backbone, prefix=prefix)
    normalisation = ImageNormalisation(normalisation_mode(backbone), name=f"{prefix}normalisation")
    image = keras.Input((None, None, 3), name="image")
    return image, network(normalisation(image))


def branch_model(
    part: str, image: tf.Tensor, attribute: tf.Tensor, **outputs: tf.Tensor
) -> keras.Model:
    """Return the functional model of a branch that is told the attribute, "<part>_branch"."""
    return keras.Model({"image": image, "attribute": attribute}, outputs, name=f"{part}_branch")


def check_pairs(images: np.ndarray, pairs: tuple[np.ndarray, ...], model: Any) -> None:
    """Raise ValueError unless images are RGB, square if not whole, and pairs are pairs of them."""
    names, whole = model.attribute_names, model.settings.preprocessing == "release"
    images, (rows, attributes, boxes) = np.asarray(images), map(np.asarray, pairs)
    height, width, colours = images.shape[1:] if images.ndim == 4 and len(images) else (0, 0, 0)
    if colours != 3 or not (whole or height == width):
        raise ValueError(
            f"images must be {'' if whole else 'square '}RGB, (batch, height, width, 3), at least "
            f"one; got shape {images.shape}; asen_tf.data.load_image makes such an array of a file"
        )
    if images.dtype != np.uint8:
        raise ValueError(f"images must be 8-bit pixels, dtype uint8; got {images.dtype}")
    shapes = (rows.shape, attributes.shape, boxes.shape)
    if not rows.size or shapes != ((rows.size,), (rows.size,), (rows.size, 4)):
        raise ValueError(
            "rows, attributes and boxes must be as many, at least one: (P,), (P,) and (P, 4); "
            f"got {', '.join(map(str, shapes))}; give one of each for every pair"
        )
    of_names = (attributes, len(names), ", ".join(names))
    given = {"rows": (rows, len(images), "the images"), "attributes": of_names}
    for what, (at, count, known) in given.items():
        got = f"{at.min()}..{at.max()}" if at.dtype.kind in "iu" else at.dtype
        if at.dtype.kind not in "iu" or not 0 <= at.min() <= at.max() < count:
            raise ValueError(
                f"{what} must be indices in [0, {count}), of {known}; got {got}; give whole "
                "numbers, counted from 0"
            )


def attribute_index(names: Sequence[str], attribute: int | str) -> int:
    """Return the index of an attribute, given by name or index; ValueError for unknown names."""
    if not isinstance(attribute, str):
        return int(attribute)
    if attribute not in names:
        hint = did_you_mean(attribute, names)
        raise ValueError(f"the model does not know the attribute {attribute!r}; {hint}")
    return names.index(attribute)


def chosen_embedding(names: Sequence[str], name: str | None) -> str:
    """Return an embedding's name, the last one for None; ValueError for unknown names."""
    if name is not None and name not in names:
        hint = did_you_mean(name, names)
        raise ValueError(f"the model has no embedding {name!r}; {hint}")
    return names[-1] if name is None else name
