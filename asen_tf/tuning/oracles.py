"""KerasTuner's oracles, made to outlive whatever is killed: the search itself, or a worker.

What KerasTuner 1.4.8 does by itself, and what is added here:

- Its state is written in place, so a kill may leave half a file. Here all of it is one file that is
  there in full or not at all, written when a trial begins and when it ends. After a kill the
  unfinished trial is the next one that is given out, with the same values.
- Bayesian optimisation draws its starting points from a generator that is not part of the state.
  Here it is seeded by the number of the trial, so that an interrupted search goes on as it would
  have.
- The chief keeps a trial for the worker that has it, by the worker's name, for ever: a worker that
  comes back under its name gets its trial again, but if it does not come back the trial is never
  finished, and the chief never ends. Here a worker that has been silent for `patience` seconds
  loses its trial to the next one that asks; and a worker that finds no trial left waits until the
  others have finished theirs, instead of leaving when it might still be needed.
- A worker is told nothing by a trial of its own that has been taken over: what is reported first
  counts, and the other report, of the same run, is ignored.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner.engine.trial import Trial, TrialStatus
from keras_tuner.oracles import (
    BayesianOptimizationOracle,
    HyperbandOracle,
    RandomSearchOracle,
)

from asen_tf.config import ConfigError
from asen_tf.files import write_json

OBJECTIVE = "val_map"
PATIENCE = 60.0  # seconds
ALGORITHMS = ("random", "bayesian", "hyperband")


class DurableOracle(keras_tuner.Oracle):
    """What all oracles here share; see the module.

    Attributes:
        state_file: holds everything that a search knows.
        patience: seconds after which a silent worker is given up.
    """

    state_file: Path
    patience: float = PATIENCE

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Take the arguments of KerasTuner's oracle."""
        super().__init__(*arguments, **options)
        self._heard: dict[str, float] = {}  # name of a worker -> when it last asked, or reported

    # === State on disk ===

    def save(self) -> None:
        """Write everything into one file, in full or not at all."""
        trials = [trial.get_state() for trial in self.trials.values()]
        write_json(self.state_file, {"oracle": self.get_state(), "trials": trials})

    def reload(self) -> None:
        """Go on from the file; trials that were running are given out first."""
        content = json.loads(self.state_file.read_text(encoding="utf-8"))
        trials = [Trial.from_state(state) for state in content["trials"]]
        self.trials = {trial.trial_id: trial for trial in trials}
        state = content["oracle"]
        # The last of the queue is taken first: the earliest trial is to be that one.
        running = set(state["ongoing_trials"].values()) - set(state["end_order"])
        state["retry_queue"] += sorted(running, key=int, reverse=True)
        state["ongoing_trials"] = {}
        self.set_state(state)

    # === Workers that come and go ===

    @keras_tuner.synchronized
    def create_trial(self, tuner_id: str) -> Trial:
        """Give a worker its trial: its own, that of a silent worker, or a new one."""
        self._heard[tuner_id] = time.monotonic()
        self.forget_silent_workers()
        trial = super().create_trial(tuner_id)
        if trial.status == TrialStatus.STOPPED and self.ongoing_trials:
            self.tuner_ids.add(tuner_id)  # it stays, in case one of the others does not finish
            trial.status = TrialStatus.IDLE
        return trial

    @keras_tuner.synchronized
    def end_trial(self, trial: Trial) -> None:
        """Take the end of a trial, once, and forget whoever else was to run it."""
        if trial.trial_id not in self.end_order:
            super().end_trial(trial)
        state = self.get_state()
        for name in ("retry_queue", "ongoing_trials"):
            state[name] = _without(state[name], trial.trial_id)
        self.set_state(state)
        self.save()  # KerasTuner has saved the trial as one that still runs

    @keras_tuner.synchronized
    def get_trial(self, trial_id: str) -> Trial:
        """Return a trial; who asks for it, a worker, is alive."""
        for tuner_id, trial in self.ongoing_trials.items():
            if trial.trial_id == trial_id:
                self._heard[tuner_id] = time.monotonic()
        return super().get_trial(trial_id)

    @keras_tuner.synchronized
    def forget_silent_workers(self) -> None:
        """Take back the trials of workers that have said nothing for `patience` seconds."""
        now = time.monotonic()
        for tuner_id in sorted(self.tuner_ids):
            silent = now - self._heard.setdefault(tuner_id, now)
            if silent > self.patience:
                self.tuner_ids.discard(tuner_id)
                self._heard.pop(tuner_id)
                trial = self.ongoing_trials.pop(tuner_id, None)
                what = "between two trials"
                if trial is not None:
                    what = f"its trial {trial.trial_id} goes to the next worker that asks"
                    self._take_back(trial)
                print(f"{tuner_id}: silent for {silent:.0f} s, given up; {what}", flush=True)

    def _take_back(self, trial: Trial) -> None:
        """Put a trial into KerasTuner's queue of trials that are to be run once more."""
        state = self.get_state()
        state["retry_queue"] = [*state["retry_queue"], trial.trial_id]
        self.set_state(state)
        self.save()


def _without(held: list[str] | dict[str, str], trial_id: str) -> list[str] | dict[str, str]:
    if isinstance(held, dict):
        return {tuner_id: held_id for tuner_id, held_id in held.items() if held_id != trial_id}
    return [held_id for held_id in held if held_id != trial_id]


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
