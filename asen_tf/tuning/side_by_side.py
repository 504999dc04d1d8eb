"""Several processes of one machine: a chief and its workers, or runs side by side.

A worker that dies is started again under its own name: KerasTuner's chief then gives it its own
trial, and `asen_tf.experiment.run` goes on from the last epoch. Where nobody starts it again, on
another machine say, the chief gives its trial to another worker; see `asen_tf.tuning.durable`.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from asen_tf.experiment import pretrain, run
from asen_tf.presets import preset
from asen_tf.results import Run
from asen_tf.tuning.failures import SearchError
from asen_tf.tuning.processes import Process, started
from asen_tf.tuning.progress import Progress
from asen_tf.tuning.search import Search
from asen_tf.tuning.taking_part import CHIEF, take_part

_FAREWELL = 60.0  # seconds for the chief to notice that the last worker has left; it looks every 20


def run_search(search: Search, *, jobs: int = 1) -> None:
    """Search to the end, from wherever an earlier call was interrupted; retry failed trials.

    Args:
        search: what is searched.
        jobs: trials side by side; 1 searches in this process, more start a chief and so many
            workers, each with its share of the cores.

    Raises:
        SearchError: trials failed, all of them or so many in a row that the search has stopped; or
            a process died again and again.
    """
    completed = [x for x in search.ended_trials() if x.status == "COMPLETED"]
    if len(completed) >= search.expected_trials:
        print(f"{search.state_dir}: finished before, nothing to do", flush=True)
        return
    if search.config.starting_weights == "pretrain":
        pretrain(search.config, **search.places)  # here, where it has all cores
    if jobs == 1:
        take_part(search)
        return
    progress = Progress(search.expected_trials, search.ended_trials())
    address = f"127.0.0.1:{_free_port()}"
    names = [CHIEF, *(f"worker{number}" for number in range(1, jobs + 1))]
    chief, *workers = (_member(search, name, address, jobs) for name in names)
    with started([chief, *workers]):
        states, ended = ["running"], 0
        while "running" in states:
            time.sleep(0.5)
            states = [worker.state() for worker in workers]
            if chief.state() == "given up":
                search.check()  # the chief has left because trials fail, perhaps
                raise SearchError(f"the search cannot go on: {chief.why()}")
            trials = search.all_trials()
            progress.tell(trials)
            ended, before = sum(x.status in ("COMPLETED", "FAILED") for x in trials), ended
            if ended > before:  # the search goes on: only workers who bring nothing are given up
                for worker, state in zip(workers, states, strict=True):
                    worker.restarts = 0 if state == "running" else worker.restarts
        if "finished" not in states:
            search.check()
            raise SearchError(f"all workers died again and again: {workers[0].why()}")
        end = time.monotonic() + _FAREWELL
        while chief.state() == "running" and time.monotonic() < end:
            time.sleep(0.5)
    search.check()


def run_seeds(
    search: Search, presets: Sequence[str], seeds: Sequence[int], *, jobs: int = 1
) -> list[list[Run]]:
    """Run presets with several seeds each, or find their finished runs.

    Presets with the same settings, a best one that is the default say, share their runs.

    Args:
        search: tells where data and results are.
        presets: names or preset files.
        seeds: of the runs.
        jobs: runs side by side.

    Returns:
        The runs of each preset, by seed.

    Raises:
        SearchError: a run failed.
    """
    configs = {name: preset(name) for name in presets}
    first: dict[str, str] = {}  # of presets with the same settings
    for name, config in configs.items():
        first.setdefault(config.hash, name)
    wanted = [(name, seed) for name in first.values() for seed in seeds]
    begin, done = time.monotonic(), []

    def attempt(at: int) -> None:
        name, seed = wanted[at]
        arguments = ["--role", "run", "--preset", name, "--seed", str(seed), *_places(search)]
        arguments += _threads(jobs)
        log = search.place / "logs" / f"{Path(name).stem}-seed{seed}.log"
        process = Process(f"{Path(name).stem}, seed {seed}", arguments, log)
        with started([process]):
            while (state := process.state()) == "running":
                time.sleep(0.5)
        if state == "given up":
            raise SearchError(f"{process.name} failed: {process.why()}")
        done.append(at)
        spent = (time.monotonic() - begin) / 60
        left = spent / len(done) * (len(wanted) - len(done))
        print(
            f"{process.name}: finished; {len(done)} of {len(wanted)} runs after {spent:.1f} min, "
            f"about {left:.0f} min left",
            flush=True,
        )

    if jobs > 1:
        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(attempt, range(len(wanted))))
    runs = {
        key: [run(configs[name].override(seed=seed), **search.places) for seed in seeds]
        for key, name in first.items()
    }
    return [runs[configs[name].hash] for name in presets]


def _member(search: Search, name: str, address: str, jobs: int) -> Process:
    role = ["--role", "chief"] if name == CHIEF else ["--role", "worker", "--name", name]
    arguments = [*role, "--chief", address, "--preset", search.preset, *_places(search)]
    arguments += ["--algorithm", search.algorithm, "--trials", str(search.trials)]
    arguments += ["--fields", ",".join(search.fields), "--seed", str(search.seed), *_threads(jobs)]
    return Process(name, arguments, search.place / "logs" / f"{name}.log")


def _places(search: Search) -> list[str]:
    places = search.places
    return [part for key in places for part in (f"--{key.replace('_', '-')}", str(places[key]))]


def _threads(jobs: int) -> list[str]:
    return ["--threads", str(max((os.cpu_count() or 1) // jobs, 1))]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
