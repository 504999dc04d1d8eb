"""The algorithms of a search: which settings are tried next.

Bayesian optimisation draws its starting points from a generator that KerasTuner 1.4.8 does not
keep. Here it is seeded by the number of the trial, so that an interrupted search goes on as it
would have.

An oracle that outlives whatever is killed: the search itself, or a worker.

What KerasTuner 1.4.8 does by itself, and what is added here:

- Its state is written in place, so a kill may leave half a file. Here all of it is one file that is
  there in full or not at all, written when a trial begins and when it ends. After a kill the
  unfinished trial is the next one that is given out, with the same values.
- The chief keeps a trial for the worker that has it, by the worker's name, for ever: a worker that
  comes back under its name gets its trial again, but if it does not come back the trial is never
  finished, and the chief never ends. Here a worker that has been silent for `patience` seconds
  loses its trial to the next one that asks; and a worker that finds no trial left waits until the
  others have finished theirs, instead of leaving when it might still be needed.
- A worker is told nothing by a trial of its own that has been taken over: what is reported first
  counts, and the other report, of the same run, is ignored.
- A trial that kills its process, by its need of memory say, would be given out again and again.
  Here it has failed after `ATTEMPTS` of them.
- After three failed trials in a row KerasTuner raises where the third is reported, and from then on
  at every report. Here no further trial is given out, so that all leave; see `Search.check`. When
  the search is run again, failed trials are tried once more.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner.engine.trial import Trial, TrialStatus
from keras_tuner.oracles import BayesianOptimizationOracle, HyperbandOracle, RandomSearchOracle

from asen_study.tuning.failures import IN_A_ROW, file_of, locked
from asen_tf.config import ConfigError
from asen_tf.files import write_json

PATIENCE = 60.0  # seconds
ATTEMPTS = 3  # at one trial, whose processes have all died
_NEVER = 10**9


class DurableOracle(keras_tuner.Oracle):
    """What all oracles here share; see the module.

    Attributes:
        state_file: holds everything that a search knows.
        patience: seconds after which a silent worker is given up.
        chief: whether trials run in other processes: then a kill of this one is no trial's doing.
        attempts: trial -> how often it has begun, without an end.
        failed_in_a_row: trials, the last ones that ended, in this run of the search.
    """

    state_file: Path
    patience: float = PATIENCE
    chief: bool = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Take the arguments of KerasTuner's oracle."""
        super().__init__(*arguments, max_consecutive_failed_trials=_NEVER, **options)
        self.attempts: dict[str, int] = {}
        self.failed_in_a_row = 0
        self._heard: dict[str, float] = {}  # name of a worker -> when it last asked, or reported

    # === State on disk ===

    def save(self) -> None:
        """Write everything into one file, in full or not at all."""
        trials = [trial.get_state() for trial in self.trials.values()]
        own = {"attempts": self.attempts, "failed_in_a_row": self.failed_in_a_row}
        write_json(self.state_file, {"oracle": self.get_state(), "trials": trials, **own})

    def reload(self) -> None:
        """Go on from the file; trials that were running are given out first, then failed ones.

        Of failed ones not those that kill their process, if that is this one: it would never get
        past them.
        """
        content = json.loads(self.state_file.read_text(encoding="utf-8"))
        trials = [Trial.from_state(state) for state in content["trials"]]
        self.trials = {trial.trial_id: trial for trial in trials}
        self.attempts = {} if self.chief else content.get("attempts", {})
        failed = [trial for trial in trials if trial.status == TrialStatus.FAILED]
        again = {x.trial_id for x in failed if self.attempts.get(x.trial_id, 0) < ATTEMPTS}
        for name in again:  # without the numbers it has reported
            self.trials[name] = Trial(self.trials[name].hyperparameters, name, TrialStatus.INVALID)
        state = content["oracle"]
        running = set(state["ongoing_trials"].values()) - set(state["end_order"])
        state["end_order"] = [name for name in state["end_order"] if name not in again]
        # The last of the queue is taken first: the earliest trial is to be that one.
        waiting = [name for name in state["retry_queue"] if name not in again]
        waiting += sorted(running, key=int, reverse=True)
        state["retry_queue"] = [*sorted(again, key=int, reverse=True), *waiting]
        state["ongoing_trials"] = {}
        self.set_state(state)

    # === Workers that come and go ===

    @locked
    def create_trial(self, tuner_id: str) -> Trial:
        """Give a worker its trial: its own, that of a silent worker, or a new one."""
        self._heard[tuner_id] = time.monotonic()
        self.forget_silent_workers()
        trial = self._next(tuner_id)
        while trial.status == TrialStatus.RUNNING and self._attempts(trial) >= ATTEMPTS:
            self._give_up(trial)
            trial = self._next(tuner_id)
        if trial.status == TrialStatus.RUNNING:
            self.attempts[trial.trial_id] = self._attempts(trial) + 1
            self.save()
        elif trial.status == TrialStatus.STOPPED and self.ongoing_trials:
            self.tuner_ids.add(tuner_id)  # it stays, in case one of the others does not finish
            trial.status = TrialStatus.IDLE
        return trial

    @locked
    def update_trial(self, trial_id: str, metrics: dict[str, Any], step: int = 0) -> Trial:
        """Take the numbers of a trial."""
        return super().update_trial(trial_id, metrics, step=step)

    @locked
    def end_trial(self, trial: Trial) -> None:
        """Take the end of a trial, once, and forget whoever else was to run it."""
        if trial.trial_id not in self.end_order:
            super().end_trial(trial)
            failed = self.trials[trial.trial_id].status == TrialStatus.FAILED
            self.failed_in_a_row = self.failed_in_a_row + 1 if failed else 0
            self.attempts.pop(trial.trial_id, None)
        self._forget(trial)
        self.save()  # KerasTuner has saved the trial as one that still runs

    @locked
    def get_trial(self, trial_id: str) -> Trial:
        """Return a trial; who asks for it, a worker, is alive."""
        for tuner_id, trial in self.ongoing_trials.items():
            if trial.trial_id == trial_id:
                self._heard[tuner_id] = time.monotonic()
        return super().get_trial(trial_id)

    @locked
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

    # === Steps of these ===

    def _next(self, tuner_id: str) -> Trial:
        """Return KerasTuner's answer; after too many failures only a worker's own trial."""
        if self.failed_in_a_row < IN_A_ROW or tuner_id in self.ongoing_trials:
            return super().create_trial(tuner_id)
        self.tuner_ids.discard(tuner_id)
        return Trial(self.get_space(), status=TrialStatus.STOPPED)

    def _attempts(self, trial: Trial) -> int:
        return self.attempts.get(trial.trial_id, 0)

    def _give_up(self, trial: Trial) -> None:
        """Let a trial have failed of which nothing is heard but that its processes die."""
        trial.status = TrialStatus.FAILED
        trial.message = f"its process has died {ATTEMPTS} times, for lack of memory perhaps"
        if not self.chief:
            trial.message += "; only a search with a chief, jobs above 1, tries it once more"
        file_of(self.state_file.parent, trial).unlink(missing_ok=True)  # of an earlier failure
        print(f"Trial {int(trial.trial_id) + 1} FAILED: {trial.message}", flush=True)
        self.end_order.append(trial.trial_id)
        self.failed_in_a_row += 1
        self._forget(trial)
        self.save()

    def _take_back(self, trial: Trial) -> None:
        """Put a trial into KerasTuner's queue of trials that are to be run once more."""
        state = self.get_state()
        state["retry_queue"] = [*state["retry_queue"], trial.trial_id]
        self.set_state(state)
        self.save()

    def _forget(self, trial: Trial) -> None:
        """Take a trial from whoever has it, and from KerasTuner's queue."""
        state = self.get_state()
        state["retry_queue"] = [name for name in state["retry_queue"] if name != trial.trial_id]
        held = state["ongoing_trials"].items()
        state["ongoing_trials"] = {key: name for key, name in held if name != trial.trial_id}
        self.set_state(state)


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
