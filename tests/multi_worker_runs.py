"""The same training by one process and by two workers, run once for all the tests that use it."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from cluster_process import Worker, experiments, run_alone, run_cluster

from asen_tf.config import ExperimentConfig
from data_prep.synthetic import make_dataset

STEPS = {"stage1": 20, "stage2": 5}  # one step an epoch: the history is the loss of each step
# The paper's. At ten times these rates, steps on so few images let rounding grow from 1e-6 to
# thousandths within twenty of them.
RATES = {
    "stage1_learning_rate": 1e-4,
    "stage2_local_learning_rate": 1e-4,
    "stage2_global_learning_rate": 1e-5,
}
CASES = {
    "random_triplets": {"sampling": "random_triplets"},
    "batch_all": {"sampling": "batch_all"},
    # The start that `quick` and all studies take; and images that no cache holds.
    "pretrained": {
        "sampling": "batch_all",
        "starting_weights": "pretrain",
        "cache_images": False,
        "stage1_epochs": 3,
        "stage2_epochs": 2,
    },
}


def settings(strategy: str, *cases: str) -> list[dict]:
    shared = {
        "strategy": strategy,
        "steps_per_epoch": 1,
        "triplets_per_step": 4,
        "stage1_epochs": STEPS["stage1"],
        "stage2_epochs": STEPS["stage2"],
        **RATES,
    }
    return [{**shared, **CASES[case]} for case in cases]


@dataclass(frozen=True)
class Trained:
    """The runs by place and case, the two workers, the data, and the folder of everything.

    A place is a results folder: "single", of one process; "chief"; and "other", the second
    worker's own, which shows what the chief has finished.
    """

    runs: dict[tuple[str, str], Path]
    workers: list[Worker]
    data: Path
    folder: Path

    def history(self, place: str, case: str) -> pd.DataFrame:
        return pd.read_csv(self.runs[place, case] / "history.csv")

    def config(self, case: str) -> ExperimentConfig:
        text = (self.runs["chief", case] / "config.json").read_text()
        return ExperimentConfig.from_dict(json.loads(text))


@functools.cache
def train_all(folder: Path) -> Trained:
    """Train every case by one process, then by two workers, below an empty folder."""
    data, single, chief, other = (folder / name for name in ("data", "single", "chief", "other"))
    make_dataset(data, images=200, size=64, dataset="Garments")
    alone = run_alone(experiments(data, single, settings("none", *CASES)))
    assert alone.code == 0, alone.output[-3000:]
    wanted = settings("multi_worker", *CASES)
    commands = [experiments(data, results, wanted) for results in (chief, other)]
    workers, _ = run_cluster(*commands, shown=(chief, other))
    for worker in workers:
        assert worker.code == 0, worker.output[-3000:]
    runs = {}
    for place, worker in zip(("single", "chief", "other"), (alone, *workers), strict=True):
        returned = [Path(line.split()[1]) for line in worker.lines("RETURNS")]
        runs |= {(place, case): run for case, run in zip(CASES, returned, strict=True)}
    return Trained(runs, workers, data, folder)


def files(folder: Path) -> dict[str, bytes]:
    """Return the content of every file, hidden ones too."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
