"""A search: what is searched, where its state is, and the processes that take part in it.

KerasTuner asks three environment variables for a process's part: `KERASTUNER_TUNER_ID`,
`KERASTUNER_ORACLE_IP` and `KERASTUNER_ORACLE_PORT`. They are set here, so you need not.
"""

from __future__ import annotations

import functools
import json
import multiprocessing
import os
import socket
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import tensorflow as tf
from filelock import FileLock
from keras_tuner.engine.trial import Trial, TrialStatus

from asen_study import experiment
from asen_study.production import key, open_dataset
from asen_study.runs import Run
from asen_study.tuning.space import RunSettings
from asen_study.tuning.tuner import PATIENCE, DurableOracle, RunTuner, failure_file, number, oracle
from asen_tf.config import ConfigError, ExperimentConfig
from asen_tf.presets import preset

CHIEF = "chief"
BEST, DEFAULT = "best.json", "default.json"  # preset files that a search writes
_ENDED = (TrialStatus.COMPLETED, TrialStatus.FAILED)
_SPAWN = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork


class SearchError(RuntimeError):
    """A search cannot go on, or found nothing."""


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
        data_dir: the directory of meta.json and the datasets.
        results_dir: where the studies are kept.
        study: the folder for the trials' runs and for what the search finds.

    Raises:
        ConfigError: the preset is a file that the search itself would write.
    """

    preset: str = "tune"
    algorithm: str = "random"
    trials: int = 12
    fields: tuple[str, ...] = ()
    seed: int = 0
    data_dir: str = "data"
    results_dir: str = "runs"
    study: str = "tuning"

    def __post_init__(self) -> None:
        """Refuse to replace what the search starts from: it would be compared with itself."""
        written = [(self.place / name).resolve() for name in (BEST, DEFAULT)]
        if self.preset.endswith(".json") and Path(self.preset).resolve() in written:
            raise ConfigError(
                f"preset must not be a file that the search itself writes; got {self.preset}: "
                f"start from a copy of it, or give the search another study, such as {self.study}2"
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
    def places(self) -> dict[str, str]:
        """Where data are found and runs are kept."""
        return {name: getattr(self, name) for name in ("data_dir", "results_dir", "study")}

    @property
    def place(self) -> Path:
        """The study's directory."""
        return Path(self.results_dir) / self.study

    @cached_property
    def state_dir(self) -> Path:
        """Where the search's state is: one folder per preset, space, algorithm, data and code.

        The number of trials does not count, so that a search can be made longer.
        """
        facts = {"settings": self.config.to_dict(), "fields": self.settings.fields}
        facts |= {"algorithm": self.algorithm, "seed": self.seed}
        identity = key(facts, open_dataset(self.config, self.data_dir))
        return self.place / "search" / f"{self.algorithm}-{identity}"

    @property
    def state_file(self) -> Path:
        """The state of the oracle, with all trials."""
        return self.state_dir / "oracle-and-trials.json"

    def make_oracle(self) -> DurableOracle:
        """Return a new oracle of this search, which knows nothing of its state on disk."""
        options = {"seed": self.seed, "epochs": self.settings.epochs, "trials": self.trials}
        return oracle(self.algorithm, state_file=self.state_file, **options)

    def run(self, config: ExperimentConfig) -> Run:
        """Train a run of the study, or find it finished."""
        return experiment.run(config, **self.places)

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
            message = [f"{len(failed)} of {len(ended)} trials failed:", *map(self._reason, failed)]
            stopped = self._state().get("stopped") and len(ended) < self.make_oracle().expected
            if stopped or len(failed) == len(ended):
                advice = "Fix the cause and run the search again: failed trials are tried once more"
                message += [f"The search has stopped. {advice}. See also {self.place / 'logs'}"]
                raise SearchError("\n".join(message))
            print(*message, "Run the search again to try them once more.", sep="\n", flush=True)

    def _state(self) -> dict[str, Any]:
        if not self.state_file.exists():
            return {"trials": []}
        return json.loads(self.state_file.read_text(encoding="utf-8"))

    def _reason(self, trial: Trial) -> str:
        """Return a line on a failed trial: the last line of its error, and the file with all."""
        file = failure_file(self.state_dir, trial)
        text = trial.message or (file.read_text(encoding="utf-8") if file.exists() else "")
        last = (text.strip() or "no reason is known").splitlines()[-1].strip()
        return f"  trial {number(trial)}: {last}" + (f" ({file})" if file.exists() else "")


# === Taking part ===


