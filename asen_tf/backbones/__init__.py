"""Backbones: from a normalised image to a feature map."""

from asen_tf.backbones.build import (
    BackboneError,
    build_backbone,
    cut_after,
    freeze,
    map_extent,
    normalisation_mode,
    semantic_channels,
)

__all__ = [
    "BackboneError",
    "build_backbone",
    "cut_after",
    "freeze",
    "map_extent",
    "normalisation_mode",
    "semantic_channels",
]
