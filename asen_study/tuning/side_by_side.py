"""Several processes of one machine: a chief and its workers, or runs side by side.

A worker that dies is started again under its own name: KerasTuner's chief then gives it its own
trial, and `asen_study.experiment.run` goes on from the last epoch. Where nobody starts it again, on
another machine say, the chief gives its trial to another worker; see `asen_study.tuning.oracles`.

A process of `python -m asen_study.tuning` that is started again when it dies.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from asen_study.experiment import pretrain, run
from asen_study.runs import Run
from asen_study.tuning.failures import Progress, SearchError
from asen_study.tuning.search import Search
from asen_study.tuning.taking_part import CHIEF, take_part
from asen_tf.presets import preset

ROOT = Path(__file__).parents[2]
RESTARTS = 3  # of one process, until it is given up
_HOPELESS = 2  # the exit code of what would fail again: wrong options, a search that has stopped


@dataclass
class Process:
    """A process of `python -m asen_study.tuning`, started again if it dies.

    Attributes:
        name: of the process, and of its log.
        arguments: of the command.
        log: where all it says goes.
        restarts: how often it has been started again, since it last got anywhere.
    """

    name: str
    arguments: Sequence[str]
    log: Path
    restarts: int = -1
    _running: subprocess.Popen | None = None

    def start(self) -> None:
        """Start, or start again."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-u", "-m", "asen_study.tuning", *self.arguments]
        command += ["--parent", str(os.getpid())]
        with self.log.open("a", encoding="utf-8") as log:
            self._running = subprocess.Popen(
                command, cwd=os.getcwd(), env=_environment(), stdout=log, stderr=subprocess.STDOUT
            )
        self.restarts += 1

    def state(self) -> str:
        """Return "running", "finished" or "given up", after starting it again where it died."""
        code = self._running.poll()
        if code is None:
            return "running"
        if code == 0:
            return "finished"
        if code == _HOPELESS or self.restarts == RESTARTS:
            return "given up"
        print(f"{self._end()}; it is started again ({self.log})", flush=True)
        self.start()
        return "running"

    def stop(self) -> None:
        """End it, if it runs."""
        if self._running is not None and self._running.poll() is None:
            self._running.terminate()
            try:
                self._running.wait(10)
            except subprocess.TimeoutExpired:
                self._running.kill()
                self._running.wait()

    def why(self) -> str:
        """Return how it ended, where its log is, and the end of that."""
        said = self.log.read_text(encoding="utf-8", errors="replace")[-2000:]
        return f"{self._end()}; the end of {self.log}:\n{said}"

    def _end(self) -> str:
        code = self._running.poll()
        if code is None or code >= 0:
            return f"{self.name} ended with code {code}"
        meaning = "; memory may have been short" if code == -signal.SIGKILL else ""
        return f"{self.name} was ended by {signal.Signals(-code).name}{meaning}"


@contextmanager
def started(processes: Sequence[Process]) -> Iterator[None]:
    """Start processes, and end them with the block."""
    try:
        for process in processes:
            process.start()
        yield
    finally:
        for process in reversed(processes):
            process.stop()


def _environment() -> dict[str, str]:
    """Return this process's environment: the package on the path, and nothing of a chief."""
    kept = {name: os.environ[name] for name in os.environ if not name.startswith("KERASTUNER_")}
    path = [str(ROOT), *filter(None, [kept.get("PYTHONPATH")])]
    return {"TF_CPP_MIN_LOG_LEVEL": "3", **kept, "PYTHONPATH": os.pathsep.join(path)}


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
