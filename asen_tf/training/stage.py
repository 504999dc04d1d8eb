"""One stage of training: epochs of `fit`, validated, logged, and resumable to the last digit."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import pandas as pd
import tensorflow as tf
from tqdm import tqdm

from asen_tf.files import replacing, write_json
from asen_tf.training.cluster import Steps, team_of
from asen_tf.training.trainer import Trainer

BEST, LAST = "best.weights.h5", "last.weights.h5"
_HDF5 = 8192  # bytes that an array takes in a file besides its values, generously

Validate = Callable[[keras.Model], Mapping[str, float]]


class TrainingState:
    """The state after each epoch, under a directory; only a complete state is ever visible.

    A state holds the weights (batch-norm statistics included), every optimizer's moments and step
    counter, and a JSON record. Triplets are a pure function of seed and epoch, so there is no
    sampler state to keep.

    Args:
        directory: where the states are kept, as `epoch-NNNN` folders, or longer numbers.
        network: the model that is trained.
        optimizers: the optimizers, with their variables created.
    """

    def __init__(
        self,
        directory: Path,
        network: keras.Model,
        optimizers: Sequence[keras.optimizers.Optimizer],
    ) -> None:
        self.directory = directory
        parts = {f"optimizer_{i}": optimizer for i, optimizer in enumerate(optimizers)}
        self._checkpoint = tf.train.Checkpoint(network=network, **parts)

    def save(self, epoch: int, record: dict[str, Any]) -> None:
        """Save the state after `epoch` (0-based); older states are removed afterwards."""
        final = self.directory / f"epoch-{epoch:04d}"
        for leftover in (final, *self.directory.glob(".tmp-*")):  # of a process that was killed
            shutil.rmtree(leftover, ignore_errors=True)
        with replacing(final) as temporary:
            temporary.mkdir()
            self._checkpoint.write(str(temporary / "state"))
            (temporary / "record.json").write_text(json.dumps(record))
        for older in self._complete()[:-1]:
            shutil.rmtree(older)

    def join_save(self) -> None:
        """Take part in the chief's save as another worker, and keep nothing.

        All replicas share the statistics, so reading them takes all workers.
        """
        with tempfile.TemporaryDirectory() as nowhere:
            self._checkpoint.write(str(Path(nowhere) / "state"))

    def restore(self) -> dict[str, Any] | None:
        """Restore the newest state; return its record, or None if there is none."""
        complete = self._complete()
        if not complete:
            return None
        self._checkpoint.read(str(complete[-1] / "state")).assert_existing_objects_matched()
        return json.loads((complete[-1] / "record.json").read_text())

    def _complete(self) -> list[Path]:
        # By number: of two numbers, the longer one is larger.
        return sorted(self.directory.glob("epoch-*"), key=lambda path: (len(path.name), path.name))


@dataclass(frozen=True)
class StageResult:
    """What a finished stage leaves behind.

    Of several workers the chief alone has a history; the others' `best_epoch` is 0.

    Attributes:
        network: with the weights of the last epoch.
        history: one record per epoch: `epoch` (1-based), losses, and what `validate` measured.
        best_epoch: the 1-based epoch with the highest monitored value; the earliest of equals.
        directory: holds the weights of the best and of the last epoch.
    """

    network: keras.Model
    history: list[dict[str, float]]
    best_epoch: int
    directory: Path

    def table(self) -> pd.DataFrame:
        """Return the history as a table, one row per epoch, with a column `best`."""
        frame = pd.DataFrame(self.history)
        return frame.assign(best=frame["epoch"] == self.best_epoch)


def run_stage(
    trainer: Trainer,
    steps: Steps,
    state: TrainingState,
    *,
    title: str,
    epochs: int,
    steps_per_epoch: int,
    directory: Path,
    validate: Validate,
    monitor: str,
) -> StageResult:
    """Train a stage to its end, from wherever an earlier call was interrupted.

    Of several workers all train, and take part in saving the state; the chief alone validates,
    writes and says how far it is, and the others wait for it at the end of each epoch.

    Args:
        trainer: compiled, with the network at the stage's starting weights.
        steps: gives the training steps from a 0-based `first_epoch` on.
        state: saves and restores the trainer's network and optimizers.
        title: what the progress bar says.
        epochs: epochs of the stage.
        steps_per_epoch: steps of an epoch.
        directory: where weights, history and TensorBoard logs are kept.
        validate: measures the network after each epoch.
        monitor: the measurement whose maximum makes an epoch the best.

    Returns:
        The stage's result. The trainer's network is left with the weights of the last epoch.

    Raises:
        ClusterError: the workers do not see the same unfinished work.
    """
    team = team_of(trainer.distribute_strategy)
    network_now = team.single(trainer.network)
    finished = directory / "history.json"
    if finished.exists():
        history = json.loads(finished.read_text())
        with team.scope():
            trainer.network.load_weights(directory / LAST)
        team.agree(len(history), f"epochs finished under {directory}")
        return StageResult(network_now(), history, _best_epoch(history, monitor), directory)
    history = (state.restore() or {"history": []})["history"]
    team.agree(len(history), f"epochs finished under {directory}")
    with tqdm(
        total=epochs * steps_per_epoch,
        initial=len(history) * steps_per_epoch,
        desc=title,
        unit="step",
        mininterval=2.0,
        maxinterval=10.0,
        disable=not team.is_chief,
    ) as bar:
        callbacks: list[keras.callbacks.Callback] = [_JoinSave(state)]
        if team.is_chief:
            directory.mkdir(parents=True, exist_ok=True)
            epoch_end = _EpochEnd(history, state, directory, validate, monitor, bar, network_now)
            logs = keras.callbacks.TensorBoard(directory / "tensorboard", write_graph=False)
            callbacks = [_StepBar(bar), epoch_end, logs]
        trainer.fit(
            team.divided(steps)(first_epoch=len(history)),
            initial_epoch=len(history),
            epochs=epochs,
            steps_per_epoch=steps_per_epoch,
            callbacks=callbacks,
            verbose=0,
        )
    network = network_now()
    if not team.is_chief:
        return StageResult(network, [], 0, directory)
    save_weights(network, directory / LAST)
    write_json(finished, history)
    return StageResult(network, history, _best_epoch(history, monitor), directory)


def measured_once(network: keras.Model, *, directory: Path, validate: Validate) -> StageResult:
    """Return a stage's result for a network that is not trained: its one epoch has number 0."""
    team = team_of(network.distribute_strategy)
    network_now = team.single(network)()
    if not team.is_chief:
        return StageResult(network_now, [], 0, directory)
    measured = {name: float(value) for name, value in validate(network_now).items()}
    (directory / "tensorboard").mkdir(parents=True, exist_ok=True)
    save_weights(network_now, directory / BEST)
    return StageResult(network_now, [{"epoch": 0, **measured}], 0, directory)


