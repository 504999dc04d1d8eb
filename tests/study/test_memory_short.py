"""Running out of memory, once for real: the error names the settings to lower, and their values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from line_training import RATES, STEPS, Line, Squares, steps

from asen_study import experiment, starts
from asen_study.production import OutOfMemoryError, open_dataset, produce, remedies
from asen_study.runs import Places
from asen_study.starts import AttributeClassifier
from asen_tf.models.build import METHODS
from asen_tf.models.relatives import TripletNetwork
from asen_tf.presets import smoke
from asen_tf.training import ClusterError, Team
from asen_tf.training.optimizers import LearningRateGroup, grouped_optimizer
from asen_tf.training.trainer import Trainer
from data_prep.synthetic import make_dataset

TOO_MANY = 2**50  # bytes times four: no machine maps so much, whatever its memory


def petabytes(tensor: tf.Tensor) -> tf.Tensor:
    """Return a number that takes petabytes to compute, once the shape of a tensor is known."""
    none = tf.cast(tf.shape(tensor)[0], tf.int64) * 0  # unknown until the step runs
    one = tf.cast(tf.reshape(tensor, [-1])[:1], tf.float32)
    return tf.reduce_max(tf.tile(one, [none + tf.constant(TOO_MANY, tf.int64)]))


def refused(tensor: tf.Tensor) -> tf.Tensor:
    """Return a number whose memory TensorFlow cannot get, once the step runs; it does not wait."""

    def allocate(_: np.ndarray) -> np.float32:
        raise MemoryError("OOM when allocating a tensor")  # TensorFlow makes its own error of it

    return tf.reshape(tf.numpy_function(allocate, [tensor], tf.float32), [])


class Greedy(Line):
    """A line that asks for petabytes in every training step."""

    def call(self, inputs, training=None):
        outputs = super().call(inputs, training)
        return {"y": outputs["y"] + petabytes(outputs["y"])}


@pytest.fixture(scope="module")
def shortage() -> tf.errors.ResourceExhaustedError:
    """Return the error of a training that asks for too much: TensorFlow waits ten seconds first."""
    line = Greedy()
    groups = [LearningRateGroup([line.slope, line.offset], RATES[0])]
    trainer = Trainer(line, Squares())
    trainer.compile(optimizer=grouped_optimizer(groups, factor=1.0, every_steps=1)[0])
    with pytest.raises(tf.errors.ResourceExhaustedError) as raised:
        trainer.fit(steps(0), epochs=1, steps_per_epoch=STEPS, verbose=0)
    return raised.value


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"attributes_per_step": 5, "values_per_attribute": 4, "images_per_value": 3},
            "lower attributes_per_step=5 x values_per_attribute=4 x images_per_value=3 (together "
            "60 images a step)",
        ),
        (
            {"sampling": "random_triplets", "triplets_per_step": 7},
            "lower triplets_per_step=7 (three images each: 21 a step)",
        ),
    ],
    ids=["batch_all", "random_triplets"],
)
def test_a_step_that_needs_too_much_names_the_settings(
    shortage: tf.errors.ResourceExhaustedError, changes: dict, words: str
) -> None:
    config = smoke().override(global_size=48, embed_batch=9, **changes)
    with pytest.raises(OutOfMemoryError) as raised, remedies(config):
        raise shortage
    message = str(raised.value)
    assert words in message and "global_size=48" in message and "embed_batch=9" in message
    assert "(now float32)" in message and "OOM when allocating" in message
    assert raised.value.__cause__ is shortage


# === Where it happens ===


class GreedyTraining(TripletNetwork):
    def call(self, inputs, training=None):
        outputs = super().call(inputs, training)
        return {"global": outputs["global"] + refused(outputs["global"])}


class GreedyEmbedding(TripletNetwork):
    def pair_outputs(self, pairs):
        outputs = super().pair_outputs(pairs)
        return {"global": outputs["global"] + refused(outputs["global"])}


class GreedyClassifier(AttributeClassifier):
    greedy_in_training: bool

    def call(self, inputs, training=None):
        logits = super().call(inputs, training)["logits"]
        needed = petabytes(logits[..., 0]) if training == self.greedy_in_training else 0.0
        return {"logits": logits + needed}


class GreedyStart(GreedyClassifier):
    greedy_in_training = True


class GreedyCheck(GreedyClassifier):
    greedy_in_training = False


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("memory")
    make_dataset(folder / "data", images=160, size=64, dataset="Garments")
    return folder / "data"


STEP = "attributes_per_step=2 x values_per_attribute=2 x images_per_value=2 (together 8 images"
BATCH = "for embedding a batch of images; lower embed_batch=5, global_size=32"
EVERY = ("attributes_per_step", "pretrain_batch", "embed_batch")


@pytest.mark.parametrize(
    ("greedy", "words", "named"),
    [
        (GreedyTraining, f"for a step of training; lower {STEP}", "attributes_per_step"),
        (GreedyEmbedding, BATCH, "embed_batch"),
        pytest.param(
            GreedyStart,
            "for a step of pretraining; lower pretrain_batch=16 or global_size=32",
            "pretrain_batch",
            marks=pytest.mark.slow,
        ),
        pytest.param(GreedyCheck, BATCH, "embed_batch", marks=pytest.mark.slow),
    ],
    ids=["training", "validation", "pretraining", "validation of the start"],
)
def test_the_settings_of_what_was_being_done_are_named_and_no_others(
    data: Path, tmp_path: Path, monkeypatch, greedy: type, words: str, named: str
) -> None:
    start = "random" if issubclass(greedy, TripletNetwork) else "pretrain"
    config = smoke().override(method="triplet", embed_batch=5, starting_weights=start)
    if start == "pretrain":
        monkeypatch.setattr(starts, "AttributeClassifier", greedy)
    else:
        monkeypatch.setitem(METHODS, "triplet", greedy)
    with pytest.raises(OutOfMemoryError) as raised:
        experiment.run(config, Places(data, tmp_path))
    message = str(raised.value)
    assert words in message and "OOM when allocating" in message
    assert [name for name in EVERY if name in message] == [named]


# === What becomes of it ===


def test_a_run_that_needs_too_much_leaves_no_result_and_can_go_on(
    shortage: tf.errors.ResourceExhaustedError, tmp_path: Path
) -> None:
    make_dataset(tmp_path / "data", images=60, size=64, dataset="Garments")
    config, finished = smoke(), tmp_path / "results" / "run"
    dataset = open_dataset(config, Places(tmp_path / "data"))

    def train(team: Team, directory: Path) -> None:
        if not (directory / "tried").exists():
            (directory / "tried").touch()
            raise shortage

    def write(stage: None, output: Path) -> None:
        (output / "made").touch()

    with pytest.raises(OutOfMemoryError, match="memory is not enough; lower"):
        produce(finished, config, dataset, train, write)
    assert not finished.exists()
    assert (produce(finished, config, dataset, train, write).path / "made").exists()


def test_numpys_own_error_is_told_likewise_and_once() -> None:
    config = smoke()
    with pytest.raises(OutOfMemoryError) as raised, remedies(config), remedies(config):
        raise MemoryError("Unable to allocate 9 EiB")
    assert str(raised.value).count("memory is not enough") == 1


def test_other_errors_stay_what_they_are() -> None:
    for error in (ValueError("x"), tf.errors.InvalidArgumentError(None, None, "x")):
        with pytest.raises(type(error)) as raised, remedies(smoke()):
            raise error
        assert raised.value is error


def test_an_unavailable_peer_is_a_lost_worker_among_workers_only() -> None:
    error = tf.errors.UnavailableError(None, None, "Collective ops is aborted by: peer is down")
    with pytest.raises(tf.errors.UnavailableError), remedies(smoke()):
        raise error
    with pytest.raises(ClusterError, match="start all workers again by the same commands"):
        with remedies(smoke().override(strategy="multi_worker")):
            raise error
