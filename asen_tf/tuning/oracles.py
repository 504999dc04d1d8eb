"""The algorithms of a search: which settings are tried next.

Bayesian optimisation draws its starting points from a generator that KerasTuner 1.4.8 does not
keep. Here it is seeded by the number of the trial, so that an interrupted search goes on as it
would have.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner.engine.trial import TrialStatus
from keras_tuner.oracles import (
    BayesianOptimizationOracle,
    HyperbandOracle,
    RandomSearchOracle,
)

from asen_tf.config import ConfigError
from asen_tf.tuning.durable import DurableOracle

OBJECTIVE = "val_map"
ALGORITHMS = ("random", "bayesian", "hyperband")


class _FirstTheDefault(DurableOracle):
    """The first trial is the preset itself: what is found is never worse, on validation."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Return the values of a new trial; see KerasTuner."""
        if not self.trials:
            return {"status": TrialStatus.RUNNING, "values": dict(self.get_space().values)}
        return super().populate_space(trial_id)


class RandomSearch(_FirstTheDefault, RandomSearchOracle):
    """The preset, then values drawn at random."""


class BayesianOptimization(_FirstTheDefault, BayesianOptimizationOracle):
    """The preset, then values drawn at random, then those where a Gaussian process hopes most."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Return the values of a new trial; see KerasTuner."""
        # KerasTuner keeps no state of this generator: a resumed search would draw other numbers.
        self._random_state = np.random.RandomState(self.seed + len(self.trials))
        return super().populate_space(trial_id)


class Hyperband(DurableOracle, HyperbandOracle):
    """Many trials for few epochs; the best third goes on to three times as many."""


def oracle(
    algorithm: str, *, trials: int, epochs: int, seed: int, state_file: Path
) -> DurableOracle:
    """Return the oracle of an algorithm, with validation MAP as its objective.

    Args:
        algorithm: "random", "bayesian" or "hyperband".
        trials: of a random or a Bayesian search, the first one, of the preset, included.
            Hyperband's follow from `epochs`.
        epochs: of a full run; for Hyperband.
        seed: of what is drawn; 0 or more.
        state_file: holds everything that the search knows.

    Raises:
        ConfigError: an unknown algorithm, or fewer trials than one.
    """
    if algorithm not in ALGORITHMS:
        raise ConfigError(f"algorithm must be one of {', '.join(ALGORITHMS)}; got {algorithm!r}")
    if trials < 1:
        raise ConfigError(f"a search needs trials of 1 or more; got {trials}")
    # KerasTuner takes a seed of 0 for none at all.
    options = {"objective": keras_tuner.Objective(OBJECTIVE, "max"), "seed": seed + 1}
    if algorithm == "random":
        made = RandomSearch(max_trials=trials, **options)
    elif algorithm == "bayesian":
        first = max(trials // 2, 2)  # KerasTuner's three per hyperparameter would be all of them
        made = BayesianOptimization(max_trials=trials, num_initial_points=first, **options)
    else:
        made = Hyperband(max_epochs=epochs, factor=3, **options)
    made.state_file = state_file
    made.verbose = 0  # what there is to say is said by the tuner
    return made


def hyperband_trials(epochs: int, factor: int = 3) -> int:
    """Return how many trials one sweep of KerasTuner's Hyperband has.

    With s = floor(log_factor(epochs)) there are brackets s, ..., 0; round r of bracket b has
    ceil(n / (b + 1) * factor^(b - r)) trials, n = ceil(1 + log_factor(epochs)). 5 epochs: bracket
    1 has 5 and 2 trials, bracket 0 has 3: 10.

    References:
        Li et al., "Hyperband", JMLR 18 (2018), algorithm 1; sizes as KerasTuner rounds them.
    """
    brackets, left = 0, float(epochs)
    while left >= 1:
        brackets, left = brackets + 1, left / factor
    last = math.ceil(1 + math.log(epochs, factor))
    return sum(
        math.ceil(last / (bracket + 1) * factor ** (bracket - turn))
        for bracket in range(brackets)
        for turn in range(bracket + 1)
    )
