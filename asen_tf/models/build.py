"""From a configuration to a model."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Sequence
from pathlib import Path

from asen_tf.backbones import build_backbone
from asen_tf.config import ExperimentConfig
from asen_tf.models.asen_pp import AsenPlusPlus
from asen_tf.models.base import SimilarityModel

METHODS: dict[str, type[SimilarityModel]] = {"asen_pp": AsenPlusPlus}


def build_model(config: ExperimentConfig, attributes: Sequence[str]) -> SimilarityModel:
    """Build the method that a configuration names, with fresh weights.

    A constructor's arguments that are also settings take the settings' values.

    Args:
        config: the settings.
        attributes: names of the attributes, in index order.

    Returns:
        The model, with all its variables created.
    """
    method = METHODS[config.method]
    settings = {field.name for field in dataclasses.fields(config)}
    wanted = settings & set(inspect.signature(method).parameters)
    return method(attributes, **{name: getattr(config, name) for name in sorted(wanted)})


def load_starting_weights(
    model: SimilarityModel, config: ExperimentConfig, pretrained: Path | None
) -> None:
    """Put the starting weights that a configuration names into every backbone of a model.

    Args:
        model: freshly built.
        config: `starting_weights`: "random" changes nothing, "imagenet" takes the weights of
            `keras.applications`, "pretrain" the file `pretrained`.
        pretrained: backbone weights of the pretraining step.

    Raises:
        asen_tf.backbones.BackboneError: if the weights cannot be had, or do not fit.
    """
    if config.starting_weights == "random":
        return
    weights = pretrained if config.starting_weights == "pretrain" else "imagenet"
    for name, backbone in model.backbones:
        backbone.set_weights(build_backbone(name, weights=weights).get_weights())
