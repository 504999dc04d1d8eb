"""Saving and restoring a training run so exactly that an interruption leaves no trace."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf


class TrainingState:
    """The state after each epoch, under a directory; only a complete state is ever visible.

    A state holds the weights (batch-norm statistics included), every optimizer's moments and step
    counter, and a JSON record. Triplets are a pure function of seed and epoch, so there is no
    sampler state to keep.

    Args:
        directory: where the states are kept, as `epoch-NNNN` folders.
        network: the model that is trained.
        optimizers: the optimizers, with their variables created.
    """

    def __init__(
        self,
        directory: Path,
        network: keras.Model,
        optimizers: Sequence[keras.optimizers.Optimizer],
    ) -> None:
        """Keep the parts; nothing is read or written yet."""
        self.directory = directory
        parts = {f"optimizer_{i}": optimizer for i, optimizer in enumerate(optimizers)}
        self._checkpoint = tf.train.Checkpoint(network=network, **parts)

    def save(self, epoch: int, record: dict[str, Any]) -> None:
        """Save the state after `epoch` (0-based); older states are removed afterwards."""
        final = self.directory / f"epoch-{epoch:04d}"
        temporary = self.directory / f".{final.name}.tmp"
        for leftover in (temporary, final):
            shutil.rmtree(leftover, ignore_errors=True)
        temporary.mkdir(parents=True)
        self._checkpoint.write(str(temporary / "state"))
        (temporary / "record.json").write_text(json.dumps(record))
        os.replace(temporary, final)
        for older in self._complete()[:-1]:
            shutil.rmtree(older)

    def lend(self) -> None:
        """Take part in a save of the chief's, from another worker, and keep nothing of it.

        Statistics are held by all replicas in common; reading them takes all workers.
        """
        with tempfile.TemporaryDirectory() as nowhere:
            self._checkpoint.write(str(Path(nowhere) / "state"))

    def restore(self) -> dict[str, Any] | None:
        """Restore the newest state; return its record, or None where there is none."""
        complete = self._complete()
        if not complete:
            return None
        self._checkpoint.read(str(complete[-1] / "state")).assert_existing_objects_matched()
        return json.loads((complete[-1] / "record.json").read_text())

    def _complete(self) -> list[Path]:
        return sorted(self.directory.glob("epoch-*"))
