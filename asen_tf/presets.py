"""Named configurations; each overrides one default and repeats nothing.

`ExperimentConfig()` itself is the paper's setting on FashionAI.
"""

from __future__ import annotations

from asen_tf.config import ConfigError, ExperimentConfig


def paper() -> ExperimentConfig:
    """ASEN++ as published: FashionAI, ResNet-50 and ResNet-34, 50 + 20 epochs; for a GPU.

    Paper: Dong et al., IEEE TIP 2021 (arXiv 2104.02429); MAP 64.31 on FashionAI. Sampling is the
    paper's random triplets.
    """
    return ExperimentConfig()


def quick() -> ExperimentConfig:
    """The study of `make study`: the embedded garments, compact backbones, minutes on two cores.

    Sampling is batch-all: at the same number of images, far more triplets than random ones.
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
        steps_per_epoch=100,
        stage1_epochs=6,
        stage1_learning_rate=1e-3,
        stage2_epochs=4,
        stage2_local_learning_rate=1e-3,
        stage2_global_learning_rate=2e-4,
    )


def smoke() -> ExperimentConfig:
    """Everything once, in seconds, on a few images; its numbers mean nothing. For tests.

    Sampling is batch-all, as in `quick`.
    """
    return quick().override(
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
        stage2_epochs=2,
        bootstrap_resamples=50,
    )


def preset(name: str) -> ExperimentConfig:
    """Return the configuration of that name; raises `ConfigError` for an unknown one."""
    presets = {"paper": paper, "quick": quick, "smoke": smoke}
    if name not in presets:
        raise ConfigError(f"preset must be one of {', '.join(presets)}; got {name!r}")
    return presets[name]()