class _StepBar(keras.callbacks.Callback):
    """Moves the bar; shows the running loss."""

    def __init__(self, bar: tqdm) -> None:
        super().__init__()
        self.bar = bar

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.bar.set_postfix(loss=f"{(logs or {}).get('loss', float('nan')):.3f}", refresh=False)
        self.bar.update()


class _JoinSave(keras.callbacks.Callback):
    """Takes part in saving the state, which needs all workers, and writes nothing."""

    def __init__(self, state: TrainingState) -> None:
        super().__init__()
        self.state = state

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.state.join_save()


class _EpochEnd(keras.callbacks.Callback):
    """Validates, keeps the best weights, and saves the state, in this order.

    Killed between the last two, the epoch is repeated from the older state and writes the same
    best weights again.
    """

    def __init__(
        self,
        history: list[dict[str, float]],
        state: TrainingState,
        directory: Path,
        validate: Validate,
        monitor: str,
        bar: tqdm,
        network_now: Callable[[], keras.Model],
    ) -> None:
        super().__init__()
        self.history, self.state, self.directory = history, state, directory
        self.validate, self.monitor, self.bar = validate, monitor, bar
        self.network_now = network_now

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        network = self.network_now()
        losses = {name: float(value) for name, value in (logs or {}).items()}
        measured = {name: float(value) for name, value in self.validate(network).items()}
        # Keras hands one dictionary to all callbacks: what is added here reaches TensorBoard.
        (logs if logs is not None else {}).update(measured)
        self.history.append({"epoch": epoch + 1, **losses, **measured})
        if _best_epoch(self.history, self.monitor) == epoch + 1:
            save_weights(network, self.directory / BEST)
        self.state.save(epoch, {"history": self.history})
        shown = "  ".join(f"{name} {value:.3f}" for name, value in {**losses, **measured}.items())
        self.bar.write(f"{self.bar.desc}, epoch {epoch + 1}: {shown}")


def _best_epoch(history: list[dict[str, float]], monitor: str) -> int:
    return int(max(history, key=lambda record: record[monitor])["epoch"])


def save_weights(network: keras.Model, path: Path) -> None:
    """Write a network's weights to a `.weights.h5` file, if there is room for it.

    HDF5 takes the process down when it cannot finish a file, so that must be known first.
    """
    arrays = network.get_weights()
    needed = sum(array.nbytes for array in arrays) + _HDF5 * (len(arrays) + 1)
    with replacing(path, needed=needed) as temporary:
        network.save_weights(temporary)
