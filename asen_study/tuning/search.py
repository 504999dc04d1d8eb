"""A search: what is searched, where its state is, and the processes that take part in it.

Each trial trains in a process of its own. A trial that runs out of memory kills neither the search
nor the other trials, and all of the memory, a GPU's too, is free again when it ends.
"""

from __future__ import annotations

import functools
import json
import multiprocessing
import os
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from pathlib import Path
from typing import Any

import tensorflow as tf
from filelock import FileLock
from keras_tuner.engine.trial import Trial, TrialStatus
from keras_tuner.errors import FailedTrialError
from tensorboard.plugins.hparams import api

from asen_study import experiment
from asen_study.production import key, open_dataset
from asen_study.runs import Places, Run
from asen_study.tuning.space import RunSettings
from asen_study.tuning.tuner import OBJECTIVE, ORACLES, PATIENCE, DurableOracle, RunTuner, number
from asen_tf.config import ConfigError
from asen_tf.evaluation.ranking import usable_cores
from asen_tf.presets import preset

CHIEF = "chief"
BEST = "best.json"  # the preset file that a search writes
STATE = "oracle-and-trials.json"  # what the oracle knows
_ENDED = (TrialStatus.COMPLETED, TrialStatus.FAILED)
_SPAWN = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork


class SearchError(FailedTrialError):
    """A search cannot go on, or found nothing; KerasTuner does not retry a trial that raises it."""


