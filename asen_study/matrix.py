"""The matrix of methods and ablations: what each row of a result table changes, and its label.

A row's name is that of its method, then a slash and what is varied. Everything that a row does not
name is the study's setting, so that two rows differ in nothing but what their names say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asen_tf.config import ConfigError, ExperimentConfig, did_you_mean

# === The rows, in the order of the tables ===

MAIN = ("triplet", "csn", "asen_v2", "asen_pp")  # the rows of the quick study

PAIR = "asen_v2/two_seeds"  # of this seed and the next, fused
FEATURES = ("features", "features/whitened", "features/linear")  # without a trained network
# As many networks without a zoom, the same rates without a local branch, and local branches without
# a zoom: they tell what the zoom itself gives.
CONTROLS = (
    *(PAIR, "asen_v2/same_rates"),
    *("asen_pp/whole_frame", "asen_pp/adapted_whole_frame"),
)
# What each form of ASEN++ must be above before anyone says that it pays.
PAYS_ABOVE = {
    "asen_pp": ("asen_v2", "asen_v2/two_seeds", "asen_pp/whole_frame"),
    "asen_pp/adapted": ("asen_v2", "asen_v2/two_seeds", "asen_pp/adapted_whole_frame"),
}
# What is compared with certainty: the strong setting and five seeds, or the folds of photographs.
CONTROLLED = (*MAIN, *CONTROLS, "asen_pp/adapted", "rpf")
PHOTOS = (*FEATURES, "asen", *CONTROLLED)  # of the study on photographs
LABELS_NEEDED = ("features/linear", "asen_v2")  # trained on fewer and fewer photographs there

THRESHOLDS = (0.05, 0.2, 0.3, 0.4, 0.6)  # the paper's 0.1 is the study's own setting
_LOCAL_SIZES = (32, 64, 96, 128, 160)  # px
# Rows without a measurable effect, sizes that `changes` measures upwards, or `asen_pp` at the
# study's setting; still trainable by name.
_OPEN = (
    *("triplet/semi_hard", "triplet/npairs", "triplet/lifted_struct", "csn/disjoint"),
    *(f"asen_pp/threshold_{value}" for value in THRESHOLDS),
    *(f"asen_pp/local_size_{side}" for side in (32, 64, 96)),
    "asen_pp/separate_tables",
)

# Other starts than ImageNet, for the same method and as many images.
STARTS = ("asen_v2", "asen_v2/compact", "asen_v2/random_start")
# Chosen on validation. The local branch starts from the global one's first stage, sees as many
# pixels and weighs more in the fusion, as that of RPF does; alignment weighs less; and the global
# branch's rate falls once over both stages, as that of a single branch does.
_ADAPTED = {
    "fusion_weight": 0.3,
    "local_size": "global_size",
    "local_start": "global",
    "alignment_loss_weight": 0.02,
    "stage1_decay": 0.83,
    "stage2_global_learning_rate": 3.3e-4,
    "stage2_decay": 0.83,
}
_CONSTANT = {"stage1_decay": 1.0, "stage2_decay": 1.0}
_ONE_FALL = {name: _ADAPTED[name] for name in _ADAPTED if name.endswith(("decay", "rate"))}
_WEIGHTS = (0.01, 0.02, 0.03)  # of the alignment loss
# What was tried to make the local branch pay, one thing at a time, each with its label and what it
# changes: each is compared with ASEN++.
TRIED: dict[str, tuple[str, dict[str, Any]]] = {
    "constant_rates": ("ASEN++, constant rates", _CONSTANT),
    "one_fall": ("ASEN++, rates that fall once", _ONE_FALL),
    "local_start": ("ASEN++, local start from global", {"local_start": "global"}),
    "zoomed_start": ("ASEN++, local start from zooms", {"local_start": "zooms"}),
    **{
        f"alignment_{weight}": (f"ASEN++, alignment {weight}", {"alignment_loss_weight": weight})
        for weight in _WEIGHTS
    },
    "keras_values": ("ASEN++, initial values of Keras", {"initial_values": "keras"}),
    "cells": ("ASEN++, maps read at their cells", {"map_reading": "cells"}),
    "mass": ("ASEN++, region of 70% of the attention", {"region_rule": "mass"}),
    "peak": ("ASEN++, region around the peak", {"region_rule": "peak", "least_region": 0.3}),
    "longer_stage1": (
        "ASEN++, first stage twice as long",
        {"stage1_epochs": 12, "stage1_decay": 0.86},  # to the same rate
    ),
    "jitter": ("ASEN++, jittered regions", {"region_jitter": 0.1}),
    "all_attributes": ("ASEN++, all attributes a step", {"attributes_per_step": 8}),
    "global_192": ("ASEN++, global input 192 px", {"global_size": 192}),
    "tight_160": (
        "ASEN++, threshold 0.3, local input 160 px",
        {"roi_threshold": 0.3, "local_size": 160},
    ),
    # What validation prefers to the adapted row's own, each put into it.
    "adapted_constant": (
        "ASEN++, adapted, constant rates",
        {name: _ADAPTED[name] for name in _ADAPTED if name not in _ONE_FALL} | _CONSTANT,
    ),
    "adapted_no_alignment": (
        "ASEN++, adapted, no alignment",
        {**_ADAPTED, "alignment_loss_weight": 0.0},
    ),
    "adapted_192": ("ASEN++, adapted, global input 192 px", {**_ADAPTED, "global_size": 192}),
}
_FURTHER = tuple(f"asen_pp/{name}" for name in TRIED if name.startswith("adapted_"))
CHANGES = (
    *("asen_pp", "asen_pp/adapted", "asen_pp/no_alignment", "asen_pp/e_info_nce"),
    *("asen_pp/threshold_0.3", *(f"asen_pp/{name}" for name in TRIED), "asen_pp/three_attributes"),
    *("asen_pp/local_size_128", "asen_pp/local_size_160"),
    *("asen_pp/compact", "asen_pp/compact_placeless"),
)
# The row whose first stage these share; all others share that of ASEN++, or train their own.
SAME_FIRST_STAGE = {
    "asen_pp/adapted": "asen_pp/adapted",
    "asen_pp/adapted_whole_frame": "asen_pp/adapted",
    "asen_pp/one_fall": "asen_pp/adapted",
    "asen_pp/adapted_no_alignment": "asen_pp/adapted",
    "asen_pp/adapted_constant": "asen_pp/constant_rates",
    "asen_pp/compact_placeless": "asen_pp/compact",
}
_WHOLLY_TRAINED = {"frozen_stages": 0, "backbone_rate_share": 1.0, "train_batch_norms": True}
_COMPACT = {
    "global_backbone": "compact",
    "global_size": 64,
    "starting_weights": "pretrain",
    "pretrain_epochs": 10,
    "pretrain_batch": 32,
    "pretrain_learning_rate": 2.5e-3,
}

_COMPACT_PAIR = {"local_backbone": "compact", "local_size": 64, **_COMPACT, **_WHOLLY_TRAINED}
_CONTRASTED = {"alignment": "e_info_nce", "alignment_loss_weight": 0.04}  # as RPF is released

# Each row's label, and what it changes.
_MATRIX: dict[str, tuple[str, dict[str, Any]]] = {
    # What you have without training a network
    "features": ("Features, no training", {"method": "features"}),
    "features/whitened": ("Features, whitened", {"method": "features", "feature_map": "whitened"}),
    "features/linear": ("Features, linear maps", {"method": "features", "feature_map": "linear"}),
    # Methods without and with knowledge of the attribute
    "triplet": ("Triplet network", {"method": "triplet"}),
    "triplet/semi_hard": ("Triplet network, semi-hard", {"method": "triplet", "loss": "semi_hard"}),
    "triplet/hard": ("Triplet network, hardest", {"method": "triplet", "loss": "hard"}),
    "triplet/npairs": ("Triplet network, N-pairs", {"method": "triplet", "loss": "npairs"}),
    "triplet/lifted_struct": (
        "Triplet network, lifted structure",
        {"method": "triplet", "loss": "lifted_struct"},
    ),
    "triplet/contrastive": (
        "Triplet network, contrastive",
        {"method": "triplet", "loss": "contrastive"},
    ),
    "csn": ("CSN", {"method": "csn"}),
    "csn/disjoint": ("CSN, fixed disjoint masks", {"method": "csn", "csn_masks": "disjoint"}),
    "asen": ("ASEN", {"method": "asen"}),
    "asen_v2": ("ASEN_v2", {"method": "asen_v2"}),
    "asen_v2/two_seeds": ("ASEN_v2, two seeds fused", {"method": "asen_v2", "networks": 2}),
    "asen_v2/same_rates": (
        "ASEN_v2, rates of ASEN++",
        {"method": "asen_v2", "single_branch_stages": 2},
    ),
    "asen_v2/compact": (
        "ASEN_v2, compact, classification start",
        {"method": "asen_v2", **_COMPACT, **_WHOLLY_TRAINED},
    ),
    "asen_v2/random_start": (
        "ASEN_v2, random start",
        {"method": "asen_v2", "starting_weights": "random", **_WHOLLY_TRAINED},
    ),
    "asen_pp": ("ASEN++", {"method": "asen_pp"}),
    "asen_pp/adapted": ("ASEN++, adapted", _ADAPTED),
    "asen_pp/whole_frame": ("ASEN++, whole frame", {"region": "whole"}),
    "asen_pp/adapted_whole_frame": (
        "ASEN++, adapted, whole frame",
        {**_ADAPTED, "region": "whole"},
    ),
    # The successor on the same backbones, with its own loss weights and fusion
    "rpf": ("RPF, compact", {"method": "rpf", "fusion_weight": 0.3, **_CONTRASTED}),
    # Parts of ASEN++ left out
    "asen_pp/no_asa": ("ASEN++ without ASA", {"spatial_attention": False}),
    "asen_pp/no_aca": ("ASEN++ without ACA", {"channel_attention": False}),
    "asen_pp/no_attention": (
        "ASEN++ without ASA and ACA",
        {"spatial_attention": False, "channel_attention": False},
    ),
    "asen_pp/no_alignment": ("ASEN++ without alignment", {"alignment_loss_weight": 0.0}),
    "asen_pp/e_info_nce": ("ASEN++, E-InfoNCE alignment", _CONTRASTED),
    "asen_pp/one_stage": ("ASEN++ in one stage", {"stages": 1}),
    "asen_pp/separate_tables": (
        "ASEN++, separate attribute tables",
        {"attribute_tables": "separate"},
    ),
    # Other triplets: as many images, each three of them one triplet, or of three attributes a step
    "asen_pp/random_triplets": ("ASEN++, random triplets", {"sampling": "random_triplets"}),
    "asen_pp/three_attributes": ("ASEN++, three attributes a step", {"attributes_per_step": 3}),
    # Small networks, and what their gates by place give the local branch, which sees crops
    "asen_pp/compact": ("ASEN++, compact, classification start", _COMPACT_PAIR),
    "asen_pp/compact_placeless": (
        "ASEN++, compact, local gates open",
        {**_COMPACT_PAIR, "local_start": "placeless"},
    ),
    # What the local branch sees; at the true part it is no upper bound, see `true_squares`
    "asen_pp/true_region": ("ASEN++, region at the true part", {"region": "true"}),
    "asen_pp/centre_crop": ("ASEN++, centre crop (lower bound)", {"region": "centre"}),
    **{
        f"asen_pp/threshold_{value}": (f"ASEN++, threshold {value}", {"roi_threshold": value})
        for value in THRESHOLDS
    },
    **{
        f"asen_pp/local_size_{side}": (f"ASEN++, local input {side} px", {"local_size": side})
        for side in _LOCAL_SIZES
    },
    **{f"asen_pp/{name}": tried for name, tried in TRIED.items()},
}
ROWS = {row: changes for row, (_, changes) in _MATRIX.items()}
LABELS = {"random": "Random", **{row: label for row, (label, _) in _MATRIX.items()}}

# What the ablations change, at the quick setting, and the rows that they are compared with.
_ANSWERS = (*MAIN, "asen_pp/no_alignment")  # of the rows that belong elsewhere, these too
_ELSEWHERE = (*FEATURES, *_OPEN, *CONTROLLED, *CHANGES)
ABLATIONS = tuple(row for row in ROWS if row in _ANSWERS or row not in _ELSEWHERE)
# What a study of another name than `parts` compares.
STUDIED = {"ablations": CONTROLLED, "changes": CHANGES}

_KNOW_THE_ATTRIBUTE = ("csn", "asen", "asen_v2", "asen_pp", "asen_pp/adapted", "rpf", *CONTROLS)
# Which rows are compared over the same queries: each method with the one before it, each variation
# with the method that it varies.
NEIGHBOURS: tuple[tuple[str, str], ...] = (
    ("features", "random"),
    ("features/whitened", "features"),
    ("features/linear", "features"),
    ("triplet", "random"),
    ("csn", "triplet"),
    ("asen", "csn"),
    ("asen_v2", "csn"),
    ("asen_v2", "asen"),
    ("asen_pp:global", "asen_v2"),
    ("asen_pp", "asen_v2"),
    ("asen_pp", "asen_pp:global"),
    ("asen_pp", "asen_pp:local"),
    ("rpf", "asen_v2"),
    ("rpf", "asen_pp"),
    ("triplet", "features"),
    *((row, other) for row in _KNOW_THE_ATTRIBUTE for other in FEATURES),
    *((row, row.split("/")[0]) for row in ROWS if row.startswith(("triplet/", "csn/", "asen_v2/"))),
    *(("asen_pp", row) for row in ROWS if row.startswith("asen_pp/") and "compact" not in row),
    ("asen_pp/zoomed_start", "asen_pp/local_start"),
    ("asen_pp/compact", "asen_pp/compact_placeless"),
    ("asen_pp/adapted", "asen_v2"),
    *(("asen_pp", row) for row in CONTROLS if row.startswith("asen_v2/")),
    *(("asen_pp/adapted", row) for row in (*CONTROLS, *_FURTHER)),
)


def name_of(row: str) -> str:
    """Return the label of a row, or of `row:embedding`; of an unknown one its name."""
    row, _, embedding = row.partition(":")
    return f"{LABELS.get(row, row)} {embedding}".strip()


def settings(row: str, study: ExperimentConfig) -> ExperimentConfig:
    """Return the settings of a row of the matrix.

    Args:
        row: a name of `ROWS`.
        study: the settings that the rows share.

    Raises:
        ConfigError: for an unknown name, with the nearest one that is known.
    """
    if row not in ROWS:
        hint = did_you_mean(row, ROWS)
        if row == "random":
            hint = "a random ranking is known exactly and needs no run: every table holds its row"
        raise ConfigError(f"method {row!r} is not a row of the matrix; {hint}")
    changes = dict(ROWS[row])
    if changes.get("sampling") == "random_triplets":
        changes["triplets_per_step"] = _images_per_step(study) // 3
    if "attributes_per_step" in changes:  # fewer images in a step, as many in all
        share = study.attributes_per_step / changes["attributes_per_step"]
        changes["steps_per_epoch"] = round(study.steps_per_epoch * share)
    if changes.get("local_size") == "global_size":
        changes["local_size"] = changes.get("global_size", study.global_size)
    return study.override(**changes)


def classified_start(study: ExperimentConfig) -> ExperimentConfig:
    """Return settings that start from a classification: the study's, or the row's that does."""
    if study.starting_weights == "pretrain":
        return study
    return settings("asen_v2/compact", study)


def repeat_of(dataset: str) -> str:
    """Return what a study repeats: "fold" if its dataset's name has a place for the seed."""
    return "fold" if "{seed}" in dataset else "seed"


