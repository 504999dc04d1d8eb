"""The configuration of a run: one flat, frozen dataclass.

Flat, because ``papermill -p name value`` and KerasTuner's ``hp.values`` are flat; frozen, because a
run is identified by its configuration. The defaults are the settings of the ASEN++ paper as its
authors released them; `asen_tf.presets` overrides them by name. An unknown name is an error, and so
is a value that breaks its setting's rule: the rules are below the settings.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__path__: list[str] = []  # it was a package: imports of its modules are told where they are now


class ConfigError(ValueError):
    """A configuration holds an unknown name, or a value outside its rule."""


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return a hint for a misspelt name: "did you mean 'margin'?", or all known names."""
    names = list(known)
    near = difflib.get_close_matches(str(name), names, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there are {', '.join(names)}" if names else "there are none"


@dataclass(frozen=True)
class ExperimentConfig:
    """Every setting that decides a run's numbers.

    Sources: "paper" is Dong et al., IEEE TIP 2021 (arXiv 2104.02429), with the authors' released
    value where the two may differ; "ours" marks settings that the paper does not have.
    """

    # --- What is run ---------------------------------------------------------------------------
    method: str = "asen_pp"  # which model; ours: the name in the result tables
    seed: int = 0  # all random choices of the run follow from it; ours
    dataset: str = "FashionAI"  # folder under the data directory, and key of meta.json
    missing_images: str = "error"  # "error", or "skip" to leave out rows without an image; ours
    train_images: int = 0  # images whose labels are used, a seeded choice; 0: all; ours

    # --- Images --------------------------------------------------------------------------------
    source_size: int = 640  # px, side of the square that regions are cut from; ours (bounds memory)
    fit: str = "square"  # what that square shows: the image's centre; paper. "whole_edge", all of
    # it, the shorter side padded by repeating the edge; "whole_mean", by the mean colour; ours
    preprocessing: str = "ours"  # "release": imported models see the authors' exact pixels; ours
    global_size: int = 224  # px, input side of the global branch; paper
    local_size: int = 112  # px, input side of the local branch; paper
    cache_images: bool = True  # decode once to uint8 on disk; False decodes at every use; ours
    packed: bool = False  # read images from the shards of data_prep.pack; ours

    # --- Model ---------------------------------------------------------------------------------
    global_backbone: str = "resnet50"  # cut after stage 3; paper
    local_backbone: str = "resnet34"  # cut after stage 3; paper
    attribute_dim: int = 512  # units of the learned attribute embedding e_a; paper
    global_attention_dim: int = 512  # units d of k and q, global branch; paper
    local_attention_dim: int = 256  # units d of k and q, local branch; paper
    channel_attribute_dim: int = 512  # units of r in channel attention; paper
    channel_reduction: int = 2  # W1 reduces C channels to C / this; paper
    embedding_dim: int = 1024  # units of f(I, a), each branch; paper
    roi_threshold: float = 0.1  # share of the attention map's range that is kept; paper
    fusion_weight: float = 0.6  # b, weight of the global cosine in the fused embedding; paper
    patch_layers: int = 1  # of method rpf: transformer layers on the local map; 0 after a ViT; ours

    # --- What relatives and ablations vary -----------------------------------------------------
    csn_masks: str = "learned"  # of method csn: "learned" or "disjoint"; Veit et al., CVPR 2017
    feature_map: str = "none"  # of method features: or "whitened", or "linear"; ours
    spatial_attention: bool = True  # False: a plain mean over positions instead of ASA
    channel_attention: bool = True  # False: no ACA
    attribute_tables: str = "shared"  # by both branches; or "separate"
    region: str = "attended"  # what the local branch sees; or the "true" part, "centre", "whole"
    region_rule: str = "threshold"  # which pixels of a map; paper. "mass", or "peak"; ours
    region_share: float = 0.7  # region_rule "mass": share of the map's sum to keep; ours
    least_region: float = 0.0  # least side of an attended region, share of the frame's; ours
    region_jitter: float = 0.0  # random shift and scaling in training, share of a side; ours
    map_reading: str = "released"  # where a map's cells lie; "cells": where they see; ours
    stages: int = 2  # of asen_pp's training; 1: both branches jointly from the start
    single_branch_stages: int = 1  # of all others' training; 2: at the rates of asen_pp's; ours
    networks: int = 1  # of asen_v2; 2: of this seed and the next, fused half and half; ours

    # --- Starting weights ----------------------------------------------------------------------
    starting_weights: str = "imagenet"  # "imagenet", "pretrain" (the step below) or "random"
    initial_values: str = "released"  # of heads and tables; "keras": see `start_as_keras`; ours
    imagenet_dir: str = "weights"  # folder of torchvision's resnet50-*.pth and resnet34-*.pth
    local_start: str = "own"  # how asen_pp's local branch starts: "own", from starting_weights;
    # "global", the first stage's; "zooms", one's on random squares; "placeless", open gates; ours
    pretrain_epochs: int = 0  # epochs of attribute-value classification; ours
    pretrain_batch: int = 64  # images per step; ours
    pretrain_learning_rate: float = 1e-3  # peak of the one-cycle schedule, Adam; ours
    pretrain_backbone: str = "compact"  # the backbone that is trained; ours

    # --- Fine-tuning of backbones ----------------------------------------------------------------
    backbone_rate_share: float = 1.0  # learning rate of backbones / of the heads; 1 in the paper
    frozen_stages: int = 0  # the stem and this many stages of each backbone stay as they are; ours
    train_batch_norms: bool = True  # of backbones; False keeps their statistics, too; ours

    # --- Loss ----------------------------------------------------------------------------------
    loss: str = "triplet"  # paper; or one of asen_tf.losses, with sampling batch_all; ours
    margin: float = 0.2  # m of the triplet ranking loss, cosine units; paper
    global_loss_weight: float = 1.0  # paper
    local_loss_weight: float = 0.1  # paper
    alignment_loss_weight: float = 0.1  # paper
    alignment: str = "cosine"  # paper; or "e_info_nce", of RPF (Dong et al., SIGIR 2023)

    # --- Sampling ------------------------------------------------------------------------------
    sampling: str = "random_triplets"  # paper; or "batch_all"; or "listed_triplets", of the data
    triplets_per_step: int = 16  # random or listed: images per step are three times this; paper
    attributes_per_step: int = 3  # batch_all; ours
    values_per_attribute: int = 4  # batch_all; ours
    images_per_value: int = 6  # batch_all; ours
    steps_per_epoch: int = 6250  # 100,000 triplets / 16; paper

    # --- Optimisation --------------------------------------------------------------------------
    stage1_epochs: int = 50  # global branch alone; paper
    stage1_learning_rate: float = 1e-4  # Adam; paper
    stage1_decay: float = 0.9  # factor applied every stage1_decay_epochs; paper
    stage1_decay_epochs: int = 3  # paper
    stage1_flips: bool = False  # mirror half of its images, chosen at random; True in RPF
    stage1_zooms: bool = False  # show random squares of its images, not all of them; ours
    stage2_start: str = "last"  # epoch of stage 1 that stage 2 starts from; "best" in RPF
    stage2_epochs: int = 20  # both branches jointly; paper
    stage2_local_learning_rate: float = 1e-4  # local branch; paper
    stage2_global_learning_rate: float = 1e-5  # global branch and attribute table; paper
    stage2_decay: float = 0.9  # paper
    stage2_decay_epochs: int = 1  # paper

    # --- Execution -----------------------------------------------------------------------------
    embed_batch: int = 64  # images per step when embedding; ours
    mixed_precision: str = "float32"  # or "mixed_float16" (GPU), "mixed_bfloat16"; ours
    xla: bool = False  # compile the training step with XLA; ours
    strategy: str = "none"  # tf.distribute: or "mirrored", or "multi_worker" (TF_CONFIG); ours
    bootstrap_resamples: int = 2000  # of the confidence intervals; ours

    def __post_init__(self) -> None:
        """Check every value against its type and its rule."""
        check(vars(self))
        for name, kind in _FIELD_TYPES.items():
            if kind is float:
                object.__setattr__(self, name, float(getattr(self, name)))

    def override(self, **changes: Any) -> ExperimentConfig:
        """Return a copy with some fields changed.

        Raises:
            ConfigError: for an unknown name (with a hint at the nearest known one), or for a value
                that breaks its setting's rule.
        """
        for name in changes:
            if name not in _FIELD_TYPES:
                hint = did_you_mean(name, _FIELD_TYPES)
                raise ConfigError(f"{name!r} is not a setting of ExperimentConfig; {hint}")
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dictionary, in declaration order."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ExperimentConfig:
        """Build a configuration from plain values; unknown names raise `ConfigError`."""
        return cls().override(**values)

    @property
    def hash(self) -> str:
        """Sixteen hexadecimal digits that identify the configuration's content."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


# === Rules ===

# Methods that can be run. What a random ranking scores is known exactly and needs no run.
METHODS = ("features", "triplet", "csn", "asen", "asen_v2", "asen_pp", "rpf")
TWO_BRANCHES = ("asen_pp", "rpf")

# Backbones that the package builds itself; "keras:<Name>" takes one of keras.applications.
BACKBONES = (
    *("resnet50", "resnet34", "compact"),
    *("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"),
    "vit_b16",
)
PATCH = 16  # px, side of the patches of vit_b16

# How an image becomes a square; `asen_tf.data.fitting` does it.
FITS = ("square", "whole_edge", "whole_mean")

# What the local branch sees, and which pixels of a map an attended region holds.
REGIONS = ("attended", "true", "centre", "whole")
REGION_RULES = ("threshold", "mass", "peak")

# Of the method csn, and of the losses of metric learning.
CSN_MASKS = ("learned", "disjoint")
METRIC_LOSSES = ("semi_hard", "hard", "npairs", "lifted_struct", "contrastive")

_CHOICES: dict[str, tuple[Any, ...]] = {
    "method": METHODS,
    "missing_images": ("error", "skip"),
    "fit": FITS,
    "preprocessing": ("ours", "release"),
    "csn_masks": CSN_MASKS,
    "feature_map": ("none", "whitened", "linear"),
    "attribute_tables": ("shared", "separate"),
    "region": REGIONS,
    "region_rule": REGION_RULES,
    "map_reading": ("released", "cells"),
    "stages": (1, 2),
    "single_branch_stages": (1, 2),
    "networks": (1, 2),
    "stage2_start": ("last", "best"),
    "starting_weights": ("imagenet", "pretrain", "random"),
    "initial_values": ("released", "keras"),
    "local_start": ("own", "global", "zooms", "placeless"),
    "loss": ("triplet", *METRIC_LOSSES),
    "alignment": ("cosine", "e_info_nce"),
    "sampling": ("random_triplets", "batch_all", "listed_triplets"),
    "mixed_precision": ("float32", "mixed_float16", "mixed_bfloat16"),
    "strategy": ("none", "mirrored", "multi_worker"),
}

_MANY, _PIXELS, _RATE = (1, 10**6), (8, 8192), (0.0, 10.0)
_RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 2**31 - 1),
    "train_images": (0, 10**9),
    "source_size": _PIXELS,
    "global_size": _PIXELS,
    "local_size": _PIXELS,
    "roi_threshold": (0.0, 0.99),
    "region_share": (0.01, 1.0),
    "least_region": (0.0, 1.0),
    "region_jitter": (0.0, 0.9),
    "fusion_weight": (0.0, 1.0),
    "patch_layers": (0, 24),
    "margin": (0.0, 2.0),
    "values_per_attribute": (2, 1_000),
    "images_per_value": (2, 1_000),
    "backbone_rate_share": (0.0, 1.0),
    "frozen_stages": (0, 16),
    "pretrain_epochs": (0, 10**6),
    "stage1_epochs": _MANY,
    "stage2_epochs": _MANY,
    "bootstrap_resamples": _MANY,
    "stage1_decay": (0.0, 1.0),
    "stage2_decay": (0.0, 1.0),
}

# Rules by the ending of the name, for settings without a rule of their own.
_ENDINGS = {
    ("learning_rate", "loss_weight"): _RATE,
    ("_dim", "_batch", "_reduction", "_per_step", "_per_epoch", "_decay_epochs"): _MANY,
}


def check(values: Mapping[str, Any]) -> None:
    """Check every value against its rule.

    Args:
        values: all settings by name.

    Raises:
        ConfigError: for the first value that is of another type or breaks its rule.
    """
    for name, value in values.items():
        check_setting(name, value)
    _refuse_if(
        values["source_size"] < values["global_size"],
        "source_size must be at least global_size: regions are cut from the source for the detail "
        f"that the global input has lost; got source_size={values['source_size']} and "
        f"global_size={values['global_size']}; raise the one, or lower the other",
    )
    for part, size, used in (
        ("global", "global_size", True),
        ("local", "local_size", values["method"] in TWO_BRANCHES),
        ("pretrain", "global_size", values["pretrain_epochs"] > 0),
    ):
        _refuse_if(
            used and values[f"{part}_backbone"] == "vit_b16" and values[size] < PATCH,
            f"{size} must be at least {PATCH} with {part}_backbone='vit_b16', whose patches have "
            f"that side; got {values[size]}; raise it, or take another backbone",
        )
    method, sampling, stages = (values[name] for name in ("method", "sampling", "stages"))
    backbones = values["global_backbone"], values["local_backbone"]
    _refuse_if(
        values["map_reading"] == "cells" and backbones[0] not in BACKBONES,
        f"map_reading 'cells' is known for {', '.join(BACKBONES)}; got global_backbone="
        f"{backbones[0]!r}; take map_reading='released'",
    )
    _refuse_if(
        values["loss"] != "triplet" and sampling != "batch_all",
        f"loss {values['loss']!r} compares the images of whole groups and needs "
        f"sampling='batch_all'; got sampling={sampling!r}",
    )
    _refuse_if(
        values["preprocessing"] == "release" and (values["fit"] != "square" or values["packed"]),
        "preprocessing='release' reads the files themselves and crops their centre: it needs "
        f"fit='square' and packed=False; got {values['fit']!r} and {values['packed']}",
    )
    alike = method == "asen_pp" and stages == 2 and backbones[0] == backbones[1]
    _refuse_if(
        values["local_start"] in ("global", "zooms") and not alike,
        f"local_start={values['local_start']!r} gives the local branch the weights of a global one "
        "after its own stage: it needs method='asen_pp', stages=2 and equal backbones; got "
        f"{method!r}, {stages}, {backbones[0]!r} and {backbones[1]!r}",
    )
    _refuse_if(
        values["local_start"] == "placeless" and (method, backbones[1]) != ("asen_pp", "compact"),
        "local_start='placeless' opens the gates by place of the local branch's compact backbone; "
        f"got {method!r} with local_backbone={backbones[1]!r}",
    )
    _refuse_if(
        values["networks"] > 1 and method != "asen_v2",
        f"networks=2 needs method='asen_v2'; got method={method!r}",
    )
    _refuse_if(
        values["alignment"] == "e_info_nce" and sampling == "listed_triplets",
        "alignment 'e_info_nce' compares all images of a step by their values, and listed "
        "triplets have none; got sampling='listed_triplets'; take alignment='cosine'",
    )
    _refuse_if(
        (values["stage1_flips"] or values["stage1_zooms"])
        and (method == "features" or (stages == 1 and method in TWO_BRANCHES)),
        "stage1_flips and stage1_zooms move what a global branch sees while it trains alone, so "
        f"each needs stages=2 and a network that is trained; got stages={stages}, {method!r}",
    )
    _refuse_if(
        values["train_images"] > 0 and sampling == "listed_triplets",
        "train_images chooses among labelled images, and listed triplets have no labels; got "
        f"train_images={values['train_images']} with sampling='listed_triplets'",
    )
    _refuse_if(
        values["starting_weights"] == "pretrain" and values["pretrain_epochs"] == 0,
        "starting_weights='pretrain' trains the backbone first; it needs at least one epoch; got "
        "pretrain_epochs=0; the preset compact takes 10",
    )


def check_setting(name: str, value: Any) -> None:
    """Check one value against its setting's type and own rule, whatever the others are.

    Args:
        name: of the setting.
        value: of its type; a whole number may stand for a float.

    Raises:
        ConfigError: the value is of another type or breaks the rule.
    """
    kind = _FIELD_TYPES[name]
    if type(value) is not kind and (kind, type(value)) != (float, int):
        raise ConfigError(
            f"{name} must be of type {kind.__name__}; got {value!r} of type {type(value).__name__}"
        )
    if name in _CHOICES and value not in _CHOICES[name]:
        choices = ", ".join(map(str, _CHOICES[name]))
        exact = "; random is exact and needs no run: every table holds its row"
        note = exact if (name, value) == ("method", "random") else ""
        raise ConfigError(f"{name} must be one of {choices}; got {value!r}{note}")
    low, high = _range(name)
    if low is not None and not low <= value <= high:  # this way round, NaN is refused too
        raise ConfigError(f"{name} must lie in [{low:g}, {high:g}]; got {value!r}")
    if name in ("global_backbone", "local_backbone", "pretrain_backbone"):
        if value not in BACKBONES and not value.startswith("keras:"):
            raise ConfigError(
                f"{name} must be one of {', '.join(BACKBONES)}, or keras:<a name of "
                f"keras.applications>; got {value!r}"
            )


def _refuse_if(broken: bool, rule: str) -> None:
    if broken:
        raise ConfigError(rule)


def _range(name: str) -> tuple[float, float] | tuple[None, None]:
    if name in _RANGES:
        return _RANGES[name]
    for endings, limits in _ENDINGS.items():
        if name.endswith(endings):
            return limits
    return None, None


_FIELD_TYPES: dict[str, type] = typing.get_type_hints(ExperimentConfig)
