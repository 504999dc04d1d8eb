"""What backbones start from: ImageNet weights, or the classification of attribute values.

The paper starts from ImageNet weights. A compact backbone has none: it is first trained, on the
training split alone, to name the values of every labelled attribute; the head is then thrown
away. Every method of a study starts from the same backbone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from asen_tf.backbones import BackboneError, build_backbone, normalisation_mode
from asen_tf.backbones.efficientnet import VARIANTS, imagenet_file
from asen_tf.config import ExperimentConfig
from asen_tf.data.dataset import Dataset, SplitImages
from asen_tf.data.pipeline import training_steps
from asen_tf.data.sampling import Plan, SamplingError
from asen_tf.files import during
from asen_tf.layers import ImageNormalisation, PositionGate
from asen_tf.layers.spatial_attention import attend
from asen_tf.models import SimilarityModel
from asen_tf.training.stage import StageResult, TrainingState, run_stage
from asen_tf.training.trainer import Tensors, Trainer

# The files that the authors of ASEN++ and RPF start from, and whence: by name of the backbone, what
# their names look like, one of them, and its address.
_TORCHVISION = "https://download.pytorch.org/models/"
_GOOGLE = "https://storage.googleapis.com/vit_models/imagenet21k/"
_PUBLISHED = {
    "resnet50": ("resnet50-*.pth", "torchvision's resnet50-19c8e357.pth", _TORCHVISION),
    "resnet34": ("resnet34-*.pth", "torchvision's resnet34-333f7ec4.pth", _TORCHVISION),
    "vit_b16": ("ViT-B_16*.npz", "Google's ViT-B_16.npz", _GOOGLE),
}

_VOID = -1e9  # logit of a value that an attribute does not have
_SCALE = 0.05  # zoom by up to this share, in or out
_SHIFT = 0.06  # shift by up to this share of the side
# Bias of an open gate: in float32 its sigmoid is 1 and its gradient 0, so it stays open.
_OPEN = 30.0
_PLACE_SPEED = 30.0  # Adam moves every weight alike; where to look must move faster than the rest


# === ImageNet ===


def load_starting_weights(
    model: SimilarityModel, config: ExperimentConfig, pretrained: Path | None
) -> None:
    """Put the starting weights that a configuration names into every backbone of a model.

    Args:
        model: freshly built.
        config: `starting_weights`: "random" changes nothing; "imagenet" takes, for "keras:"
            networks, the weights of `keras.applications`, and for torchvision's ResNets and
            Google's ViT their files in `imagenet_dir`; "pretrain" takes the file `pretrained`.
        pretrained: backbone weights of the pretraining step.

    Raises:
        asen_tf.backbones.BackboneError: if the weights are not there, or do not fit.
    """
    if config.starting_weights == "random":
        return
    for name, backbone in model.backbones:
        weights = pretrained
        if config.starting_weights == "imagenet":
            weights = find_imagenet(name, Path(config.imagenet_dir))
        backbone.set_weights(build_backbone(name, weights=weights).get_weights())


def find_imagenet(name: str, folder: Path) -> Path | str:
    """Return the file of torchvision's ResNets or Google's ViT, "imagenet" for other backbones.

    Raises:
        BackboneError: there is no such file.
    """
    if name in VARIANTS:
        imagenet_file(name)  # comes with a package, which may not be installed
    if name not in _PUBLISHED:
        return "imagenet"
    pattern, published, address = _PUBLISHED[name]
    found = sorted(folder.glob(pattern))
    if not found:
        raise BackboneError(
            f"{folder}: no file {pattern} with ImageNet weights of {name!r}; put {published} "
            f"there ({address}), name its folder: "
            "imagenet_dir, use a keras:<Name> backbone, or train a start: "
            f"starting_weights=pretrain, pretrain_backbone={name}, pretrain_epochs=10"
        )
    return found[0]


def open_gates(backbone: keras.Model) -> None:
    """Let each `PositionGate` of a backbone pass everything, wherever it is, from now on.

    In a crop a place means nothing.
    """
    for layer in backbone.layers:
        if isinstance(layer, PositionGate):
            kernel, bias = layer.get_weights()
            layer.set_weights([np.zeros_like(kernel), np.full_like(bias, _OPEN)])


def start_as_keras(model: SimilarityModel) -> None:
    """Redraw linear layers (Glorot, biases 0) and tables (±0.05) of a new model as Keras does."""
    for layer in model.submodules:
        if isinstance(layer, keras.layers.Dense):
            draw = keras.initializers.GlorotUniform()
            layer.set_weights([draw(w.shape) if w.ndim > 1 else 0 * w for w in layer.get_weights()])
        elif isinstance(layer, keras.layers.Embedding):
            draw = keras.initializers.RandomUniform(-0.05, 0.05)
            layer.set_weights([draw(table.shape) for table in layer.get_weights()])


# === A classification ===


@keras.saving.register_keras_serializable(package="asen_tf")
class AttributeClassifier(keras.Model):
    """Names the value of every attribute of an image.

    Each attribute pools the feature map by a softmax over its positions, from what is there
    and where it is, and has a linear classifier of its own on the result. The branches pool by
    attention as well: a head that read the map position by position would learn faster at first,
    and leave features that say little once they are pooled.

    Args:
        value_counts: the number of values of each attribute.
        backbone: a name that `asen_tf.backbones.build_backbone` knows.
        image_size: px, side of the input; the head is made for it.
        **kwargs: passed to `keras.Model`.

    Call arguments:
        inputs: dictionary with `view`, `(B, H, W, 3)` in 0..255.

    Returns:
        Dictionary of `logits`, `(B, A, V)` float32, V the largest number of values.
    """

    def __init__(
        self, value_counts: Sequence[int], *, backbone: str, image_size: int, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.value_counts = tuple(value_counts)
        self.backbone_name = backbone
        self.image_size = image_size
        self.normalisation = ImageNormalisation(normalisation_mode(backbone), name="normalisation")
        self.backbone = build_backbone(backbone)
        self.focus = keras.layers.Conv2D(len(value_counts), 1, dtype="float32", name="focus")
        shape = self.backbone.compute_output_shape((None, image_size, image_size, 3))
        with tf.name_scope(self.focus.name):
            self.focus.build(shape)
        self.place = self.add_weight(
            name="place", shape=(*shape[1:3], len(value_counts)), initializer="zeros"
        )
        self.kernel = self.add_weight(
            name="kernel", shape=(sum(value_counts), shape[3]), initializer="glorot_uniform"
        )
        self.bias = self.add_weight(name="bias", shape=(sum(value_counts),), initializer="zeros")
        self.built = True

    def call(
        self, inputs: Mapping[str, tf.Tensor], training: bool | None = None
    ) -> dict[str, tf.Tensor]:
        """Return the logits."""
        features = self.backbone(self.normalisation(inputs["view"]), training=training)
        features = tf.cast(features, tf.float32)
        # In mixed precision a weight is read in half precision; the head computes in full.
        place, kernel, bias = (tf.cast(w, tf.float32) for w in (self.place, self.kernel, self.bias))
        scores = self.focus(features) + _PLACE_SPEED * place
        pooled, _ = attend(tf.transpose(scores, (0, 3, 1, 2)), features)
        owners = np.repeat(np.arange(len(self.value_counts)), self.value_counts)  # of each value
        scores = tf.einsum("bvc,vc->bv", tf.gather(pooled, owners, axis=1), kernel) + bias
        widest = max(self.value_counts)
        blocks = [
            tf.pad(block, [[0, 0], [0, widest - block.shape[-1]]], constant_values=_VOID)
            for block in tf.split(scores, self.value_counts, axis=-1)
        ]
        return {"logits": tf.stack(blocks, axis=1)}

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "value_counts": list(self.value_counts),
            "backbone": self.backbone_name,
            "image_size": self.image_size,
        }


def value_matrix(labels: np.ndarray, images: int, attributes: int) -> np.ndarray:
    """Return `(images, attributes)` int32 values, -1 where an image has no label.

    Of several labels for one image and attribute, the first counts.
    """
    matrix = np.full((images, attributes), -1, np.int32)
    for image, attribute, value in labels[::-1]:
        matrix[image, attribute] = value
    return matrix


def classification_plan(values: np.ndarray, *, batch: int, seed: int, epoch: int) -> Plan:
    """Plan an epoch that shows every labelled image once, in fresh random order.

    Args:
        values: `(images, A)`, -1 where not labelled.
        batch: images per step; a last, smaller step is left out.
        seed: the run's seed.
        epoch: 0-based.

    Returns:
        A plan with `images` `(steps, batch, 1)` and `values` `(steps, batch, A)`.
    """
    labelled = np.flatnonzero((values >= 0).any(axis=1))
    order = np.random.default_rng([seed, epoch]).permutation(labelled)
    size = min(batch, len(order))
    steps = len(order) // size
    images = order[: steps * size].reshape(steps, size, 1).astype(np.int32)
    return Plan(images, np.zeros_like(images), values[images[:, :, 0]])


class ClassificationObjective:
    """Cross-entropy of each labelled attribute's value, and the share of correct answers.

    Rows of the batch carry `value` `(G, A)`: the value of each attribute, -1 where not labelled.
    The loss is the mean over attributes of the mean over their labelled images: an attribute with
    few labelled images counts as much as any other. The accuracy is over all labels.
    """

    names = ("loss", "accuracy")

    def __call__(self, batch: Tensors, outputs: Tensors) -> dict[str, tf.Tensor]:
        """Return loss and accuracy of `logits` `(G, A, V)`, -inf-like where a value is void."""
        values, logits = batch["value"], outputs["logits"]
        labelled = tf.cast(values >= 0, tf.float32)
        count = tf.maximum(tf.reduce_sum(labelled), 1.0)
        entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=tf.maximum(values, 0), logits=logits
        )
        right = tf.equal(tf.argmax(logits, axis=-1, output_type=tf.int32), values)
        return {
            "loss": tf.reduce_mean(
                tf.math.divide_no_nan(
                    tf.reduce_sum(entropy * labelled, axis=0), tf.reduce_sum(labelled, axis=0)
                )
            ),
            "accuracy": tf.reduce_sum(tf.cast(right, tf.float32) * labelled) / count,
        }


def augment(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Mirror, zoom and shift each image at random; no attribute's value changes.

    For pretraining only: the paper trains its two stages without augmentation.

    Args:
        images: `(B, H, W, 3)` uint8.
        seed: `(2,)` integers; the result is a pure function of images and seed.

    Returns:
        `(B, H, W, 3)` uint8. Beyond the border of a shifted image, its edge is repeated.
    """
    batch, side = tf.shape(images)[0], tf.cast(tf.shape(images)[2], tf.float32)
    noise = tf.random.stateless_uniform((batch, 4), seed, -1.0, 1.0)
    mirror, zoom, x, y = tf.unstack(noise, axis=1)
    step_y = tf.exp(_SCALE * zoom)
    step_x = step_y * tf.where(mirror < 0.0, -1.0, 1.0)
    centre, zero = (side - 1.0) / 2.0, tf.zeros_like(x)
    offset_x = centre - step_x * centre + _SHIFT * side * x
    offset_y = centre - step_y * centre + _SHIFT * side * y
    # Rows map output pixels to input pixels: x' = a0 x + a2, y' = b1 y + b2.
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(images, tf.float32),
        transforms=tf.stack([step_x, zero, offset_x, zero, step_y, offset_y, zero, zero], axis=1),
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
    return tf.cast(tf.round(moved), tf.uint8)


