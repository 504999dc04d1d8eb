"""Named configurations; each overrides one default and repeats nothing.

`ExperimentConfig()` itself is the paper's setting on FashionAI. A file may name a preset and
override it in turn: a search for better settings ends by writing such a file.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asen_tf.config import ConfigError, ExperimentConfig


def paper() -> ExperimentConfig:
    """ASEN++ as published: FashionAI, ResNet-50 and ResNet-34, 50 + 20 epochs; for a GPU.

    Paper: Dong et al., IEEE TIP 2021 (arXiv 2104.02429); MAP 64.31 on FashionAI. Sampling is the
    paper's random triplets.
    """
    return ExperimentConfig()


def fashionai() -> ExperimentConfig:
    """ASEN++ on FashionAI, both stages: the same as `paper`.

    Published: MAP 64.31 (ASEN++; Dong et al., IEEE TIP 2021, arXiv 2104.02429), 61.02 unweighted
    (ASEN; Ma et al., AAAI 2020, arXiv 2002.02814).
    Command, with ImageNet files in `weights/` and `make install-torch` (see data_prep/README.md),
    after `python -m data_prep.fashionai --raw RAW_DIR --out data`:
    `papermill notebooks/03_train.ipynb out.ipynb -p preset fashionai -p study fashionai`
    """
    return paper()


def fashionai_rpf() -> ExperimentConfig:
    """RPF, the successor, on FashionAI, both stages, at the published size; for a GPU.

    Trainable parameters: 11,439,680 of the region branch and the attributes, 90,396,160 of the
    patch branch. Published: MAP 70.11 (Dong et al., SIGIR 2023, arXiv 2305.10260). On DeepFashion
    its authors fuse with `fusion_weight` 0.4; the compact form is the row `rpf` of the matrix.
    Command, with torchvision's ResNet-50 and Google's ViT-B_16.npz in `weights/` and
    `make install-torch` (see data_prep/README.md), after
    `python -m data_prep.fashionai --raw RAW_DIR --out data`:
    `papermill notebooks/03_train.ipynb out.ipynb -p preset fashionai_rpf -p study rpf`
    """
    return paper().override(
        method="rpf",
        local_backbone="vit_b16",
        local_size=224,
        patch_layers=0,
        fusion_weight=0.3,
        alignment="e_info_nce",
        alignment_loss_weight=0.04,
        stage1_learning_rate=5e-5,
        stage1_flips=True,
        stage2_start="best",
        stage2_epochs=50,
        stage2_local_learning_rate=5.5e-5,
        stage2_decay_epochs=2,
    )


def darn() -> ExperimentConfig:
    """ASEN++ on DARN, both stages.

    Published: MAP 55.94 (Dong et al., IEEE TIP 2021, arXiv 2104.02429). Many of its images are no
    longer online; with fewer images the number differs.
    Command, with ImageNet files in `weights/` and `make install-torch` (see data_prep/README.md),
    after `python -m data_prep.darn --raw RAW_DIR --out data`:
    `papermill notebooks/03_train.ipynb out.ipynb -p preset darn -p study darn`
    """
    return paper().override(dataset="DARN")


def deepfashion() -> ExperimentConfig:
    """ASEN++ on the attributes of DeepFashion, both stages.

    Published: MAP 9.64 (Dong et al., IEEE TIP 2021, arXiv 2104.02429), by the protocol that queries
    one value at a time; `map_any_value.csv` counts any shared value.
    Command, with ImageNet files in `weights/` and `make install-torch` (see data_prep/README.md),
    after `python -m data_prep.deepfashion --raw RAW_DIR --out data`:
    `papermill notebooks/03_train.ipynb out.ipynb -p preset deepfashion -p study deepfashion`
    """
    return paper().override(dataset="DeepFashion")


def zappos50k() -> ExperimentConfig:
    """ASEN++ on the triplets of Zappos50k that CSN's authors list, both stages.

    Published: triplet accuracy 90.79 (ASEN; Ma et al., AAAI 2020, arXiv 2002.02814), 89.27 (CSN,
    in the same paper). Sampling is the list itself, shuffled.
    Command, with ImageNet files in `weights/` and `make install-torch` (see data_prep/README.md),
    after `python -m data_prep.zappos50k --raw RAW_DIR --out data`:
    `papermill notebooks/03_train.ipynb out.ipynb -p preset zappos50k -p study zappos50k`
    """
    return paper().override(dataset="Zappos50k", sampling="listed_triplets")


def quick() -> ExperimentConfig:
    """The runs of `make study`: drawn garments, an ImageNet start, minutes on two cores.

    Sampling is batch-all: the same number of images gives far more triplets than random sampling.
    Within each stage the rates decay to the same share of their start as in the paper, 0.19 and
    0.14.
    """
    return _from_imagenet().override(
        dataset="Garments",
        source_size=320,
        global_size=128,
        local_size=96,
        frozen_stages=2,
        images_per_value=4,
        attributes_per_step=4,
        steps_per_epoch=30,
        stage1_epochs=6,
        stage1_decay=0.717,
        stage2_epochs=3,
        stage2_decay=0.374,
    )


def strong() -> ExperimentConfig:
    """The main rows of `make study PROFILE=ablations`: `quick`, larger and longer.

    A run sees 25,600 images (6 + 4 epochs of 40 steps of 64) and takes ten to fifteen minutes on
    two cores.
    """
    return quick().override(
        global_size=160,
        steps_per_epoch=40,
        stage2_epochs=4,
        stage2_decay=0.519,
        stage2_global_learning_rate=3e-4,
    )


def photos() -> ExperimentConfig:
    """Photographs, your own for instance: an ImageNet start; ASEN_v2 takes six minutes.

    Also the runs of `make photos`. For your own: `-p preset photos -p dataset NAME`.
    """
    return _from_imagenet().override(
        dataset="ClothingAttributes-0",
        source_size=400,
        local_size=128,
        frozen_stages=5,
        values_per_attribute=3,
        steps_per_epoch=40,
        stage1_epochs=5,
        stage1_decay=0.66,
        stage2_epochs=4,
        stage2_decay=0.519,
    )


def _from_imagenet() -> ExperimentConfig:
    """What the short presets share: EfficientNet-Lite0 fine-tuned gently, heads at full size."""
    return ExperimentConfig().override(
        global_backbone="efficientnet_lite0",
        local_backbone="efficientnet_lite0",
        backbone_rate_share=0.1,
        train_batch_norms=False,
        sampling="batch_all",
        stage1_learning_rate=1e-3,
        stage1_decay_epochs=1,
        stage2_local_learning_rate=1e-3,
        stage2_global_learning_rate=2e-4,
    )


def compact() -> ExperimentConfig:
    """Drawn garments without ImageNet: small networks that start from a classification of values.

    What `quick` was before ImageNet weights came with a package; for when you want none.
    """
    return ExperimentConfig().override(
        dataset="Garments",
        source_size=320,
        global_size=64,
        local_size=64,
        global_backbone="compact",
        local_backbone="compact",
        attribute_dim=128,
        global_attention_dim=128,
        local_attention_dim=128,
        channel_attribute_dim=128,
        embedding_dim=256,
        starting_weights="pretrain",
        pretrain_epochs=10,
        pretrain_batch=32,
        pretrain_learning_rate=2.5e-3,
        sampling="batch_all",
        steps_per_epoch=80,
        stage1_epochs=6,
        stage1_learning_rate=1e-3,
        stage1_decay=0.717,
        stage1_decay_epochs=1,
        stage2_epochs=4,
        stage2_decay=0.519,
        stage2_local_learning_rate=1e-3,
        stage2_global_learning_rate=2e-4,
    )


def smoke() -> ExperimentConfig:
    """Everything once, in seconds, on a few images; its numbers mean nothing. For tests.

    Sampling is batch-all, as in `compact`.
    """
    return compact().override(
        source_size=64,
        global_size=32,
        local_size=32,
        attribute_dim=8,
        global_attention_dim=8,
        local_attention_dim=8,
        channel_attribute_dim=8,
        embedding_dim=16,
        pretrain_epochs=2,
        pretrain_batch=16,
        attributes_per_step=2,
        values_per_attribute=2,
        images_per_value=2,
        steps_per_epoch=3,
        stage1_epochs=2,
        stage1_decay=0.19,
        stage2_epochs=2,
        stage2_decay=0.14,
        bootstrap_resamples=50,
    )


def tune() -> ExperimentConfig:
    """A trial of `make tune`: `compact` with fewer images, and a shorter warm-up.

    One run sees 10,800 images (3 + 2 epochs of 30 steps of 72) instead of 57,600, so its numbers
    are lower than those of `compact`, and the settings that win here need not win there.
    """
    return compact().override(
        pretrain_epochs=3,
        steps_per_epoch=30,
        stage1_epochs=3,
        stage1_decay=0.436,
        stage2_epochs=2,
        stage2_decay=0.14,
        bootstrap_resamples=200,
    )


PRESETS: dict[str, Callable[[], ExperimentConfig]] = {
    function.__name__: function
    for function in (
        *(paper, fashionai, fashionai_rpf, darn, deepfashion, zappos50k),
        *(photos, strong, quick, compact, tune, smoke),
    )
}
_KEYS = ("preset", "overrides", "note")  # of a preset file; the note is optional


def preset(name: str) -> ExperimentConfig:
    """Return the configuration of that name, or of a preset file.

    Args:
        name: a key of `PRESETS`; or the path of a JSON file, ending in `.json`, that holds
            `{"preset": <key of PRESETS>, "overrides": {<setting>: <value>, ...}}` and optionally a
            `"note"` for the reader.

    Raises:
        ConfigError: for an unknown name, a file that cannot be read or has another form, an
            unknown setting in it, or a value that breaks its setting's rule.
    """
    if name.endswith(".json"):
        return _from_file(Path(name))
    if name not in PRESETS:
        hint = "a preset file's name ends in .json"
        raise ConfigError(f"preset must be one of {', '.join(PRESETS)}; got {name!r}; {hint}")
    return PRESETS[name]()


def _from_file(path: Path) -> ExperimentConfig:
    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_once)
        base, overrides = _parts(content)
        return PRESETS[base]().override(**overrides)
    except OSError as error:
        raise ConfigError(f"preset file {path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, or a ConfigError
        raise ConfigError(f"preset file {path}: {error}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ConfigError(f"a name occurs twice, keep one; got {[name for name, _ in pairs]}")
    return found


def _parts(content: Any) -> tuple[str, dict[str, Any]]:
    if not isinstance(content, dict) or not {"preset", "overrides"} <= set(content) <= set(_KEYS):
        found = sorted(content) if isinstance(content, dict) else type(content).__name__
        raise ConfigError(
            f"must be an object with preset and overrides, optionally note; got {found}"
        )
    base, overrides = content["preset"], content["overrides"]
    if not isinstance(base, str) or base not in PRESETS:
        raise ConfigError(f"preset must be one of {', '.join(PRESETS)}; got {base!r}")
    if not isinstance(overrides, dict):
        raise ConfigError(f"overrides must be an object of settings; got {overrides!r}")
    return base, overrides
