"""Adam with stepwise decay, and learning-rate groups.

The only module that uses tensorflow-addons' optimizers: to leave that library, rewrite
`grouped_optimizer`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf


@dataclass(frozen=True)
class LearningRateGroup:
    """Layers that share a learning rate.

    Attributes:
        layers: layers or models; their trainable variables form the group.
        learning_rate: Adam's learning rate at the first step.
    """

    layers: Sequence[keras.layers.Layer]
    learning_rate: float

    @property
    def variables(self) -> list[tf.Variable]:
        """The trainable variables of the group."""
        return [variable for layer in self.layers for variable in layer.trainable_variables]


def step_decay(
    learning_rate: float, *, factor: float, every_steps: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Return a schedule that multiplies the rate by `factor` every `every_steps` steps."""
    return keras.optimizers.schedules.ExponentialDecay(
        learning_rate, decay_steps=every_steps, decay_rate=factor, staircase=True
    )


def grouped_optimizer(
    groups: Sequence[LearningRateGroup], *, factor: float, every_steps: int
) -> tuple[keras.optimizers.Optimizer, list[keras.optimizers.Optimizer]]:
    """Build Adam for one group, or `tfa.optimizers.MultiOptimizer` of Adams for several.

    Args:
        groups: disjoint groups of layers.
        factor: the decay's factor.
        every_steps: steps between decays.

    Returns:
        The optimizer to compile with, and the Adams inside it with their variables created, which
        must be saved for an exact resume.

    Raises:
        ValueError: if a variable is in two groups, or two variables share a name.

    References:
        Learning rates per part as in ASEN++'s second stage (arXiv 2104.02429). MultiOptimizer
        assigns gradients to groups by variable *name*, hence the check.
    """
    names = Counter(variable.name for group in groups for variable in group.variables)
    repeated = sorted(name for name, count in names.items() if count > 1)
    if repeated:
        raise ValueError(
            "each variable of the learning-rate groups must have a name of its own, because "
            f"gradients are assigned by name; got more than one of {', '.join(repeated[:5])}; "
            "give the layers distinct names"
        )
    adams = []
    for group in groups:
        schedule = step_decay(group.learning_rate, factor=factor, every_steps=every_steps)
        adams.append(keras.optimizers.Adam(schedule))
        adams[-1].build(group.variables)
    if len(groups) == 1:
        return adams[0], adams

    # Imported late: tensorflow-addons warns of its retirement when it is imported.
    import tensorflow_addons as tfa

    pairs = [(adam, list(group.layers)) for adam, group in zip(adams, groups, strict=True)]
    several = tf.distribute.get_strategy().num_replicas_in_sync > 1
    optimizer = _for_replicas(pairs) if several else tfa.optimizers.MultiOptimizer(pairs)
    _ = optimizer.iterations  # creates its counter here: a compiled step may create no variable
    return optimizer, adams


def _for_replicas(
    pairs: list[tuple[keras.optimizers.Optimizer, list[keras.layers.Layer]]],
) -> keras.optimizers.Optimizer:
    """Return a MultiOptimizer whose replicas do not overwrite each other's list of gradients.

    The original keeps the list as an attribute. The replicas of one process take turns at every
    exchange of gradients, and would find each other's list there.
    """
    import tensorflow_addons as tfa

    class GroupedOptimizer(tfa.optimizers.MultiOptimizer):
        def apply_gradients(self, grads_and_vars: Any, **kwargs: Any) -> tf.Tensor:
            gradients = tuple(grads_and_vars)
            for spec in self.optimizer_specs:
                own = [pair for pair in gradients if pair[1].name in spec["weights"]]
                spec["optimizer"].apply_gradients(own, **kwargs)
            return self.iterations.assign_add(1)

    return GroupedOptimizer(pairs)
