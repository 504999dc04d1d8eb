"""Two workers on loopback train what one process trains, each on its half of every step."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from cluster_process import Worker
from multi_worker_runs import CASES, Trained, train_all

from asen_study.production import open_dataset
from asen_study.runs import Places
from asen_tf.training.similarity import epoch_planner

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(3600)]

LOSSES = {"loss": "stage1", "global": "stage1", "local": "stage2", "alignment": "stage2"}  # since
# Batch-all divides by the number of triplets that break the margin. Where rounding tips one of them
# over it, the loss of that step leaps, by up to a thousandth on so few images; its parts were
# summed in another order, and the first steps show how nearly the same they are.
TOLERANCES = {"random_triplets": 1e-4, "batch_all": 2e-3, "pretrained": 1e-4}
FIRST, FIRST_TOLERANCE = 3, 1e-5


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train_all(tmp_path_factory.getbasetemp() / "workers")


# === The same training ===


@pytest.mark.parametrize("case", CASES)
def test_every_step_costs_what_it_costs_in_one_process(trained: Trained, case: str) -> None:
    alone, together = (trained.history(place, case) for place in ("single", "chief"))
    config = trained.config(case)
    steps = {"stage1": config.stage1_epochs, "stage2": config.stage2_epochs}
    assert alone["stage"].value_counts().to_dict() == steps
    assert together["stage"].tolist() == alone["stage"].tolist()
    for name, since in LOSSES.items():
        first = 0 if since == "stage1" else steps["stage1"]
        one, two = (table[name].to_numpy()[first:] for table in (alone, together))
        assert np.isfinite(one).all() and alone[name][:first].isna().all()
        apart = np.abs(two / one - 1.0)
        print(f"{case}, {name}: first {apart[:FIRST].max():.0e}, {apart.max():.0e}")
        np.testing.assert_allclose(two, one, rtol=TOLERANCES[case], atol=1e-6)
        if since == "stage1" or case != "batch_all":
            np.testing.assert_allclose(two[:FIRST], one[:FIRST], rtol=FIRST_TOLERANCE)
    assert alone["loss"].nunique() == len(alone)  # it is a curve that is compared


@pytest.mark.parametrize("case", CASES)
def test_the_model_is_the_one_that_one_process_trains(trained: Trained, case: str) -> None:
    places = ("single", "chief")
    alone, together = (np.load(trained.runs[place, case] / "test_pairs.npz") for place in places)
    np.testing.assert_array_equal(alone["pairs"], together["pairs"])
    cosines = (alone["fused"] * together["fused"]).sum(axis=1)
    assert cosines.min() > 0.999
    scores = [trained.history(place, case)["val_map"] for place in places]
    np.testing.assert_allclose(*scores, atol=1.0)


def test_the_start_is_pretrained_by_the_chief_alone_to_the_same_bytes(trained: Trained) -> None:
    for name in ("backbone.weights.h5", "history.csv"):
        files = [trained.folder.glob(f"{x}/tests/backbone-*/{name}") for x in ("single", "chief")]
        (alone,), (chief,) = files
        assert alone.read_bytes() == chief.read_bytes() and alone.stat().st_size > 100
    assert "backbone (classification" in trained.workers[0].output
    assert "backbone (classification" not in trained.workers[1].output


# === Who reads what ===


def reads(worker: Worker) -> dict[str, list[tuple[int, ...]]]:
    """Return the images that were read as inputs of the global branch, together each time."""
    found = {case: [] for case in CASES}
    cases = iter(CASES)
    case = next(cases)
    for line in worker.output.splitlines():
        if line.startswith("READS "):
            found[case].append(tuple(map(int, line.split()[1:])))
        elif line.startswith("RETURNS "):
            case = next(cases, None)
    return found


@pytest.mark.parametrize("case", CASES)
def test_each_worker_reads_its_half_of_every_step(trained: Trained, case: str) -> None:
    config = trained.config(case)
    split = open_dataset(config, Places(trained.data)).split("train").split
    plan = epoch_planner(config, split)
    epochs = config.stage1_epochs + config.stage2_epochs
    steps = [plan(epoch).images[0] for epoch in range(epochs)]  # (groups, images of a group)
    for half, worker in enumerate(trained.workers):
        found = reads(worker)[case]
        if half == 0 and case == "pretrained":
            assert len(found) > epochs  # the chief has trained the start before
            found = found[-epochs:]
        groups = len(steps[0]) // 2
        expected = [step[half * groups : (half + 1) * groups].ravel() for step in steps]
        assert Counter(found) == Counter(tuple(images.tolist()) for images in expected)
