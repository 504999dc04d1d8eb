"""KerasTuner's two halves as a search of this study needs them: the oracle and the tuner.

The oracle proposes trials. It survives whatever is killed, the search itself or one of its workers.
KerasTuner 1.4.8 alone is not enough for that:

- It writes its state in place, in several files, so a kill may leave half of one. Here everything
  is one file that is complete or not there at all. After a kill, unfinished trials are the next
  ones to be given out, with the same values.
- Its chief reserves a trial for the worker that has it, for ever. Here a worker that has been
  silent for `patience` seconds loses its trial to the next one that asks, and a worker that finds
  no trial left waits until the others have finished theirs, in case it is still needed.
- It counts how often a trial was begun only if the worker lives to report it. Here a trial whose
  worker goes silent uses up one of `max_retries_per_trial`, so that a trial that needs too much
  memory cannot kill one worker after the other.
- After three failed trials in a row it raises an error wherever the third one is reported, and at
  each report after that. Here no more trials are given out, so everyone leaves; when the search is
  run again, failed trials are tried once more.

The tuner turns a trial into a run, whose validation MAP is the score.
"""

from __future__ import annotations

import contextlib
import json
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import keras_tuner
import numpy as np
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial, TrialStatus
from keras_tuner.oracles import BayesianOptimizationOracle, HyperbandOracle, RandomSearchOracle

from asen_study.tuning.space import changed
from asen_tf.files import write_json

PATIENCE = 60.0  # seconds until a silent worker is given up
ATTEMPTS = 3  # at a trial whose process dies, or whose workers go silent
IN_A_ROW = 3  # failed trials, after which the search stops: the settings are not to blame any more
BEAT = 2.0  # seconds between a worker's signs of life
OBJECTIVE = "val_map"
_PAUSE = 0.5  # seconds before a worker asks for a trial; KerasTuner does not pause at all
_NEVER = 10**9


# === Oracles ===


