"""A search: what is searched, where its state is, and the processes that take part in it.

Each trial trains in a process of its own. A trial that runs out of memory kills neither the search
nor the other trials, and all of the memory, a GPU's too, is free again when it ends.
"""

from __future__ import annotations

import functools
import json
import multiprocessing
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import tensorflow as tf
from filelock import FileLock
from keras_tuner.engine.trial import Trial, TrialStatus
from keras_tuner.errors import FailedTrialError

from asen_study import experiment
from asen_study.production import key, open_dataset
from asen_study.runs import Places, Run
from asen_study.tuning.space import RunSettings
from asen_study.tuning.tuner import PATIENCE, DurableOracle, RunTuner, log_trial, number, oracle
from asen_tf.config import ConfigError, ExperimentConfig
from asen_tf.presets import preset

CHIEF = "chief"
BEST, DEFAULT = "best.json", "default.json"  # preset files that a search writes
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
        ConfigError: the preset is a file that the search itself would write.
    """

    preset: str = "tune"
    algorithm: str = "random"
    trials: int = 12
    fields: tuple[str, ...] = ()
    seed: int = 0
    places: Places = Places(study="tuning")

    def __post_init__(self) -> None:
        """Refuse to replace what the search starts from: it would be compared with itself."""
        written = [(self.place / name).resolve() for name in (BEST, DEFAULT)]
        if self.preset.endswith(".json") and Path(self.preset).resolve() in written:
            raise ConfigError(
                f"preset must not be a file that the search itself writes; got {self.preset}: "
                "start from a copy of it, or give the search another study, such as "
                f"{self.places.study}2"
            )

    @cached_property
    def config(self) -> ExperimentConfig:
        """The preset's settings, as they are when first asked for."""
        return preset(self.preset)

    @property
    def settings(self) -> RunSettings:
        """From a trial's values to the settings of its run."""
        return RunSettings(self.config, self.fields)

    @property
    def place(self) -> Path:
        """The study's directory."""
        return self.places.study_dir

    @cached_property
    def state_dir(self) -> Path:
        """Where the search's state is: one folder per preset, space, algorithm, data and code.

        The number of trials does not count, so that a search can be made longer.
        """
        facts = {"settings": self.config.to_dict(), "fields": self.settings.fields}
        facts |= {"algorithm": self.algorithm, "seed": self.seed}
        places = self.places
        identity = key(facts, open_dataset(self.config, places.data_dir, places.results_dir))
        return self.place / "search" / f"{self.algorithm}-{identity}"

    @property
    def state_file(self) -> Path:
        """The state of the oracle, with all trials."""
        return self.state_dir / "oracle-and-trials.json"

    def make_oracle(self) -> DurableOracle:
        """Return a new oracle of this search, which knows nothing of its state on disk."""
        options = {"seed": self.seed, "epochs": self.settings.epochs, "trials": self.trials}
        return oracle(self.algorithm, state_file=self.state_file, **options)

    def make_tuner(self, made: DurableOracle, name: str, jobs: int = 1) -> RunTuner:
        """Return what trains the trials of an oracle, each in a process of its own.

        Args:
            made: the oracle.
            name: of the tuner, to which the oracle gives a trial, and of the trials' log.
            jobs: trials side by side on this machine.
        """
        train = functools.partial(_apart, self, name, jobs, self.train)
        tuner = RunTuner(made, self.settings, train, self.state_dir)
        tuner.tuner_id = name
        return tuner

    def train(self, config: ExperimentConfig, trial_id: str, values: dict[str, Any]) -> Run:
        """Train a trial's run, or find it finished; write it for TensorBoard."""
        run = self.run(config)
        log_trial(self.place / "tensorboard" / self.state_dir.name, trial_id, values, run)
        return run

    def run(self, config: ExperimentConfig) -> Run:
        """Train a run of the study, or find it finished."""
        return experiment.run(config, self.places)

    def ended_trials(self) -> list[Trial]:
        """Return the trials that have ended, by number, as the state on disk has them."""
        trials = [Trial.from_state(state) for state in self._state()["trials"]]
        ended = [trial for trial in trials if trial.status in _ENDED]
        return sorted(ended, key=lambda trial: int(trial.trial_id))

    def check(self) -> None:
        """Say which trials have failed, and why, if there are any.

        Raises:
            SearchError: all have, or so many in a row that the search has stopped.
        """
        ended = self.ended_trials()
        failed = [trial for trial in ended if trial.status == TrialStatus.FAILED]
        if failed:
            reasons = [f"  trial {number(trial)}: {_reason(trial)}" for trial in failed]
            message = "\n".join([f"{len(failed)} of {len(ended)} trials failed:", *reasons])
            message += f"\nRun the search again to try them once more. See {self.place / 'logs'}"
            short = self.algorithm == "hyperband" or len(ended) < self.trials
            if len(failed) == len(ended) or (self._state()["stopped"] and short):
                raise SearchError(f"{message}\nThe search has stopped: fix the cause first")
            print(message, flush=True)

    def _state(self) -> dict[str, Any]:
        if not self.state_file.exists():
            return {"trials": []}
        return json.loads(self.state_file.read_text(encoding="utf-8"))


