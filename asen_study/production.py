"""Making a result once: named by what decides its digits, resumable, in full or not at all."""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from filelock import FileLock

from asen_study import provenance
from asen_study.runs import Run
from asen_tf.config import ExperimentConfig
from asen_tf.data.dataset import Dataset
from asen_tf.files import replacing, write_json
from asen_tf.training import ClusterError, agree, cluster_strategy, from_chief, is_chief, remedies

_PATIENCE = 60.0  # seconds until a finished result must be visible to all workers


def open_dataset(config: ExperimentConfig, data_dir: str | Path) -> Dataset:
    """Open the dataset that a configuration names."""
    return Dataset(
        data_dir,
        config.dataset,
        source_size=config.source_size,
        global_size=config.global_size,
        missing=config.missing_images,
        cache=config.cache_images,
        true_regions=config.region == "true",
        packed=config.packed,
    )


def key(settings: dict[str, Any], dataset: Dataset) -> str:
    """Identify what decides a result's digits: settings, data, code."""
    parts = [settings, dataset.fingerprint, provenance.code_fingerprint()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:10]


def produce(
    finished: Path,
    config: ExperimentConfig,
    dataset: Dataset,
    work: Callable[[Path, Path], None],
    *,
    together: bool = False,
) -> Run:
    """Run `work(directory for unfinished things, directory of results)`; show results at once.

    Unfinished work is kept beside the result, under `.work/`. Of several processes that want the
    same result, one makes it and the others wait for it. Of the workers of strategy multi_worker
    the chief makes it, and the others lend it their replicas or wait; all return the same run.

    Args:
        finished: the result's directory; if it is there, nothing is done.
        config: the settings; their seed makes the work a function of the settings alone.
        dataset: what the result is made from.
        work: makes the result.
        together: all workers take part in `work`, those that are not the chief with a temporary
            directory of results; otherwise it is the chief's alone.

    Returns:
        The finished run, with `config.json` and `manifest.json`.

    Raises:
        asen_tf.training.OutOfMemoryError, asen_tf.training.ClusterError: see
            `asen_tf.training.failures`.
    """
    with remedies(config):
        if config.strategy != "multi_worker":
            return _make(finished, config, dataset, work)
        shared = strategy(config)  # first of all: TensorFlow must not have begun before
        name = zlib.crc32(finished.name.encode())  # settings, data and code are in it
        agree(shared, name, f"run; {finished.name} has that number here, the")
        if from_chief(shared, int(finished.exists())) == 0 and (together or is_chief(shared)):
            if is_chief(shared):
                _make(finished, config, dataset, work)
            else:
                _lend(finished, config, work)
        from_chief(shared, 1)  # the others wait here until the chief has finished
        return _seen(finished)


def _make(
    finished: Path,
    config: ExperimentConfig,
    dataset: Dataset,
    work: Callable[[Path, Path], None],
) -> Run:
    """Make a result in this process, unless it is there."""
    if finished.exists():
        return _found(finished)
    directory = _unfinished(finished)
    directory.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{directory}.lock") as lock:
        if finished.exists():  # another process was faster
            if config.strategy == "multi_worker":  # the other workers have begun to train
                raise ClusterError(f"{finished}: another process made it; start all workers again")
            return _found(finished)
        started = time.monotonic()
        _prepare(config)
        resumed = directory.exists()
        directory.mkdir(exist_ok=True)
        print(f"{finished}: {'going on' if resumed else 'starting'}", flush=True)
        with replacing(finished) as output:
            output.mkdir()
            work(directory, output)
            write_json(output / "config.json", config.to_dict())
            write_json(
                output / "manifest.json",
                {
                    "config_hash": config.hash,
                    "data_fingerprint": dataset.fingerprint,
                    "seed": config.seed,
                    "resumed": resumed,
                    "wall_seconds": round(time.monotonic() - started, 1),
                    "peak_memory_mib": round(provenance.peak_memory_mib(), 1),
                    **provenance.describe(),
                },
            )
        shutil.rmtree(directory)
        Path(lock.lock_file).unlink(missing_ok=True)  # who waits for it finds the result
    return Run(finished)


def strategy(config: ExperimentConfig) -> tf.distribute.Strategy:
    """Return the distribution strategy that a configuration names."""
    if config.strategy == "mirrored":
        return _mirrored()
    if config.strategy == "multi_worker":
        return cluster_strategy()
    return tf.distribute.get_strategy()


@functools.cache
def _mirrored() -> tf.distribute.Strategy:
    """Return the process's one MirroredStrategy; several would number their exchanges alike."""
    return tf.distribute.MirroredStrategy()


def _lend(finished: Path, config: ExperimentConfig, work: Callable[[Path, Path], None]) -> None:
    """Take part in making a result of the chief's; what is written here is thrown away."""
    _prepare(config)
    with tempfile.TemporaryDirectory() as nowhere:
        work(_unfinished(finished), Path(nowhere))


def _seen(finished: Path) -> Run:
    """Return a run that the chief has finished; shared folders may show it a little later."""
    patience = time.monotonic() + _PATIENCE
    while not finished.exists():
        if time.monotonic() > patience:
            raise ClusterError(
                f"the chief has finished {finished.name}, but it is not at {finished.resolve()}; "
                "all workers need one results folder that they share, such as a network drive"
            )
        time.sleep(0.5)
    return Run(finished)


def _unfinished(finished: Path) -> Path:
    """Return where the unfinished work of a result is kept."""
    return finished.parent / ".work" / finished.name


def _found(finished: Path) -> Run:
    print(f"{finished}: finished before, nothing to do", flush=True)
    return Run(finished)


def _prepare(config: ExperimentConfig) -> None:
    """Make what follows a function of the seed alone."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()
    keras.mixed_precision.set_global_policy(config.mixed_precision)
