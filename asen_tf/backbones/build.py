"""Backbones by name.

What goes wrong with backbones.

Names and layouts of torchvision's ResNets, which the authors' checkpoints share.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from asen_tf.backbones.checkpoints import CheckpointError, read_state
from asen_tf.backbones.residual import build_compact, build_resnet


class BackboneError(ValueError):
    """A backbone's name is unknown, or its weights cannot be had."""


# A weight's kind in Keras: its name in PyTorch, and how an array from there is turned.
KINDS: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "kernel": ("weight", lambda array: array.transpose(2, 3, 1, 0)),  # OIHW to HWIO
    "gamma": ("weight", lambda array: array),
    "beta": ("bias", lambda array: array),
    "moving_mean": ("running_mean", lambda array: array),
    "moving_variance": ("running_var", lambda array: array),
}

# What torchvision's files hold beyond the third stage, and PyTorch's counters of batches.
_UNUSED = re.compile(r"(layer4\.|fc\.).*|.*\.num_batches_tracked")


def torchvision_name(variable: tf.Variable, prefix: str) -> tuple[str, str]:
    """Return the name of a backbone's weight in torchvision's ResNets, and its kind in Keras.

    Example:
        `global_layer1_0_downsample_0/kernel:0` is `layer1.0.downsample.0.weight`, a "kernel".
    """
    layer, kind = variable.name.split(":")[0].removeprefix(prefix).rsplit("/", 1)
    layer = re.sub(r"^layer(\d+)_(\d+)_", r"layer\1.\2.", layer)
    layer = layer.replace("downsample_", "downsample.")
    return f"{layer}.{KINDS[kind][0]}", kind


def load_torchvision(backbone: keras.Model, path: Path, *, prefix: str) -> None:
    """Put ImageNet weights of a torchvision file into a ResNet-34 or ResNet-50.

    Args:
        backbone: of `build_backbone("resnet50")` or `("resnet34")`.
        path: torchvision's file, such as `resnet50-19c8e357.pth`.
        prefix: of the backbone's layer names.

    Raises:
        BackboneError: the file cannot be read, or an array is missing, unexpected or of another
            shape: all of them are listed.
    """
    try:
        state = read_state(path)
    except CheckpointError as error:
        raise BackboneError(str(error)) from error
    wanted = {}
    for variable in backbone.weights:
        name, kind = torchvision_name(variable, prefix)
        wanted[name] = (variable, KINDS[kind][1])
    faults = [f"missing: {name}" for name in wanted if name not in state]
    faults += [
        f"unexpected: {name}"
        for name in state
        if name not in wanted and not _UNUSED.fullmatch(name)
    ]
    turned = {}
    for name, (variable, turn) in wanted.items():
        if name in state:
            try:
                turned[name] = turn(state[name])
            except ValueError:  # of another rank
                turned[name] = state[name]
            if turned[name].shape != tuple(variable.shape):
                faults.append(
                    f"shape of {name}: {turned[name].shape} instead of {tuple(variable.shape)}"
                )
    if faults:
        raise BackboneError(f"{path}: not weights of this backbone:\n  " + "\n  ".join(faults))
    for name, (variable, _) in wanted.items():
        variable.assign(turned[name])


_STRIDE = 16  # where networks of keras.applications are cut, as the paper's ResNets are
_FRAME = 224  # px, input at which their layers' strides are looked up

# How the networks of keras.applications were trained to see pixels, by the start of their names;
# the first that fits counts. "pixels": the network scales them itself.
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


def build_backbone(
    name: str, *, weights: str | Path | None = None, prefix: str = ""
) -> keras.Model:
    """Build a backbone as a functional model on images of any size.

    Args:
        name: "resnet50" or "resnet34" (torchvision's layout, cut after stage 3, stride 16),
            "compact" (0.5 M weights, stride 8), or "keras:<Name>" for a network of
            `keras.applications`, cut at the last layer of stride 16 through which all that follows
            passes (a layer inside a residual block would lack what the shortcut carries).
        weights: None for random weights, "imagenet" for the weights that `keras.applications`
            downloads or has in its cache ("keras:" only), or a file: torchvision's `.pth` for its
            ResNets, else what `save_weights` wrote, `.weights.h5`.
        prefix: goes before the layers' names, so that two backbones fit into one model.

    Returns:
        A model from `(B, H, W, 3)` images, normalised as `normalisation_mode` says, to
        `(B, H / stride, W / stride, C)` features, halves rounded up; `C` is
        `model.output_shape[-1]`.

    Raises:
        BackboneError: for an unknown name, or weights that are not there or do not fit.
    """
    if name.startswith("keras:"):
        model = _cut_application(name, "imagenet" if weights == "imagenet" else None, prefix)
    else:
        image = keras.Input((None, None, 3), name=f"{prefix}image")
        if name in ("resnet50", "resnet34"):
            features = build_resnet(name, image, prefix)
        elif name == "compact":
            features = build_compact(image, prefix)
        else:
            raise BackboneError(
                "a backbone is one of resnet50, resnet34, compact, or keras:<a name of "
                f"keras.applications>; got {name!r}"
            )
        model = keras.Model(image, features, name=f"{prefix}backbone")
        if weights == "imagenet":
            raise BackboneError(
                f"ImageNet weights of {name!r} cannot be downloaded by Keras; pass the path of a "
                ".pth or .weights.h5 file, use a keras:<Name> backbone, or train a start: "
                f"starting_weights=pretrain, pretrain_backbone={name}, pretrain_epochs=10"
            )
    if weights not in (None, "imagenet"):
        if Path(weights).suffix == ".pth" and name in ("resnet50", "resnet34"):
            load_torchvision(model, Path(weights), prefix=prefix)
        else:
            _load(model, Path(weights))
    return model


def normalisation_mode(name: str) -> str:
    """Return the `asen_tf.layers.ImageNormalisation` mode that a backbone expects."""
    if not name.startswith("keras:"):
        return "imagenet"
    application = name.removeprefix("keras:")
    starts = (mode for start, mode in _NORMALISATION.items() if application.startswith(start))
    return next(starts, "signed")


def _cut_application(name: str, weights: str | None, prefix: str) -> keras.Model:
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
            f"the ImageNet weights of {name!r} could not be had ({error}); download them on a "
            "machine with internet into ~/.keras/models, or train a start: "
            f"starting_weights=pretrain, pretrain_backbone={name}, pretrain_epochs=10"
        ) from error
    last = _last_junction(whole)
    if last is None:
        raise BackboneError(
            f"{name!r} has no layer of stride {_STRIDE} through which all that follows passes; "
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
