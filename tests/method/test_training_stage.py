"""A stage that fits a line: against plain NumPy, and what it keeps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf
from line_training import EPOCHS, RATES, SCORES, STEPS, Line, parameters, points, train

from asen_tf.training.stage import BEST, LAST


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory):
    return train(tmp_path_factory.mktemp("stage"))


def naive() -> list[dict[str, float]]:
    """The same by hand: losses before each step, averaged over the epoch; then the parameters."""
    line, mean, square, epochs = np.zeros(2), np.zeros(2), np.zeros(2), []
    for epoch in range(EPOCHS):
        losses, distances = [], []
        for step in range(STEPS):
            x, y = (array.reshape(-1).astype(np.float64) for array in points(epoch, step))
            difference = line[0] * x + line[1] - y
            losses.append(np.mean(difference**2))
            distances.append(np.mean(np.abs(difference)))
            gradient = np.array([np.mean(2 * difference * x), np.mean(2 * difference)])
            t = epoch * STEPS + step + 1
            mean = 0.9 * mean + 0.1 * gradient
            square = 0.999 * square + 0.001 * gradient**2
            rate = np.array(RATES) * (0.5 if epoch >= 2 else 1.0)
            scale = math.sqrt(1 - 0.999**t) / (1 - 0.9**t)
            line = line - rate * scale * mean / (np.sqrt(square) + 1e-7)
        epochs.append({"loss": np.mean(losses), "distance": np.mean(distances), "line": line})
    return epochs


# === What a stage does ===


def test_history_and_weights_equal_adam_by_hand(unbroken) -> None:
    _, result, seen = unbroken
    for record, line, expected in zip(result.history, seen, naive(), strict=True):
        assert record["loss"] == pytest.approx(expected["loss"], rel=1e-4)
        assert record["distance"] == pytest.approx(expected["distance"], rel=1e-4)
        np.testing.assert_allclose(line, expected["line"], rtol=1e-4)


def test_history_holds_epochs_from_1_and_what_validation_measured(unbroken) -> None:
    _, result, _ = unbroken
    assert [list(record) for record in result.history] == [
        ["epoch", "loss", "distance", "val_score"]
    ] * EPOCHS
    assert [record["epoch"] for record in result.history] == [1, 2, 3, 4]
    assert [record["val_score"] for record in result.history] == list(SCORES)


def test_earliest_of_the_best_epochs_and_the_last_are_kept(unbroken) -> None:
    network, result, seen = unbroken
    assert result.best_epoch == 2
    assert result.table()["best"].tolist() == [False, True, False, False]
    assert parameters(network) == seen[3] != seen[2]
    for name, epoch in ((BEST, 2), (LAST, 4)):
        other = Line(9.0)
        other.load_weights(result.directory / name)
        assert parameters(other) == seen[epoch - 1]


def test_tensorboard_shows_the_history(unbroken) -> None:
    _, result, _ = unbroken
    shown: dict[str, dict[int, float]] = {}
    for path in result.directory.glob("tensorboard/*/events*"):
        for data in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(data.numpy())
            for value in event.summary.value:
                if value.tag.startswith("epoch_"):
                    number = float(tf.make_ndarray(value.tensor))
                    shown.setdefault(f"{path.parent.name}/{value.tag}", {})[event.step] = number
    for name in ("train/epoch_loss", "train/epoch_distance", "validation/epoch_score"):
        column = name.split("/epoch_")[1].replace("score", "val_score")
        expected = {r["epoch"] - 1: pytest.approx(r[column], rel=1e-6) for r in result.history}
        assert shown[name] == expected
