"""Of two workers on loopback, only the first one writes: runs, and the notebook's figures."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from cluster_process import run_cluster
from multi_worker_runs import CASES, Trained, files, settings, train_all

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train_all(tmp_path_factory.getbasetemp() / "workers")


def test_all_workers_return_the_runs_of_the_chief(trained: Trained) -> None:
    for case in CASES:
        chief, other = (trained.runs[place, case] for place in ("chief", "other"))
        assert other.name == chief.name and other.parent == trained.folder / "other" / "tests"


def test_only_the_chief_writes_and_tells_how_far_it_is(trained: Trained) -> None:
    chief, other = (trained.folder / place / "tests" for place in ("chief", "other"))
    # The other's folder is its own: beside the copies of what the chief has finished, it is empty.
    finished = {path.name for path in chief.glob("[!.]*")}
    assert len(finished) == 2 * len(CASES) + 1  # a first stage each, and one start
    assert {path.name for path in other.iterdir()} == finished
    assert files(other) == files(chief)
    for case in CASES:
        alone, together = (files(trained.runs[place, case]) for place in ("single", "chief"))
        events = [[name for name in run if "/events" in name] for run in (alone, together)]
        assert len(events[0]) == len(events[1]) > 0
        assert alone.keys() - {*events[0]} == together.keys() - {*events[1]}
    assert "stage 2 (both branches), epoch 5:" in trained.workers[0].output
    assert "epoch" not in trained.workers[1].output


def test_of_two_notebooks_the_chiefs_alone_keeps_the_figure(
    trained: Trained, tmp_path: Path
) -> None:
    short = {"stage1_epochs": 1, "stage2_epochs": 1, "starting_weights": "random", "threads": 1}
    (wanted,) = settings("multi_worker", "batch_all")
    chief, other = tmp_path / "chief", tmp_path / "other"
    commands = []
    for results in (chief, other):
        chosen = {"preset": "smoke", **wanted, **short, "data_dir": trained.data}
        command = [sys.executable, "-m", "papermill", "--no-progress-bar"]
        command += ["notebooks/03_train.ipynb", str(tmp_path / f"{results.name}.ipynb")]
        for name, value in {**chosen, "results_dir": results}.items():
            command += ["-p", name, str(value)]
        commands.append(command)
    workers, _ = run_cluster(*commands, shown=(chief, other))
    assert [worker.code for worker in workers] == [0, 0], workers[1].output[-3000:]
    (run,) = chief.glob("quick/asen_pp-*")
    figures = {run / "learning_curves.png", chief / "quick" / "figures" / "batch_asen_pp.png"}
    kept = {path.relative_to(chief).as_posix() for path in figures}
    assert files(chief).keys() - files(other).keys() == kept
    assert files(other).keys() <= files(chief).keys()