def _reason(trial: Trial) -> str:
    """Return the last line of a failed trial's error; only its own log has that of a worker."""
    text = (trial.message or "see its worker's log").strip()
    return text.splitlines()[-1].removeprefix(f"{SearchError.__module__}.SearchError: ")


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
    if search.config.starting_weights == "pretrain":  # here, where it has all cores
        _apart(search, "backbone", 1, experiment.pretrain, search.config, search.places)
    with _lock(search), ThreadPoolExecutor(jobs) as pool:
        made = search.make_oracle()
        tuners = [search.make_tuner(made, f"job{index + 1}", jobs) for index in range(jobs)]
        made.reload()
        try:
            for part in [pool.submit(tuner.search) for tuner in tuners]:
                part.result()
        finally:
            made.leaving = True  # after Ctrl-C no trial begins any more
    search.check()


def run_seeds(
    search: Search, presets: Sequence[str], seeds: Sequence[int], *, jobs: int = 1
) -> list[list[Run]]:
    """Run presets with several seeds each, or find their finished runs.

    Presets with the same settings, such as a best one that is the default, share their runs.

    Args:
        search: tells where data and results are.
        presets: names or preset files.
        seeds: of the runs.
        jobs: runs side by side.

    Returns:
        The runs of each preset, by seed.
    """
    configs = [[preset(name).override(seed=seed) for seed in seeds] for name in presets]
    wanted = {config.hash: config for side in configs for config in side}
    train, runs = functools.partial(_apart, search, "test", jobs, search.run), {}
    with ThreadPoolExecutor(jobs) as pool:
        for name, run in zip(wanted, pool.map(train, wanted.values()), strict=True):
            runs[name] = run
            print(f"{run.path}: {len(runs)} of {len(wanted)} runs finished", flush=True)
    return [[runs[config.hash] for config in side] for side in configs]


def _apart(
    search: Search, name: str, jobs: int, function: Callable[..., Run], *arguments: Any
) -> Run:
    """Call a function in a process of its own, whose output goes to `logs/<name>.log`.

    Raises:
        SearchError: the function raised an error.
        RuntimeError: the process died.
    """
    log = search.place / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    settle = {"initializer": _settle, "initargs": (log, max((os.cpu_count() or 1) // jobs, 1))}
    try:
        with ProcessPoolExecutor(1, mp_context=_SPAWN, **settle) as pool:
            run, why = pool.submit(_attempt, function, *arguments).result()
    except BrokenProcessPool as error:
        raise RuntimeError(f"the process died, perhaps out of memory; see {log}") from error
    if run is None:
        raise SearchError(f"{why} ({log})")
    return run


def _attempt(function: Callable[..., Run], *arguments: Any) -> tuple[Run | None, str]:
    """Call a function; return an error as text, because not all errors can be sent."""
    try:
        return function(*arguments), ""
    except Exception as error:
        traceback.print_exc()
        return None, f"{type(error).__name__}: {error}"


def _settle(log: Path, threads: int) -> None:
    """Give a new process its log and its share of the cores, and let it end with its parent."""
    with log.open("a", encoding="utf-8") as output:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(output.fileno(), stream.fileno())
    sys.stdout.reconfigure(line_buffering=True)
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def _lock(search: Search) -> FileLock:
    """Return what keeps a second process from writing the search's state."""
    search.state_dir.mkdir(parents=True, exist_ok=True)
    return FileLock(search.state_dir / ".lock")


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
    _set_environment(name, address)
    made = search.make_oracle()
    tuner = search.make_tuner(made, name)
    if name != CHIEF:
        print(f"{name}: asking the chief at {address}, for an hour at most", flush=True)
        _check_same(search.settings, tuner.oracle.get_space().values, made.get_space().values)
        tuner.search()
        return
    with _lock(search):
        made.reload()
        made.patience = patience
        threading.Thread(target=_watch, args=(made,), daemon=True).start()
        tuner.search()
    search.check()
    print("The search has ended; notebooks/10_tune writes its tables.", flush=True)


def _set_environment(name: str, address: str) -> None:
    """Set the variables that KerasTuner asks for a process's part."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigError(f"the chief's address must be host:port; got {address!r}")
    if not name or (name != CHIEF and CHIEF in name):
        raise ConfigError(f"a worker's name must not be empty or contain 'chief'; got {name!r}")
    os.environ |= {"KERASTUNER_ORACLE_IP": host, "KERASTUNER_ORACLE_PORT": port}
    os.environ["KERASTUNER_TUNER_ID"] = name


def _check_same(settings: RunSettings, theirs: dict[str, Any], own: dict[str, Any]) -> None:
    if theirs.keys() != own.keys() or settings.settings(theirs) != settings.settings(own):
        raise SearchError(
            "the chief searches other settings, or from another preset, than this worker: start "
            f"both with the same options; the chief has {theirs}, the worker {own}"
        )


def _watch(chief: DurableOracle) -> None:
    """Look for silent workers even while no worker asks for a trial."""
    while True:
        time.sleep(min(chief.patience / 4, 5.0))
        chief.forget_silent_workers()