def in_fold(study: ExperimentConfig, seed: int) -> ExperimentConfig:
    """Return a study's settings for one seed; `{seed}` in the dataset's name stands for it.

    So the runs of `Photographs-{seed}` train with seed 0 on `Photographs-0`, with seed 1 on
    `Photographs-1`: folds of one dataset, which one table holds.
    """
    return study.override(seed=seed, dataset=study.dataset.replace("{seed}", str(seed)))


def row_of(values: Mapping[str, Any], study: ExperimentConfig) -> str | None:
    """Return the row whose settings a run has, whatever its seed; None if there is no such row.

    Args:
        values: the run's settings; one that came after the run has its default.
        study: the study's; for folds see `in_fold`.
    """
    values = {**ExperimentConfig().to_dict(), **values}
    for row in ROWS:
        try:
            wanted = settings(row, in_fold(study, values["seed"])).to_dict()
        except ConfigError:
            continue  # losses of whole groups, say, in a study of triplets: no run can have them
        if {**wanted, "seed": None} == {**values, "seed": None}:
            return row
    return None


def images_seen(values: Mapping[str, Any], attributes: int | None = None) -> int:
    """Return how many images a run trains on, counted as often as they are shown.

    The pretraining of the backbone, which all runs share, does not count; the other first stage
    that a local branch starts from does.

    Args:
        values: the run's settings.
        attributes: how many its dataset has; None: at least as many as a step takes.
    """
    config = ExperimentConfig.from_dict(values)
    if config.method == "features" and config.feature_map != "linear":
        return 0
    epochs = config.stage1_epochs + config.stage2_epochs
    if config.local_start == "zooms":
        epochs += config.stage1_epochs
    return config.networks * epochs * config.steps_per_epoch * _images_per_step(config, attributes)


def _images_per_step(config: ExperimentConfig, attributes: int | None = None) -> int:
    if config.sampling != "batch_all":
        return 3 * config.triplets_per_step
    together = min(config.attributes_per_step, attributes or config.attributes_per_step)
    return together * config.values_per_attribute * config.images_per_value