def augmented(steps: tf.data.Dataset, *, seed: int, first: int) -> tf.data.Dataset:
    """Augment the views of training steps, as a pure function of the seed and the step.

    Args:
        steps: of `training_steps`, whole ones.
        seed: of the random changes.
        first: the number of the first step; a resumed training starts later than 0.
    """

    def change(step: tf.Tensor, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        view = batch["view"]
        changed = augment(tf.reshape(view, (-1, *view.shape[-3:])), tf.stack([seed, step]))
        return {**batch, "view": tf.reshape(changed, view.shape)}

    numbered = steps.enumerate(first)
    return numbered.map(change, num_parallel_calls=2, deterministic=True).prefetch(2)


@during("pretraining")
def pretrain_backbone(
    config: ExperimentConfig, dataset: Dataset, *, directory: Path
) -> StageResult:
    """Train a classifier of attribute values; its backbone is every method's start.

    Adam with a cosine schedule after a short linear warm-up. Only the training split is used to
    train; the validation split only tells how well it went.

    Args:
        config: the `pretrain_*` settings and the seed.
        dataset: images and labels.
        directory: where the stage keeps its files.

    Returns:
        The stage's result: an `AttributeClassifier` at its last epoch, and its `val_accuracy` by
        epoch.

    Raises:
        SamplingError: the dataset lists triplets and knows no values.
    """
    train, valid = dataset.split("train"), dataset.split("valid")
    if train.split.triplets is not None:
        raise SamplingError(
            f"pretraining classifies values, and {dataset.name} lists triplets instead; take "
            "starting_weights=imagenet or random; got starting_weights=pretrain"
        )
    attributes = dataset.attributes
    model = AttributeClassifier(
        attributes.sizes, backbone=config.pretrain_backbone, image_size=config.global_size
    )
    values = value_matrix(train.split.labels, len(train.split.files), len(attributes))
    plan = partial(classification_plan, values, batch=config.pretrain_batch, seed=config.seed)
    steps = len(plan(epoch=0))
    total = max(config.pretrain_epochs * steps, 2)
    warmup = max(total // 20, 1)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        decay_steps=total - warmup,
        warmup_target=config.pretrain_learning_rate,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.Adam(schedule)
    optimizer.build(model.trainable_variables)
    trainer = Trainer(model, ClassificationObjective())
    trainer.compile(optimizer=optimizer, jit_compile=config.xla)

    def shown(first_epoch: int) -> tf.data.Dataset:
        options = {"first_epoch": first_epoch, "epochs": config.pretrain_epochs}
        plain = training_steps(
            lambda epoch: plan(epoch=epoch), views=train.views, sources=None, **options
        )
        return augmented(plain, seed=config.seed, first=first_epoch * steps)

    return run_stage(
        trainer,
        shown,
        TrainingState(directory / "state", model, [optimizer]),
        title="backbone (classification of attribute values)",
        epochs=config.pretrain_epochs,
        steps_per_epoch=steps,
        directory=directory,
        validate=lambda network: accuracies(network, valid, config.embed_batch),
        monitor="val_accuracy",
    )


@during("embedding")
def accuracies(model: AttributeClassifier, images: SplitImages, batch: int) -> dict[str, float]:
    """Return the share of correctly named values per attribute and over all labels.

    Args:
        model: the classifier.
        images: a split with its images.
        batch: images per step.

    Returns:
        `val_accuracy`, and `val_accuracy_<attribute>` for each attribute with labels.
    """
    split = images.split
    values = value_matrix(split.labels, len(split.files), len(split.attributes))
    named = np.zeros_like(values)
    for start in range(0, len(values), batch):
        rows = np.arange(start, min(start + batch, len(values)))
        logits = model({"view": images.views[rows]}, training=False)["logits"]
        named[rows] = np.argmax(logits, axis=-1)
    labelled, right = values >= 0, named == values
    measured = {"val_accuracy": float(right[labelled].mean())}
    for attribute, name in enumerate(split.attributes.names):
        if labelled[:, attribute].any():
            share = right[labelled[:, attribute], attribute].mean()
            measured[f"val_accuracy_{name}"] = float(share)
    return measured
