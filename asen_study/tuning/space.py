"""The search space: which settings of a run are searched, between which values.

Ranges follow the preset that is searched, so that the same space fits the paper's size and a
smoke test: learning rates and sizes are multiples of its own. A hyperparameter has the name of its
setting; the preset's own value is its default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras_tuner

from asen_tf.config import ConfigError, ExperimentConfig, did_you_mean

# Searched on a logarithmic scale: between these multiples of the preset's own value.
_MULTIPLES = {
    "stage1_learning_rate": (0.25, 4.0),
    "stage2_local_learning_rate": (0.25, 4.0),
    "stage2_global_learning_rate": (0.25, 4.0),
    "local_loss_weight": (0.2, 10.0),
    "alignment_loss_weight": (0.2, 10.0),
}
# Searched evenly, between these values; wider where the preset's own lies outside.
_RANGES = {"margin": (0.05, 0.5), "roi_threshold": (0.02, 0.6), "fusion_weight": (0.2, 0.95)}
# Half the preset's own size, that size, or twice it.
_SIZES = ("attribute_dim", "embedding_dim", "channel_attribute_dim")
_SIZES += ("global_attention_dim", "local_attention_dim")

FIELDS = (*_MULTIPLES, *_RANGES, *_SIZES, "sampling")
LOGARITHMIC = (*_MULTIPLES, *_SIZES)
# What a search asks about unless told otherwise: few, since a dozen trials cannot search more, and
# those whose effect shows in a short training. Sizes need a longer one.
DEFAULT_FIELDS = ("stage1_learning_rate", "local_loss_weight", "alignment_loss_weight", *_RANGES)


class RunSettings(keras_tuner.HyperModel):
    """Here, what KerasTuner calls a model is the configuration of a run.

    Args:
        config: the preset; what a trial does not change.
        fields: names out of `FIELDS`; empty for `DEFAULT_FIELDS`, `("all",)` for all.

    Attributes:
        fields: the settings that are searched, in the order of `FIELDS`.
        epochs: of all stages of the preset.

    Raises:
        ConfigError: a name that cannot be searched, or a preset that cannot be varied in it.
    """

    def __init__(self, config: ExperimentConfig, fields: Sequence[str] = ()) -> None:
        super().__init__()
        self.config = config
        self.epochs = config.stage1_epochs + config.stage2_epochs
        chosen = FIELDS if tuple(fields) == ("all",) else tuple(fields) or DEFAULT_FIELDS
        self.fields = tuple(name for name in FIELDS if name in chosen)
        for name in chosen:
            if name not in FIELDS:
                hint = did_you_mean(name, FIELDS)
                raise ConfigError(f"{name!r} is not a setting that can be searched; {hint}")
            if name in _MULTIPLES and getattr(config, name) <= 0:
                raise ConfigError(
                    f"{name} is searched at multiples of the preset's value, which must be above "
                    f"0; got {getattr(config, name)}: leave it out of fields"
                )
        if config.sampling == "listed_triplets":
            raise ConfigError(
                "the search maximises validation MAP, which a dataset of listed triplets does not "
                "have; search a preset whose sampling is random_triplets or batch_all"
            )

    def build(self, hp: keras_tuner.HyperParameters) -> ExperimentConfig:
        """Declare the space, and return the configuration that its values ask for."""
        for name in self.fields:
            own = getattr(self.config, name)
            if name in _MULTIPLES:
                low, high = (own * factor for factor in _MULTIPLES[name])
                hp.Float(name, low, high, sampling="log", default=own)
            elif name in _RANGES:
                low, high = _RANGES[name]
                hp.Float(name, min(low, own), max(high, own), default=own)
            elif name in _SIZES:
                hp.Choice(name, sorted({max(own // 2, 1), own, 2 * own}), default=own)
            else:
                hp.Choice(name, ["batch_all", "random_triplets"], default=own)
        return self.settings(hp.values)

    def settings(self, values: Mapping[str, Any]) -> ExperimentConfig:
        """Return the configuration of a trial.

        Numbers are rounded to three significant digits: more would say nothing, and on their way to
        a worker they become single precision anyway. A step holds as many images as the
        preset's whatever the sampling, as in `asen_study.matrix`, so that no trial wins by seeing
        more.

        Hyperband gives a trial a number of epochs. It counts the epochs of all stages together:
        the second of two stages gets its share of the preset's, rounded, and the first one the
        rest, at least one each. A promoted trial is trained anew for its longer time, so that its
        number is that of a run of this length: rates decay by the epoch, and stage 2 starts from
        stage 1's last one.

        Args:
            values: of the hyperparameters; KerasTuner's own, `tuner/...`, are dropped.
        """
        changes = {
            name: float(f"{value:.3g}") if isinstance(value, float) else value
            for name, value in values.items()
            if not name.startswith("tuner/")
        }
        config = self.config
        per_attribute = config.values_per_attribute * config.images_per_value
        if changes.get("sampling") == "random_triplets" != config.sampling:
            changes["triplets_per_step"] = max(config.attributes_per_step * per_attribute // 3, 1)
        if "tuner/epochs" in values:
            budget = int(values["tuner/epochs"])
            second = max(round(budget * config.stage2_epochs / self.epochs), 1)
            changes |= {"stage1_epochs": max(budget - second, 1), "stage2_epochs": second}
        return config.override(**changes)


def changed(config: ExperimentConfig, start: ExperimentConfig) -> dict[str, Any]:
    """Return the settings in which a configuration differs from the one that it starts from."""
    return {name: own for name, own in config.to_dict().items() if own != getattr(start, name)}
