"""A stage of training small enough to be followed by hand: a line, fitted by Adam in two groups."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from asen_tf.training.optimizers import LearningRateGroup, grouped_optimizer
from asen_tf.training.stage import TrainingState, run_stage
from asen_tf.training.trainer import Trainer

EPOCHS, STEPS = 4, 3
RATES = (0.1, 0.03)  # of slope and offset
SCORES = (0.1, 0.5, 0.5, 0.2)  # what validation says after each epoch: the second one is best


class Line(keras.Model):
    """y = slope * x + offset; each is a layer, so that each can have its own learning rate."""

    def __init__(self, start: float = 0.0) -> None:
        super().__init__()
        self.slope = keras.layers.Dense(1, use_bias=False, name="slope")
        self.offset = keras.layers.Dense(1, use_bias=False, name="offset")
        for part in (self.slope, self.offset):
            with tf.name_scope(part.name):
                part.build((None, 1))
            part.set_weights([np.full((1, 1), start)])
        self.built = True

    def call(self, inputs, training=None):
        view = inputs["view"]
        return {"y": self.slope(view) + self.offset(tf.ones_like(view))}


class Squares:
    names = ("loss", "distance")

    def __call__(self, batch, outputs):
        difference = outputs["y"][..., 0] - batch["value"]
        return {
            "loss": tf.reduce_mean(difference**2),
            "distance": tf.reduce_mean(tf.abs(difference)),
        }


@functools.cache
def points(epoch: int, step: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([epoch, step])
    x = rng.normal(size=(2, 3, 1)).astype(np.float32)
    return x, (2.0 * x[..., 0] - 1.0 + 0.1 * rng.normal(size=(2, 3))).astype(np.float32)


def steps(first_epoch: int, *, stop_at: tuple[int, int] | None = None) -> tf.data.Dataset:
    def generate():
        for epoch in range(first_epoch, EPOCHS):
            for step in range(STEPS):
                if (epoch, step) == stop_at:
                    raise RuntimeError("interrupted")
                x, y = points(epoch, step)
                yield {"view": x, "value": y}

    signature = {"view": tf.TensorSpec((2, 3, 1)), "value": tf.TensorSpec((2, 3))}
    return tf.data.Dataset.from_generator(generate, output_signature=signature)


def parameters(network: Line) -> list[float]:
    return [float(weight.numpy().item()) for weight in network.weights]


def train(directory: Path, *, start: float = 0.0, make_steps=steps, fail_in_validation=None):
    """Train a fresh line; give the network, the stage's result, and what validation saw."""
    network, seen = Line(start), []
    groups = [
        LearningRateGroup([part], rate)
        for part, rate in zip((network.slope, network.offset), RATES, strict=True)
    ]
    optimizer, adams = grouped_optimizer(groups, factor=0.5, every_steps=2 * STEPS)
    trainer = Trainer(network, Squares())
    trainer.compile(optimizer=optimizer)

    def validate(measured: Line) -> dict[str, float]:
        done = len(json.loads(record.read_text())["history"]) if (record := newest()) else 0
        if done == fail_in_validation:
            raise RuntimeError("interrupted")
        seen.append(parameters(measured))
        return {"val_score": SCORES[done]}

    def newest() -> Path | None:
        return max(directory.glob("state/epoch-*/record.json"), default=None)

    result = run_stage(
        trainer,
        make_steps,
        TrainingState(directory / "state", network, adams),
        title="test",
        epochs=EPOCHS,
        steps_per_epoch=STEPS,
        directory=directory,
        validate=validate,
        monitor="val_score",
    )
    return network, result, seen
