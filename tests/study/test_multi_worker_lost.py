"""Workers on loopback that are killed, left alone, or of different settings."""

from __future__ import annotations

from pathlib import Path

import pytest
from cluster_process import experiments, run_cluster
from multi_worker_runs import Trained, settings, train_all

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train_all(tmp_path_factory.getbasetemp() / "workers")


def test_both_workers_killed_and_started_again_write_the_same_bytes(
    trained: Trained, tmp_path: Path
) -> None:
    command = experiments(trained.data, tmp_path, settings("multi_worker", "batch_all"))
    for moment in ("stage 1 (global branch), epoch 7:", "stage 2 (both branches), epoch 2:"):
        workers, _ = run_cluster(command, kill=(0, 1), at=moment)
        assert [worker.code for worker in workers] == [-9, -9]
    workers, _ = run_cluster(command)
    assert [worker.code for worker in workers] == [0, 0], workers[0].output[-3000:]
    (run,) = tmp_path.glob("tests/asen_pp-*")
    unbroken = trained.runs["chief", "batch_all"]
    for name in ("history.csv", "map.csv", "test_pairs.npz"):
        assert (run / name).read_bytes() == (unbroken / name).read_bytes(), name


@pytest.mark.parametrize("lost", [1, 0], ids=["the other worker", "the chief"])
def test_who_is_left_alone_ends_and_says_what_to_do(
    trained: Trained, tmp_path: Path, lost: int
) -> None:
    moment = "stage 1 (global branch), epoch 3:"
    command = experiments(trained.data, tmp_path, settings("multi_worker", "batch_all"))
    workers, killed = run_cluster(command, kill=(lost,), at=moment, patience=900)
    left = workers[1 - lost]
    assert "HUNG" not in left.output and left.code not in (0, None)
    print(f"ended {left.ended - killed:.0f} s later, code {left.code}: {left.output[-800:]}")
    assert left.ended - killed < 120.0
    assert "start all workers again" in left.output
    assert list(tmp_path.glob("tests/stage1-*")) == []


def test_workers_of_different_settings_do_not_train(trained: Trained, tmp_path: Path) -> None:
    (chosen,) = settings("multi_worker", "batch_all")
    wanted = ([chosen], [{**chosen, "margin": 0.3}])
    workers, _ = run_cluster(*(experiments(trained.data, tmp_path, each) for each in wanted))
    assert "all workers must have the same run" in workers[1].output
    assert all(worker.code not in (0, None) for worker in workers)
    assert "HUNG" not in workers[0].output + workers[1].output
