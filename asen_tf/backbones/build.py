"""Backbones by name: built here, or cut out of `keras.applications`; with weights from a file."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf

from asen_tf.backbones.checkpoints import BackboneError, fill, read_state, torchvision_place
from asen_tf.backbones.efficientnet import (
    JOINED_STAGE,
    VARIANTS,
    build_efficientnet_lite,
    imagenet_file,
    last_stage_channels,
    load_imagenet,
    stage_of,
)
from asen_tf.backbones.residual import build_compact, build_resnet
from asen_tf.backbones.vision_transformer import build_vision_transformer, load_google
from asen_tf.config import check_setting

_STRIDE = 16  # where networks of keras.applications are cut, as the paper's ResNets are
_FRAME = 224  # px, input at which their layers' strides are looked up

# How the networks of keras.applications expect pixels, by the start of their names; the first
# match counts. "pixels": the network scales them itself.
_NORMALISATION = {
    "ResNet50V2": "signed",
    "ResNet101V2": "signed",
    "ResNet152V2": "signed",
    "ResNetRS": "pixels",
    "ResNet": "caffe",
    "VGG": "caffe",
    "MobileNetV3": "pixels",
    "EfficientNet": "pixels",
    "ConvNeXt": "pixels",
    "RegNet": "pixels",
    "DenseNet": "imagenet",
}

# Backbones that are built here, by name: a function of the image and the layers' prefix.
_BUILDERS: dict[str, Callable[[tf.Tensor, str], tf.Tensor]] = {
    "resnet50": functools.partial(build_resnet, "resnet50"),
    "resnet34": functools.partial(build_resnet, "resnet34"),
    "compact": build_compact,
    **{name: functools.partial(build_efficientnet_lite, name) for name in VARIANTS},
    "vit_b16": build_vision_transformer,
}
# How files of published weights end, for those that are built in the layout of torchvision's or
# Google's; all backbones take what `save_weights` wrote.
_PUBLISHED = {"resnet50": ".pth", "resnet34": ".pth", "vit_b16": ".npz"}
_NOT_CUT_OUT = re.compile(r"(layer4\.|fc\.).*")  # what torchvision's files hold beyond stage 3


def build_backbone(
    name: str, *, weights: str | Path | None = None, prefix: str = ""
) -> keras.Model:
    """Build a backbone as a functional model on images of any size.

    Args:
        name: "resnet50" or "resnet34" (torchvision's layout, cut after stage 3, stride 16),
            "efficientnet_lite0" to "efficientnet_lite2" (stride 16, 432 or 472 channels), "vit_b16"
            (a transformer for square images, stride 16, rounded down), "compact" (0.5 M
            weights, stride 8), or "keras:<Name>" for a network of `keras.applications`, cut at the
            last layer of stride 16 that no later connection bypasses (a layer inside a residual
            block would lack what the shortcut carries).
        weights: None for random weights, "imagenet" for those that `keras.applications` downloads
            or has in its cache ("keras:") or that a package carries (EfficientNet-Lite), or a
            file: torchvision's `.pth` for its ResNets, Google's `.npz` for the ViT, else
            a `.weights.h5` of `save_weights`.
        prefix: goes before the layers' names, so that two backbones fit into one model.

    Returns:
        A model from `(B, H, W, 3)` images, normalised as `normalisation_mode` says, to
        `(B, H / stride, W / stride, C)` features, halves rounded up; `C` is
        `model.output_shape[-1]`.

    Raises:
        BackboneError: for an unknown name, or for weights that are not there or do not fit.
    """
    if name.startswith("keras:"):
        model = _cut_application(name, "imagenet" if weights == "imagenet" else None, prefix)
    else:
        if name not in _BUILDERS:
            raise BackboneError(
                f"a backbone is one of {', '.join(_BUILDERS)}, or keras:<a name of "
                f"keras.applications>; got {name!r}"
            )
        image = keras.Input((None, None, 3), name=f"{prefix}image")
        model = keras.Model(image, _BUILDERS[name](image, prefix), name=f"{prefix}backbone")
        if weights == "imagenet" and name in VARIANTS:
            load_imagenet(model, imagenet_file(name), prefix=prefix)
        elif weights == "imagenet":
            raise BackboneError(
                f"Keras cannot download ImageNet weights of {name!r}; pass the path of a "
                f"{_endings(name)} file, use a keras:<Name> backbone, or {_train(name)}"
            )
    if weights not in (None, "imagenet"):
        path = Path(weights)
        if path.suffix in _PUBLISHED.values() and path.suffix != _PUBLISHED.get(name):
            raise BackboneError(
                f"{path}: weights of {name!r} must be in a {_endings(name)} file; got one that "
                f"ends in {path.suffix}; model.save_weights writes .weights.h5"
            )
        if path.suffix == ".pth":
            _load_torchvision(model, path, prefix)
        elif path.suffix == ".npz":
            load_google(model, path, prefix=prefix)
        else:
            _load(model, path)
    return model


def normalisation_mode(name: str) -> str:
    """Return the `asen_tf.layers.ImageNormalisation` mode that a backbone expects."""
    if name == "vit_b16":
        return "signed"
    if not name.startswith("keras:"):
        return "centred" if name in VARIANTS else "imagenet"
    application = name.removeprefix("keras:")
    starts = (mode for start, mode in _NORMALISATION.items() if application.startswith(start))
    return next(starts, "signed")


def map_extent(name: str, size: int, reading: str = "cells") -> tuple[float, float]:
    """Return where a backbone's map starts and ends on its image, in shares of the image's side.

    Cells lie evenly between the two. As "released" they fill the image, 0 to 1. Where "cells" see,
    cell `i` of stride `s` is centred at pixel `s i` if convolutions pad both sides equally, and at
    `s i + s - 1` with TensorFlow's padding of even sizes (EfficientNet-Lite, at stride 16; its
    enlarged last stage lies another half cell on). That is the middle of what kernels reach, and
    of what untrained ones weigh. EfficientNet-Lite's ImageNet weights have theirs, on average,
    within 2 px of the "released" reading, which is therefore the better one there. The ViT's
    patches are not padded: cell `i` is that from pixel `16 i` on, and a rest of the image that
    holds no whole patch has no cell.

    Args:
        name: one of `asen_tf.config.BACKBONES`; any name if the reading is "released".
        size: px, side of the image.
        reading: "released" or "cells".

    Raises:
        ConfigError: for another reading.

    Example:
        ResNet-50 at 224 px: cell 0 spans -8 to 8 px around pixel 0, whose centre is at 0.5 px, so
        that the map starts at -7.5 / 224 and ends at 216.5 / 224.
    """
    check_setting("map_reading", reading)
    if reading == "released":
        return 0.0, 1.0
    if name == "vit_b16":
        return 0.0, size // _STRIDE * _STRIDE / size
    centre, side, stride = 0, size, 1
    while stride < (8 if name == "compact" else _STRIDE):
        centre += stride * (name in VARIANTS and side % 2 == 0)
        side, stride = -(-side // 2), 2 * stride
    start = centre + 0.5 - stride / 2
    return start / size, (start + side * stride) / size


def semantic_channels(name: str, channels: int) -> int:
    """Return how many of a backbone's channels, the last ones, come from its last stage.

    Only EfficientNet-Lite's map joins two stages; elsewhere it is all channels.

    Args:
        name: that `build_backbone` knows.
        channels: of its map.
    """
    return last_stage_channels(name) if name in VARIANTS else channels


def freeze(name: str, backbone: keras.Model, *, stages: int, batch_norms: bool) -> None:
    """Keep parts of a backbone as they are in training; a frozen batch norm keeps its statistics.

    Args:
        name: a name that `build_backbone` knows, and `backbone`, what it built.
        backbone: the model; its layers' `trainable` is set.
        stages: 0 freezes nothing; n freezes the stem and the first n stages: torchvision's
            `layer1` to `layer3`, EfficientNet-Lite's 7, the layers of the ViT.
        batch_norms: freeze the batch norms of all stages.

    Raises:
        BackboneError: the network's stages are not known here, or there are fewer.
    """
    prefix = backbone.name.removesuffix("backbone")
    of_stage: dict[int, list[keras.layers.Layer]] = {}
    for layer in backbone.layers if stages else ():
        of_stage.setdefault(_stage(name, layer.name.removeprefix(prefix)), []).append(layer)
    if stages and stages not in of_stage:
        known = f"1 to {max(of_stage)}" if max(of_stage, default=0) else "no stages known here"
        raise BackboneError(
            f"frozen_stages={stages}, but {name} has {known}; take frozen_stages=0 or another "
            "backbone"
        )
    frozen = [layer for stage, layers in of_stage.items() if stage <= stages for layer in layers]
    if batch_norms:
        norm = keras.layers.BatchNormalization
        frozen += [layer for layer in backbone.layers if isinstance(layer, norm)]
    for layer in frozen:
        layer.trainable = False


def cut_after(name: str, backbone: keras.Model, stages: int) -> tuple[keras.Model, keras.Model]:
    """Cut a backbone in two, after the stages that `freeze` freezes.

    Args:
        name: a name that `build_backbone` knows, and `backbone`, what it built.
        backbone: the model; both parts share its layers.
        stages: how many, at least 1. EfficientNet-Lite is cut after stage 5 at the latest, since
            the joined map needs that stage, too.

    Returns:
        Two models: from images to the features of the last frozen stage, and from those to the
        output.
    """
    prefix = backbone.name.removesuffix("backbone")
    stages = min(stages, JOINED_STAGE) if name in VARIANTS else stages
    before = [x for x in backbone.layers if _stage(name, x.name.removeprefix(prefix)) <= stages]
    features, output = before[-1].output, backbone.output
    if features is output:  # nothing goes on
        features = output = keras.Input(features.shape[1:])
    return keras.Model(backbone.input, before[-1].output), keras.Model(features, output)


def _stage(name: str, layer: str) -> int:
    """Return the stage of a layer by its name without prefix; 0 for the stem."""
    if name in VARIANTS:
        return stage_of(layer, name)
    if name.startswith("keras:"):
        return 0
    found = re.match(r"layer(\d+)_", layer)
    return int(found[1]) if found else 2 if layer.startswith("place") else 0


def _endings(name: str) -> str:
    """Return how the files end that a backbone takes weights from."""
    published = f"{_PUBLISHED[name]} or " if name in _PUBLISHED else ""
    return f"{published}.weights.h5"


def _train(name: str) -> str:
    return f"train a start: starting_weights=pretrain, pretrain_backbone={name}, pretrain_epochs=10"


def _cut_application(name: str, weights: str | None, prefix: str) -> keras.Model:
    """Build a network of `keras.applications` up to its last junction, for inputs of any size."""
    application = name.removeprefix("keras:")
    constructor = getattr(keras.applications, application, None)
    if not inspect.isfunction(constructor):
        raise BackboneError(f"keras.applications has no network {application!r}; check the name")
    shape = (_FRAME, _FRAME, 3)
    try:
        whole = constructor(include_top=False, weights=weights, input_shape=shape)
    except Exception as error:  # Keras lets errors of several libraries through
        if weights is None:
            raise
        raise BackboneError(
            f"the ImageNet weights of {name!r} could not be loaded ({error}); download them on a "
            f"machine with internet access into ~/.keras/models, or {_train(name)}"
        ) from error
    last = _last_junction(whole)
    if last is None:
        raise BackboneError(
            f"{name!r} has no layer of stride {_STRIDE} that no later connection bypasses; "
            "choose another network, for example keras:ResNet50V2"
        )
    trained = keras.Model(whole.input, last.output)
    # Cloning onto an input of free size, under new names; weights keep their order.
    image = keras.Input((None, None, 3), name=f"{prefix}image")

    def rename(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = {**layer.get_config(), "name": f"{prefix}{layer.name}"}
        if isinstance(layer, keras.Sequential):  # ConvNeXt's, with inputs of their own
            free = config["layers"][0]["config"]
            free["batch_input_shape"] = (None, None, None, free["batch_input_shape"][-1])
        return type(layer).from_config(config)

    clone = keras.models.clone_model(trained, input_tensors=image, clone_function=rename)
    model = keras.Model(clone.input, clone.output, name=f"{prefix}backbone")
    model.set_weights(trained.get_weights())
    return model


def _last_junction(network: keras.Model) -> keras.layers.Layer | None:
    """Return the last layer of the stride that no connection bypasses."""
    place = {layer.name: index for index, layer in enumerate(network.layers)}  # inputs come first
    furthest = [0] * len(place)  # the last place that a layer's output goes to
    for layer in network.layers:
        for parent in layer.inbound_nodes[0].parent_nodes:
            start = place[parent.layer.name]
            furthest[start] = max(furthest[start], place[layer.name])
    found, reach = None, 0
    for index, layer in enumerate(network.layers):
        shape = layer.output_shape
        # A range, because some networks do not pad: InceptionV3 has 12 positions, not 14.
        if reach <= index and len(shape) == 4 and _FRAME < shape[1] * 2 * _STRIDE <= 2 * _FRAME:
            found = layer
        reach = max(reach, furthest[index])
    return found


def _load_torchvision(model: keras.Model, path: Path, prefix: str) -> None:
    """Put torchvision's ImageNet weights, such as `resnet50-19c8e357.pth`, into a ResNet."""
    state = read_state(path)
    places = [torchvision_place(variable, prefix=prefix) for variable in model.weights]
    fill(places, state, unused=_NOT_CUT_OUT, heading=f"{path}: not weights of this backbone")


def _load(model: keras.Model, path: Path) -> None:
    if not path.is_file():
        raise BackboneError(f"{path}: no such weights file; check the path")
    try:
        model.load_weights(path)
    except Exception as error:  # h5py and Keras raise several kinds
        raise BackboneError(
            f"{path}: not weights of the backbone {model.name!r} ({error}); pass a file that "
            "model.save_weights wrote for the same backbone"
        ) from error
