"""Two replicas in one process take the steps of one; what they exchange, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from memory_images import Memory
from naive_losses import batch_all_loss
from replica_process import losses
from small_model import pictures

from asen_tf.config import ConfigError
from asen_tf.data.pipeline import training_steps
from asen_tf.data.sampling import Plan
from asen_tf.losses import batch_all_terms
from asen_tf.presets import smoke
from asen_tf.training.cluster import check_division, equal_share, team_of
from data_prep.synthetic import make_dataset

# 20 steps of both branches, at the paper's rate: faster ones let rounding grow.
TOGETHER = {
    "stage1_epochs": 15,
    "stage2_epochs": 5,
    "triplets_per_step": 4,
    "stage1_learning_rate": 1e-4,
    "stage2_local_learning_rate": 1e-4,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("replicas")
    make_dataset(folder / "data", images=200, size=64, dataset="Garments")
    return folder / "data"


def deviation(one: list[dict], two: list[dict]) -> float:
    """Return the largest relative difference of a step's total loss."""
    loss = [pd.DataFrame(history)["loss"].to_numpy() for history in (one, two)]
    assert len(loss[0]) == len(loss[1]) >= 5
    return float(np.abs(loss[1] / loss[0] - 1.0).max())


# === Training ===


@pytest.mark.distributed
def test_every_step_of_two_replicas_costs_what_it_costs_with_one(
    data: Path, tmp_path: Path
) -> None:
    (found,) = losses(data, tmp_path, [{"without": [], "sampling": "batch_all", **TOGETHER}])
    one, two = (pd.DataFrame(history) for history in found)
    assert len(one) == 20 and one["loss"].nunique() == 20
    for name in ("loss", "global", "local", "alignment"):
        np.testing.assert_allclose(two[name], one[name], rtol=1e-4, atol=1e-6)


@pytest.mark.distributed
def test_replicas_drop_the_units_that_one_process_would_drop(data: Path, tmp_path: Path) -> None:
    six_steps = {**TOGETHER, "stage1_epochs": 4, "stage2_epochs": 2}
    rpf = {"method": "rpf", "sampling": "batch_all", **six_steps}
    cases = [{"without": [], **rpf}, {"without": ["masks"], **rpf}]
    shared, alone = (deviation(*histories) for histories in losses(data, tmp_path, cases))
    print("largest relative differences of the loss:", f"{shared:.2g} {alone:.2g}")
    assert shared < 1e-4 < 1e-2 < alone


@pytest.mark.distributed
def test_what_replicas_exchange_is_needed(data: Path, tmp_path: Path) -> None:
    cases = [
        {"without": [], "sampling": "random_triplets", **TOGETHER},
        {"without": ["statistics"], "sampling": "random_triplets", **TOGETHER},
        {"without": ["statistics"], "sampling": "batch_all", **TOGETHER},
        # A small margin: at the study's own all triplets are active at first, on both replicas.
        {"without": ["counts"], "sampling": "batch_all", "margin": 0.02, **TOGETHER},
        {"without": [], "sampling": "batch_all", "margin": 0.02, **TOGETHER},
        {"without": [], "method": "triplet", "loss": "contrastive", **TOGETHER},
    ]
    found = [deviation(*histories) for histories in losses(data, tmp_path, cases)]
    print("largest relative differences of the loss:", [f"{value:.2g}" for value in found])
    assert max(found[0], found[4], found[5]) < 1e-4
    assert min(found[1:4]) > 1e-2


# === Their parts, by hand ===


def test_terms_of_parts_add_up_to_the_loss_of_the_whole() -> None:
    rng = np.random.default_rng(0)
    embeddings = tf.constant(rng.normal(size=(4, 6, 8)), tf.float32)
    values = tf.constant(rng.integers(0, 3, (4, 6)))
    terms = [batch_all_terms(embeddings[i : i + 2], values[i : i + 2], 0.2) for i in (0, 2)]
    (left, active_left), (right, active_right) = terms
    whole = float(batch_all_loss(embeddings, values, 0.2))
    assert float((left + right) / (active_left + active_right)) == pytest.approx(whole, rel=1e-6)
    means = float(left / active_left), float(right / active_right)
    assert sum(means) / 2 != pytest.approx(whole, rel=1e-3)  # not the mean of the parts' means


def test_one_replica_exchanges_nothing() -> None:
    network, team = object(), team_of(tf.distribute.get_strategy())
    assert team.single(network)() is network
    team.prepare(network, smoke(), plan=None)  # asks for nothing and leaves the network alone
    assert float(equal_share(tf.constant(3.0), least=1.0)) == 3.0
    assert float(equal_share(tf.constant(0.0), least=1.0)) == 1.0


# === Their images ===

SHAPE = (3, 4, 3)  # steps, groups, images of a group
PLAN = Plan(
    np.arange(36, dtype=np.int32).reshape(SHAPE),
    *(np.full(SHAPE, number, np.int32) for number in (0, 1)),
)


def parts(views: Memory, chosen: range, of: int, **options) -> list[dict]:
    steps = training_steps(
        lambda epoch: PLAN,
        views=views,
        sources=None,
        first_epoch=0,
        epochs=2,
        parts=chosen,
        of=of,
        **options,
    )
    return list(steps.as_numpy_iterator())


@pytest.mark.parametrize("of", [2, 4])
def test_parts_of_steps_are_the_steps_and_read_no_image_twice(of: int) -> None:
    array = pictures(36, 4)
    whole = parts(Memory(array), range(1), 1)
    sources = [Memory(array) for _ in range(of)]
    divided = [parts(source, range(i, i + 1), of) for i, source in enumerate(sources)]
    for step, pieces in zip(whole, zip(*divided, strict=True), strict=True):
        for name, expected in step.items():
            together = np.concatenate([piece[name] for piece in pieces])
            np.testing.assert_array_equal(together, expected)
    for i, source in enumerate(sources):
        own = PLAN.images.reshape(3, of, -1)[:, i]
        assert sorted(source.asked) == sorted([*own.ravel(), *own.ravel()])  # two epochs


def test_a_worker_with_two_replicas_streams_their_parts_in_turn() -> None:
    array = pictures(36, 4)
    both = parts(Memory(array), range(2, 4), 4)
    for i, number in enumerate((2, 3)):
        alone = parts(Memory(array), range(number, number + 1), 4)
        for found, expected in zip(both[i::2], alone, strict=True):
            np.testing.assert_array_equal(found["view"], expected["view"])


def test_steps_that_cannot_be_divided_are_refused() -> None:
    with pytest.raises(ValueError, match="got 4 groups, 3 parts"):
        parts(Memory(pictures(36, 4)), range(1), 3)


# === What is refused ===


@pytest.mark.parametrize(
    ("changes", "groups", "words"),
    [
        ({"sampling": "batch_all"}, 3, "attributes_per_step must be a multiple of 2"),
        ({"sampling": "random_triplets"}, 15, "triplets_per_step must be a multiple of 2"),
        ({"xla": True}, 4, "xla must be False"),
        ({"mixed_precision": "mixed_bfloat16"}, 4, "mixed_precision must be float32 or mixed_f"),
    ],
)
def test_settings_that_two_replicas_cannot_train_are_refused(
    changes: dict, groups: int, words: str
) -> None:
    config = smoke().override(**changes)
    check_division(config, groups, 1)
    with pytest.raises(ConfigError, match=words):
        check_division(config, groups, 2)