class DurableOracle(keras_tuner.Oracle):
    """What all three oracles add: their state survives a kill, and their workers may die.

    Attributes:
        state_file: holds everything that a search knows.
        patience: seconds after which a silent worker is given up; none is silent on one machine.
        leaving: whether no more trials are given out.
    """

    state_file: Path
    patience: float = math.inf
    leaving: bool = False

    def __init__(self, **options: Any) -> None:
        limits = {"max_retries_per_trial": ATTEMPTS - 1, "max_consecutive_failed_trials": _NEVER}
        super().__init__(objective=keras_tuner.Objective(OBJECTIVE, "max"), **limits, **options)
        self.verbose = 0
        self._heard: dict[str, float] = {}  # name of a worker -> when it last asked or reported

    @property
    def stopped(self) -> bool:
        """Whether the last trials have all failed, so that no more are given out."""
        last = [self.trials[name].status for name in self.end_order[-IN_A_ROW:]]
        return last == [TrialStatus.FAILED] * IN_A_ROW

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Return the values of a new trial; unless this is Hyperband, the first is the preset.

        Whatever is found is then no worse than the preset, on validation.
        """
        if not self.trials and not isinstance(self, HyperbandOracle):
            return {"status": TrialStatus.RUNNING, "values": dict(self.get_space().values)}
        # The Bayesian oracle does not save this generator: resumed, it would draw other values.
        self._random_state = np.random.RandomState(self.seed + len(self.trials))
        return super().populate_space(trial_id)

    # === State on disk ===

    def save(self) -> None:
        """Write everything into one file, completely or not at all.

        KerasTuner calls this while it holds its lock, which an error would never release. So if the
        disk is full, this only says so; the next save may succeed.
        """
        trials = [trial.get_state() for trial in self.trials.values()]
        try:
            write_json(self.state_file, {"oracle": self.get_state(), "trials": trials})
        except OSError as error:
            print(f"The state of the search cannot be saved: {error}", flush=True)

    def _save_trial(self, trial: Trial) -> None:
        """Write no file per trial: `save` writes them all."""

    def reload(self) -> None:
        """Go on from the file, if there is one: unfinished and failed trials come first."""
        if self.state_file.exists():
            content = json.loads(self.state_file.read_text(encoding="utf-8"))
            trials = [Trial.from_state(state) for state in content["trials"]]
            self.trials = {trial.trial_id: trial for trial in trials}
            again = [trial.trial_id for trial in trials if trial.status != TrialStatus.COMPLETED]
            ended = [name for name in content["oracle"]["end_order"] if name not in again]
            # The last of the queue goes first.
            changes = {"ongoing_trials": {}, "retry_queue": again[::-1], "end_order": ended}
            self.set_state(content["oracle"] | changes)

    # === Workers that come and go ===

    @keras_tuner.synchronized
    def create_trial(self, tuner_id: str) -> Trial:
        """Give a worker its trial: its own, a silent worker's, or a new one.

        A worker that has one asks all the same, to show that it is alive.
        """
        self._heard[tuner_id] = time.monotonic()
        self.forget_silent_workers()
        if (self.stopped or self.leaving) and tuner_id not in self.ongoing_trials:
            self.tuner_ids.discard(tuner_id)
            trial = Trial(self.get_space(), status=TrialStatus.STOPPED)
        else:
            trial = super().create_trial(tuner_id)
        if trial.status == TrialStatus.STOPPED and self.ongoing_trials and not self.leaving:
            self.tuner_ids.add(tuner_id)  # it stays, in case another one does not finish
            trial.status = TrialStatus.IDLE
        return trial

    @keras_tuner.synchronized
    def end_trial(self, trial: Trial) -> None:
        """Take the end of a trial; if two workers have run it, only the first report counts."""
        if trial.trial_id in self.end_order:
            return
        super().end_trial(trial)
        self._retry_queue = [name for name in self._retry_queue if name not in self.end_order]
        if trial.trial_id in self.end_order:
            score = self.trials[trial.trial_id].score
            message = f"validation MAP {score:.2f}" if score is not None else "FAILED"
            print(f"Trial {number(trial)}: {message}; {len(self.end_order)} ended", flush=True)

    @keras_tuner.synchronized
    def forget_silent_workers(self) -> None:
        """Take back the trials of workers that have been silent for `patience` seconds."""
        now = time.monotonic()
        for tuner_id in sorted(self.tuner_ids):
            silent, trial = now - self._heard[tuner_id], self.ongoing_trials.get(tuner_id)
            if silent > self.patience:
                print(f"{tuner_id}: silent for {silent:.0f} s, given up", flush=True)
                self.tuner_ids.discard(tuner_id)
                if trial is not None:
                    trial.status = TrialStatus.INVALID
                    trial.message = f"its workers died {ATTEMPTS} times, perhaps out of memory"
                    self.end_trial(trial)


class RandomSearch(DurableOracle, RandomSearchOracle):
    """The preset, then values drawn at random."""


class BayesianOptimization(DurableOracle, BayesianOptimizationOracle):
    """The preset, then random values, then those that a Gaussian process finds most promising."""


class Hyperband(DurableOracle, HyperbandOracle):
    """Many trials for few epochs; the best third goes on to three times as many."""


ORACLES = {"random": RandomSearch, "bayesian": BayesianOptimization, "hyperband": Hyperband}


# === The tuner ===


class RunTuner(BaseTuner):
    """Trains the trials as runs of the study and reports their scores to the oracle.

    Attributes:
        train: trains a trial's run, or finds it finished, given the trial's id and its values;
            returns the validation MAP of the weights that the run keeps, percent.
    """

    train: Callable[[str, dict[str, Any]], float]

    def save(self) -> None:
        """Do nothing: the oracle saves itself, and the tuner has no state of its own."""

    def pre_create_trial(self) -> None:
        """Pause, so that a worker without a trial does not ask thousands of times a second."""
        time.sleep(_PAUSE)

    def on_trial_begin(self, trial: Trial) -> None:
        """Print what is tried."""
        wanted = self.hypermodel.settings(trial.hyperparameters.values)
        tried = [f"{name} {own}" for name, own in changed(wanted, self.hypermodel.config).items()]
        print(f"Trial {number(trial)}: {', '.join(tried) or 'the preset itself'}", flush=True)

    def run_trial(self, trial: Trial) -> dict[str, float]:
        """Train the run of a trial; return the validation MAP of the weights it keeps, percent."""
        over = threading.Event()
        with ThreadPoolExecutor(1) as aside:
            aside.submit(self._beat, over)
            try:
                return {OBJECTIVE: self.train(trial.trial_id, dict(trial.hyperparameters.values))}
            finally:
                over.set()

    def _beat(self, over: threading.Event) -> None:
        """Let the chief know that this worker is alive: it asks for the trial that it has.

        It has stopped asking when the trial is reported, so it is given no other one unawares.
        """
        while not over.wait(BEAT):
            with contextlib.suppress(grpc.RpcError):  # the chief is being restarted
                self.oracle.create_trial(self.tuner_id)


def number(trial: Trial) -> int:
    """Return the number of a trial, from 1."""
    return int(trial.trial_id) + 1
