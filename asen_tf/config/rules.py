"""The values that settings may take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ConfigError(ValueError):
    """A configuration holds an unknown name, or a value outside its rule."""


# Methods that are trained. A random ranking is known exactly and needs no run.
METHODS = ("triplet", "csn", "asen", "asen_v2", "asen_pp")

# Backbones that the package builds itself; "keras:<Name>" takes one of keras.applications.
BACKBONES = ("resnet50", "resnet34", "compact")

_CHOICES: dict[str, tuple[Any, ...]] = {
    "method": METHODS,
    "missing_images": ("error", "skip"),
    "csn_masks": ("learned", "disjoint"),
    "attribute_tables": ("shared", "separate"),
    "region": ("attended", "true", "centre"),
    "stages": (1, 2),
    "starting_weights": ("imagenet", "pretrain", "random"),
    "loss": ("triplet", "semi_hard", "hard", "npairs", "lifted_struct", "contrastive"),
    "sampling": ("random_triplets", "batch_all", "listed_triplets"),
    "mixed_precision": ("float32", "mixed_float16", "mixed_bfloat16"),
    "strategy": ("none", "mirrored", "multi_worker"),
}

_MANY, _PIXELS, _RATE = (1, 10**6), (8, 8192), (0.0, 10.0)
_RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 2**31 - 1),
    "source_size": _PIXELS,
    "global_size": _PIXELS,
    "local_size": _PIXELS,
    "roi_threshold": (0.0, 0.99),
    "fusion_weight": (0.0, 1.0),
    "margin": (0.0, 2.0),
    "values_per_attribute": (2, 1_000),
    "images_per_value": (2, 1_000),
    "pretrain_epochs": (0, 10**6),
    "stage1_epochs": _MANY,
    "stage2_epochs": _MANY,
    "bootstrap_resamples": (0, 10**6),
    "stage1_decay": (0.0, 1.0),
    "stage2_decay": (0.0, 1.0),
}

# Rules of names that end so, for those without a rule of their own.
_ENDINGS = {
    ("learning_rate", "loss_weight"): _RATE,
    ("_dim", "_batch", "_reduction", "_per_step", "_per_epoch", "_decay_epochs"): _MANY,
}


def check(values: Mapping[str, Any]) -> None:
    """Check every value against its rule.

    Args:
        values: all settings by name, each of its own type.

    Raises:
        ConfigError: for the first value that breaks its rule.
    """
    for name, value in values.items():
        if name in _CHOICES and value not in _CHOICES[name]:
            choices = ", ".join(map(str, _CHOICES[name]))
            exact = "; random is exact and needs no run: every table holds its row"
            note = exact if (name, value) == ("method", "random") else ""
            raise ConfigError(f"{name} must be one of {choices}; got {value!r}{note}")
        low, high = _range(name)
        if low is not None and not low <= value <= high:  # not a number is refused too
            raise ConfigError(f"{name} must lie in [{low:g}, {high:g}]; got {value!r}")
        if name in ("global_backbone", "local_backbone", "pretrain_backbone"):
            if value not in BACKBONES and not value.startswith("keras:"):
                raise ConfigError(
                    f"{name} must be one of {', '.join(BACKBONES)}, or keras:<a name of "
                    f"keras.applications>; got {value!r}"
                )
    if values["loss"] != "triplet" and values["sampling"] != "batch_all":
        raise ConfigError(
            f"loss {values['loss']!r} compares the images of whole groups and needs "
            f"sampling='batch_all'; got sampling={values['sampling']!r}"
        )


def _range(name: str) -> tuple[float, float] | tuple[None, None]:
    if name in _RANGES:
        return _RANGES[name]
    for endings, limits in _ENDINGS.items():
        if name.endswith(endings):
            return limits
    return None, None