@dataclass(frozen=True)
class Search:
    """Everything that decides a search; it is the same in all processes that take part.

    Attributes:
        preset: what the trials start from: a name or a preset file, see `asen_tf.presets.preset`.
        algorithm: "random", "bayesian" or "hyperband".
        trials: how many, including the first one, which is the preset; Hyperband's follow from the
            preset's epochs. A finished search goes on when this is raised.
        fields: settings that are searched, out of `asen_study.tuning.FIELDS`; empty for
            `DEFAULT_FIELDS`, `("all",)` for all.
        seed: of the random draws; the trials' own seed is the preset's.
        places: where the data are, and the study for the runs and for what the search finds.

    Raises:
        ConfigError: an unknown algorithm, fewer than one trial, or a preset file that the search
            itself would write.
    """

    preset: str = "tune"
    algorithm: str = "random"
    trials: int = 12
    fields: tuple[str, ...] = ()
    seed: int = 0
    places: Places = Places(study="tuning")

    def __post_init__(self) -> None:
        """Refuse what cannot be searched; a preset of its own would be compared with itself."""
        if self.algorithm not in ORACLES:
            known = ", ".join(ORACLES)
            raise ConfigError(f"algorithm must be one of {known}; got {self.algorithm!r}")
        if self.trials < 1:
            raise ConfigError(f"a search needs trials of 1 or more; got {self.trials}")
        if Path(self.preset).resolve() == (self.place / BEST).resolve():
            raise ConfigError(
                f"preset must not be a file that the search itself writes; got {self.preset}: "
                "start from a copy of it, or give the search another study, such as "
                f"{self.places.study}2"
            )

    @cached_property
    def settings(self) -> RunSettings:
        """From a trial's values to the settings of its run; the preset as it is when first read."""
        return RunSettings(preset(self.preset), self.fields)

    @property
    def place(self) -> Path:
        """The study's directory."""
        return self.places.study_dir

    @cached_property
    def state_dir(self) -> Path:
        """Where the search's state is: one folder per preset, space, algorithm, data and code.

        The number of trials does not count, so that a search can be made longer.
        """
        config, places = self.settings.config, self.places
        facts = {"settings": config.to_dict(), "fields": self.settings.fields}
        facts |= {"algorithm": self.algorithm, "seed": self.seed}
        identity = key(facts, open_dataset(config, places))
        return self.place / "search" / f"{self.algorithm}-{identity}"

    def make_oracle(self) -> DurableOracle:
        """Return a new oracle of this search, which knows nothing of its state on disk."""
        first = max(self.trials // 2, 2)  # KerasTuner's three per setting would be all of them
        options = {
            "random": {"max_trials": self.trials},
            "bayesian": {"max_trials": self.trials, "num_initial_points": first},
            "hyperband": {"max_epochs": self.settings.epochs, "factor": 3},
        }[self.algorithm]
        made = ORACLES[self.algorithm](seed=self.seed + 1, **options)  # 0 would be none at all
        made.state_file = self.state_dir / STATE
        return made

    def make_tuner(self, made: DurableOracle, name: str, jobs: int = 1) -> RunTuner:
        """Return what trains the trials of an oracle, each in a process of its own.

        Args:
            made: the oracle.
            name: of the tuner, to which the oracle gives a trial, and of the trials' log.
            jobs: trials side by side on this machine.
        """
        folder = self.state_dir
        tuner = RunTuner(made, self.settings, str(folder.parent), folder.name)
        tuner.tuner_id = name
        tuner.train = functools.partial(_apart, self, name, jobs, self.train)
        return tuner

    def train(self, trial_id: str, values: dict[str, Any]) -> float:
        """Train a trial's run, or find it finished; write it for TensorBoard's HParams plugin.

        An interrupted run goes on from its last epoch. It evaluates on the test split, too, but
        none of that is read here.

        Returns:
            The validation MAP of the weights that the run keeps, percent to four decimals: those of
            the best epoch of its last stage.
        """
        run = experiment.run(self.settings.settings(values), self.places)
        history = run.table("history")
        score = round(float(history[OBJECTIVE][history["best"]].iloc[-1]), 4)
        events = str(self.place / f"tensorboard/{self.state_dir.name}/trial-{int(trial_id)}")
        shutil.rmtree(events, ignore_errors=True)  # an older one, perhaps half of one
        with tf.summary.create_file_writer(events).as_default():
            api.hparams(values, trial_id=trial_id)
            tf.summary.scalar(OBJECTIVE, score, step=len(history))
            tf.summary.flush()
        return score

    def ended_trials(self) -> list[Trial]:
        """Return the trials that have ended, by number, as the state on disk has them."""
        if not (self.state_dir / STATE).exists():
            return []
        content = json.loads((self.state_dir / STATE).read_text(encoding="utf-8"))
        trials = [Trial.from_state(state) for state in content["trials"]]
        return [trial for trial in trials if trial.status in _ENDED]

    def check(self, *, stopped: bool) -> None:
        """Say which trials have failed, and why, if there are any.

        Args:
            stopped: whether the last trials have all failed, see `DurableOracle`.

        Raises:
            SearchError: all have, or so many in a row that the search has stopped.
        """
        ended = self.ended_trials()
        failed = [trial for trial in ended if trial.status == TrialStatus.FAILED]
        if failed:
            message = f"{len(failed)} of {len(ended)} trials failed:"
            for trial in failed:  # the error of a worker's trial is in that worker's log alone
                why = (trial.message or "see its worker's log").strip().splitlines()[-1]
                message += f"\n  trial {number(trial)}: {why.rpartition('SearchError: ')[2]}"
            message += f"\nRun the search again to try them once more. See {self.place / 'logs'}"
            short = self.algorithm == "hyperband" or len(ended) < self.trials
            if len(failed) == len(ended) or (stopped and short):
                raise SearchError(f"{message}\nThe search has stopped: fix the cause first")
            print(message, flush=True)


# === On this machine ===


def run_search(search: Search, *, jobs: int = 1) -> None:
    """Search to the end, from wherever an earlier call was interrupted; retry failed trials.

    Args:
        search: what is searched.
        jobs: trials side by side, each with its share of the cores. A trial whose process dies is
            tried again and goes on from its last epoch.

    Raises:
        SearchError: trials failed, all of them or so many in a row that the search has stopped.
    """
    config = search.settings.config
    if config.starting_weights == "pretrain":  # here, where it has all cores
        _apart(search, "backbone", 1, experiment.pretrain, config, search.places)
    with FileLock(search.state_dir / ".lock"), ThreadPoolExecutor(jobs) as pool:
        made = search.make_oracle()
        tuners = [search.make_tuner(made, f"job{index + 1}", jobs) for index in range(jobs)]
        made.reload()
        try:
            list(pool.map(RunTuner.search, tuners))
        finally:
            made.leaving = True  # after Ctrl-C no trial begins any more
    search.check(stopped=made.stopped)


def run_seeds(search: Search, seeds: Sequence[int], *, jobs: int = 1) -> list[list[Run]]:
    """Run the preset and the best settings with several seeds each, or find their finished runs.

    If the best settings are the preset's own, they share their runs.

    Args:
        search: has written its best settings, see `write_trials`.
        seeds: of the runs.
        jobs: runs side by side.

    Returns:
        The runs of the preset, and those of the best settings, by seed.
    """
    configs = (search.settings.config, preset(str(search.place / BEST)))
    wanted = [config.override(seed=seed) for config in configs for seed in seeds]
    train = functools.partial(_apart, search, "test", jobs, experiment.run)
    runs: list[Run] = []
    with ThreadPoolExecutor(jobs) as pool:
        for run in pool.map(train, wanted, repeat(search.places)):
            runs.append(run)
            print(f"{run.path}: {len(runs)} of {len(wanted)} runs finished", flush=True)
    return [runs[: len(seeds)], runs[len(seeds) :]]


def _apart(search: Search, name: str, jobs: int, function: Callable[..., Any], *given: Any) -> Any:
    """Call a function in a process of its own, whose output goes to `logs/<name>.log`.

    Raises:
        SearchError: the function raised an error.
        RuntimeError: the process died.
    """
    log = search.place / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    threads = max(usable_cores() // jobs, 1)
    try:
        with ProcessPoolExecutor(1, mp_context=_SPAWN) as pool:
            return pool.submit(_logged, log, threads, function, *given).result()
    except BrokenProcessPool as error:
        raise RuntimeError(f"the process died, perhaps out of memory; see {log}") from error


def _logged(log: Path, threads: int, function: Callable[..., Any], *given: Any) -> Any:
    """Call a function with a log and a share of the cores, in a process that ends with its parent.

    Raises:
        SearchError: the function raised an error; not all errors can be sent.
    """
    with log.open("a", encoding="utf-8") as output:
        os.dup2(output.fileno(), sys.stdout.fileno())
        os.dup2(output.fileno(), sys.stderr.fileno())
    sys.stdout.reconfigure(line_buffering=True)
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    try:
        return function(*given)
    except Exception as error:
        traceback.print_exc()
        raise SearchError(f"{type(error).__name__}: {error} ({log})") from None


# === On several machines ===


def take_part(search: Search, *, name: str, address: str, patience: float = PATIENCE) -> None:
    """Take part in a search of several machines until it has ended.

    The chief hands out trials, trains nothing, and writes the search's state.

    Args:
        search: the same for all that take part.
        name: "chief", or a worker's own name.
        address: `host:port` where the chief listens and the workers find it.
        patience: seconds after which the chief gives up a silent worker.

    Raises:
        ConfigError: a name or an address that KerasTuner cannot take.
        SearchError: this is a worker whose chief searches something else, or the chief of trials
            that have failed, see `Search.check`.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigError(f"the chief's address must be host:port; got {address!r}")
    if not name or (name != CHIEF and CHIEF in name):
        raise ConfigError(f"a worker's name must not be empty or contain 'chief'; got {name!r}")
    os.environ |= {"KERASTUNER_ORACLE_IP": host, "KERASTUNER_ORACLE_PORT": port}
    os.environ["KERASTUNER_TUNER_ID"] = name
    made = search.make_oracle()
    tuner = search.make_tuner(made, name)
    if name != CHIEF:
        print(f"{name}: asking the chief at {address}, for an hour at most", flush=True)
        theirs, own = tuner.oracle.get_space().values, made.get_space().values
        settings = search.settings.settings
        if theirs.keys() != own.keys() or settings(theirs) != settings(own):
            raise SearchError(
                "the chief searches other settings, or from another preset, than this worker: "
                f"start both with the same options; the chief has {theirs}, the worker {own}"
            )
        tuner.search()
        return
    with FileLock(search.state_dir / ".lock"):
        made.reload()
        made.patience = patience
        threading.Thread(target=_watch, args=(made,), daemon=True).start()
        tuner.search()
    search.check(stopped=made.stopped)
    print("The search has ended; notebooks/10_tune writes its tables.", flush=True)


def _watch(chief: DurableOracle) -> None:
    """Look for silent workers even while no worker asks for a trial."""
    while True:
        time.sleep(min(chief.patience / 4, 5.0))
        chief.forget_silent_workers()
