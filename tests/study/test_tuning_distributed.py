"""KerasTuner's chief and two workers on the loopback interface; one worker is killed."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
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


def member(search: subprocess.Popen, name: str) -> psutil.Process:
    """Return the process of a search that has this name, or this role."""
    children = psutil.Process(search.pid).children()
    alive = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
    (found,) = [child for child in alive if name in child.cmdline()]
    return found


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
        begun = "stage 2 (both branches), epoch 1:"
        wait_until(lambda: begun in logs["one"].read_text(), processes["one"], logs["one"])
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
    assert "one: silent for" in said["chief"] and "goes to the next worker" in said["chief"]
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


@contextmanager
def shared_by_two(search: Search, log: Path) -> Iterator[subprocess.Popen]:
    """Search by a chief and two workers of this machine; nothing of it is left behind."""
    process = start(search, log, "--role", "search", "--jobs", "2")
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_worker_of_this_machine_that_dies_is_started_again(folder: Path) -> None:
    search, log = searching(folder, "supervised", 3), folder / "supervised.log"
    with shared_by_two(search, log) as process:
        said = search.place / "logs" / "worker1.log"
        begun = "stage 2 (both branches), epoch 1:"
        wait_until(lambda: said.exists() and begun in said.read_text(), process, log)
        member(process, "worker1").kill()
        assert process.wait(timeout=600) == 0, log.read_text()[-3000:]
    assert "worker1 was ended by SIGKILL" in log.read_text()
    # What the killed one wrote last has no line end.
    begun = re.findall(r"Trial \d of 3: .*", said.read_text())
    assert begun[0] == begun[1]  # its own trial, once more
    table = trials_table(search)
    assert list(table["trial"]) == [1, 2, 3] and set(table["status"]) == {"COMPLETED"}
    runs = [run for run in finished_runs(search.place) if run.evaluated]
    assert len(runs) == 3 and sum(run.manifest["resumed"] for run in runs) == 1
    assert "3 of 3 trials" in log.read_text()


def test_a_chief_that_is_killed_goes_on_where_it_was(folder: Path) -> None:
    search, log = searching(folder, "headless", 3), folder / "headless.log"
    with shared_by_two(search, log) as process:
        # One trial has ended, and others are in the middle.
        wait_until(lambda: len(search.ended_trials()) == 1, process, log)
        before = {run.path.name: changed(run.path) for run in finished_runs(search.place)}
        member(process, "chief").kill()
        assert process.wait(timeout=600) == 0, log.read_text()[-3000:]
    assert "chief was ended by SIGKILL" in log.read_text()
    table = trials_table(search)
    assert list(table["trial"]) == [1, 2, 3] and set(table["status"]) == {"COMPLETED"}
    assert table["config_hash"].is_unique
    assert {name: changed(search.place / name) for name in before} == before
    assert sum(run.evaluated for run in finished_runs(search.place)) == 3  # each is one run


def test_a_trial_that_kills_each_worker_is_given_up(folder: Path) -> None:
    search, log = searching(folder, "poisoned", 3), folder / "poisoned.log"
    logs = [search.place / "logs" / f"worker{number}.log" for number in (1, 2)]
    seen = dict.fromkeys(logs, 0)
    with shared_by_two(search, log) as process:
        while process.poll() is None:
            for path in logs:
                begun = path.read_text().count("Trial 2 of 3:") if path.exists() else 0
                if begun > seen[path]:
                    seen[path] = begun
                    member(process, path.stem).kill()
            time.sleep(0.05)
    said = log.read_text()
    assert process.returncode == 0 and sum(seen.values()) == 3, said[-3000:]
    assert list(trials_table(search)["status"]) == ["COMPLETED", "FAILED", "COMPLETED"]
    assert "was ended by SIGKILL; memory may have been short; it is started again" in said
    assert "1 of 3 trials failed:\n  trial 2: its process has died 3 times" in said


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
    assert re.search(
        r"(\d) of \1 trials failed:\n  trial 1: \w+Error: .*\.work.*trial-1\.txt", said
    )
    assert "Repair the cause and run it again" in said and "started again" not in said
    assert 3 <= len(search.ended_trials()) <= 4  # the other worker's, too