def take_part(
    search: Search, *, name: str | None = None, address: str = "", patience: float = PATIENCE
) -> None:
    """Take part in a search until it has ended.

    The chief hands out trials and trains nothing. It writes the search's state, as does a search in
    one process: a second one of the same search waits until the first has ended.

    Args:
        search: the same for all that take part.
        name: "chief", or a worker's own name; None searches in this process alone.
        address: `host:port` where the chief listens and the workers find it.
        patience: seconds after which the chief gives up a silent worker.

    Raises:
        ConfigError: a name or an address that KerasTuner cannot take.
        SearchError: this is a worker whose chief searches something else.
    """
    if name is not None:
        _set_environment(name, address)
    made = search.make_oracle()
    make_tuner = functools.partial(RunTuner, made, search.settings, search.run, search.state_dir)
    if name not in (None, CHIEF):
        print(f"{name}: asking the chief at {address}, for an hour at most", flush=True)
        tuner = make_tuner()
        _check_same(search.settings, tuner.oracle.get_space().values, made.get_space().values)
        tuner.search()
        return
    search.state_dir.mkdir(parents=True, exist_ok=True)
    with FileLock(search.state_dir / ".lock"):
        tuner = make_tuner()
        made.alone = name is None
        if search.state_file.exists():
            made.reload()
        if name == CHIEF:
            made.patience = patience
            threading.Thread(target=_watch, args=(made,), daemon=True).start()
        try:
            tuner.search()
        except KeyboardInterrupt:
            made.attempts.clear()  # the trial is not to blame
            made.save()
            raise


def _set_environment(name: str, address: str) -> None:
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


# === Processes of this machine ===


def run_search(search: Search, *, jobs: int = 1) -> None:
    """Search to the end, from wherever an earlier call was interrupted; retry failed trials.

    Args:
        search: what is searched.
        jobs: trials side by side; 1 searches in this process, more start a chief and that many
            workers, each with its share of the cores. If a worker dies, the others take over.

    Raises:
        SearchError: trials failed, all of them or so many in a row that the search has stopped; or
            the chief died, or all workers.
    """
    completed = [x for x in search.ended_trials() if x.status == TrialStatus.COMPLETED]
    if len(completed) >= search.make_oracle().expected:
        print(f"{search.state_dir}: finished before, nothing to do", flush=True)
        return
    if search.config.starting_weights == "pretrain":
        experiment.pretrain(search.config, **search.places)  # here, where it has all cores
    if jobs == 1:
        take_part(search)
    else:
        _side_by_side(search, jobs)
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
    if jobs > 1:
        settle = {"initializer": _settle, "initargs": (_log(search, "test"), jobs)}
        with ProcessPoolExecutor(jobs, mp_context=_SPAWN, **settle) as pool:
            for count, run in enumerate(pool.map(search.run, wanted.values()), 1):
                print(f"{run.path}: {count} of {len(wanted)} runs finished", flush=True)
    return [[search.run(config) for config in side] for side in configs]


def _side_by_side(search: Search, jobs: int) -> None:
    """Start a chief and workers; end them when the search has ended or cannot go on."""
    names, address = [CHIEF, *(f"worker{index + 1}" for index in range(jobs))], _free_address()
    work = [(search, name, address, jobs) for name in names]
    members = [_SPAWN.Process(target=_member, args=part, name=part[1]) for part in work]
    chief, *workers = members
    _log(search, CHIEF).write_text("")
    for member in members:
        member.start()
    try:
        with _log(search, CHIEF).open(encoding="utf-8") as output:
            over = False
            while workers and not over and not chief.exitcode:
                time.sleep(0.5)
                over = 0 in [member.exitcode for member in members]  # all trials have ended
                for worker in [worker for worker in workers if worker.exitcode]:
                    workers.remove(worker)
                    print(f"{worker.name} died, exit code {worker.exitcode}", flush=True)
                print(output.read(), end="", flush=True)
        if not over:
            raise SearchError(
                f"{'all workers' if not workers else 'the chief'} died; their output is in "
                f"{search.place / 'logs'}. Run the search again: it goes on where it was"
            )
    finally:
        for member in members:
            member.terminate()
            member.join()


def _member(search: Search, name: str, address: str, jobs: int) -> None:
    """Take part in a search in a process of its own."""
    _settle(_log(search, name), jobs)
    take_part(search, name=name, address=address)


def _settle(log: Path, jobs: int) -> None:
    """Give a new process its log and its share of the cores, and let it end with its parent."""
    with log.open("a", encoding="utf-8") as output:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(output.fileno(), stream.fileno())
    sys.stdout.reconfigure(line_buffering=True)
    threads = max((os.cpu_count() or 1) // jobs, 1)
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def _log(search: Search, name: str) -> Path:
    path = search.place / "logs" / f"{name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _free_address() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"
