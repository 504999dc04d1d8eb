"""From a configuration to a model."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from asen_tf.backbones import BackboneError, build_backbone
from asen_tf.backbones.efficientnet import VARIANTS, imagenet_file
from asen_tf.config import ExperimentConfig
from asen_tf.models.asen import Asen, AsenV2
from asen_tf.models.asen_pp import AsenPlusPlus
from asen_tf.models.base import SimilarityModel
from asen_tf.models.relatives import ConditionalSimilarityNetwork, FrozenFeatures, TripletNetwork
from asen_tf.models.rpf import RegionToPatch

# The files that the authors of ASEN++ and RPF start from, and whence: by name of the backbone, what
# their names look like, one of them, and its address.
_TORCHVISION = "https://download.pytorch.org/models/"
_GOOGLE = "https://storage.googleapis.com/vit_models/imagenet21k/"
_PUBLISHED = {
    "resnet50": ("resnet50-*.pth", "torchvision's resnet50-19c8e357.pth", _TORCHVISION),
    "resnet34": ("resnet34-*.pth", "torchvision's resnet34-333f7ec4.pth", _TORCHVISION),
    "vit_b16": ("ViT-B_16*.npz", "Google's ViT-B_16.npz", _GOOGLE),
}

METHODS: dict[str, type[SimilarityModel]] = {
    "features": FrozenFeatures,
    "triplet": TripletNetwork,
    "csn": ConditionalSimilarityNetwork,
    "asen": Asen,
    "asen_v2": AsenV2,
    "asen_pp": AsenPlusPlus,
    "rpf": RegionToPatch,
}


def build_model(config: ExperimentConfig, attributes: Sequence[str]) -> SimilarityModel:
    """Build the method that a configuration names, with fresh weights.

    The model's `Settings` take the values of the configuration's settings of the same names.

    Args:
        config: the settings.
        attributes: names of the attributes, in index order.

    Returns:
        The model, with all its variables created.
    """
    method = METHODS[config.method]
    names = [field.name for field in dataclasses.fields(method.Settings)]
    return method(attributes, **{name: getattr(config, name) for name in names})


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
