"""KerasTuner's chief and two workers on the loopback interface; one worker is killed."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from tuning_process import free_address, kill, searching, start, wait_until

from asen_study.runs import finished_runs
from asen_study.tuning import Search, trials_table
from data_prep.synthetic import make_dataset

pytestmark = pytest.mark.distributed
TRIALS = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("distributed")
    make_dataset(path / "data", images=160, size=64, dataset="Garments")
    return path


def changed(path: Path) -> int:
    return (path / "manifest.json").stat().st_mtime_ns


def test_one_of_two_workers_is_killed_and_the_search_still_finishes(folder: Path) -> None:
    search, address = searching(folder, "results", TRIALS), free_address()
    logs = {name: folder / f"{name}.log" for name in ("chief", "one", "two")}
    part = {name: ["--role", "worker", "--name", name] for name in ("one", "two")}
    part["chief"] = ["--role", "chief", "--patience", "10"]
    processes = {name: start(search, logs[name], *part[name], "--chief", address) for name in logs}
    try:
        # In the middle of a trial: its last stage has begun.
        begun, own = "stage 2 (both branches), epoch 1:", search.place / "logs" / "one.log"
        wait_until(lambda: own.exists() and begun in own.read_text(), processes["one"], logs["one"])
        kill(processes["one"])
        ended = time.monotonic() + 600
        while processes["two"].poll() is None or processes["chief"].poll() is None:
            assert time.monotonic() < ended, logs["chief"].read_text()[-3000:]
            time.sleep(0.2)
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    said = {name: log.read_text() for name, log in logs.items()}
    assert processes["two"].returncode == processes["chief"].returncode == 0, said["chief"]
    assert "one: silent for" in said["chief"]
    table = trials_table(search)
    assert list(table["trial"]) == [1, 2, 3, 4] and set(table["status"]) == {"COMPLETED"}
    assert table["config_hash"].nunique() == TRIALS
    # Every trial is one run, the taken-over one among them: it went on where the dead one was.
    runs = [run for run in finished_runs(search.place) if run.evaluated]
    assert {run.manifest["config_hash"] for run in runs} == set(table["config_hash"])
    assert len(runs) == TRIALS
    lost = [line for line in said["one"].splitlines() if line.startswith("Trial")][-1]
    assert lost in said["two"].splitlines()
    assert sum(run.manifest["resumed"] for run in runs) == 1


def test_a_chief_that_is_killed_goes_on_where_it_was(folder: Path) -> None:
    search, address = searching(folder, "headless", 3), free_address()
    logs = {name: folder / f"headless-{name}.log" for name in ("chief", "one")}
    chief = ["--role", "chief", "--chief", address]
    processes = {"chief": start(search, logs["chief"], *chief)}
    worker = ["--role", "worker", "--name", "one", "--chief", address]
    processes["one"] = start(search, logs["one"], *worker)
    try:
        wait_until(lambda: len(search.ended_trials()) == 1, processes["one"], logs["one"])
        own = search.place / "logs" / "one.log"
        wait_until(
            lambda: own.read_text().count("stage 2 (both branches), epoch 1:") == 2,
            processes["one"],
            logs["one"],
        )
        before = {run.path.name: changed(run.path) for run in finished_runs(search.place)}
        kill(processes["chief"])
        processes["chief"] = start(search, logs["chief"], *chief)
        assert [processes[name].wait(600) for name in ("one", "chief")] == [0, 0]
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    table = trials_table(search)
    assert list(table["trial"]) == [1, 2, 3] and set(table["status"]) == {"COMPLETED"}
    assert table["config_hash"].is_unique
    assert {name: changed(search.place / name) for name in before} == before
    assert sum(run.evaluated for run in finished_runs(search.place)) == 3  # each is one run


@contextmanager
def shared_by_two(search: Search, log: Path) -> Iterator[subprocess.Popen]:
    """Search with two trials side by side; nothing of it is left behind."""
    process = start(search, log, "--role", "search", "--jobs", "2")
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def trials_of(search: subprocess.Popen) -> list[psutil.Process]:
    """Return the processes in which a search trains its trials."""
    found = []
    for child in psutil.Process(search.pid).children():
        with suppress(psutil.NoSuchProcess):  # it ended while we looked, waited for or not yet
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
    return found


def test_when_the_process_of_a_trial_dies_the_trial_goes_on_in_another(folder: Path) -> None:
    search, log = searching(folder, "supervised", 3), folder / "supervised.log"
    with shared_by_two(search, log) as process:
        said = search.place / "logs" / "job1.log"
        begun = "stage 2 (both branches), epoch 1:"
        wait_until(lambda: said.exists() and begun in said.read_text(), process, log)
        for trial in trials_of(process):
            with suppress(psutil.NoSuchProcess):
                trial.kill()
        assert process.wait(timeout=600) == 0, log.read_text()[-3000:]
    assert "failed 1 times. 2 retries left" in log.read_text()
    table = trials_table(search)
    assert list(table["trial"]) == [1, 2, 3] and set(table["status"]) == {"COMPLETED"}
    runs = [run for run in finished_runs(search.place) if run.evaluated]
    assert len(runs) == 3 and 1 <= sum(run.manifest["resumed"] for run in runs) <= 2


def test_when_the_search_dies_its_trials_end_and_it_goes_on_if_it_is_run_again(
    folder: Path,
) -> None:
    search, log = searching(folder, "killed", 3), folder / "killed.log"
    with shared_by_two(search, log) as process:
        wait_until(lambda: len(search.ended_trials()) > 0, process, log)
        trials = wait_until(lambda: trials_of(process), process, log)
        kill(process)  # the others end by themselves
        psutil.wait_procs(trials, timeout=60)
        assert not any(trial.is_running() for trial in trials)
    before = {run.path.name: changed(run.path) for run in finished_runs(search.place)}
    with shared_by_two(search, log) as process:
        assert process.wait(timeout=600) == 0, log.read_text()[-3000:]
    table = trials_table(search)
    assert list(table["trial"]) == [1, 2, 3] and set(table["status"]) == {"COMPLETED"}
    assert {name: changed(search.place / name) for name in before} == before


def test_a_shared_search_whose_trials_all_fail_ends_with_the_reason(folder: Path) -> None:
    search, log = searching(folder, "failing", 9), folder / "failing.log"
    preset = folder / "start.json"
    preset.write_text('{"preset": "smoke", "overrides": {"starting_weights": "random"}}')
    search = dataclasses.replace(search, preset=str(preset))
    (search.place).mkdir(parents=True)
    (search.place / ".work").write_text("a file where a folder has to be")
    with shared_by_two(search, log) as process:
        assert process.wait(timeout=300) == 2, log.read_text()[-3000:]
    said = log.read_text()
    assert re.search(r"(\d) of \1 trials failed:\n  trial 1: \w+Error: .*\.work.*job\d\.log", said)
    assert "fix the cause first" in said
    assert 3 <= len(search.ended_trials()) <= 4  # the other worker's, too
