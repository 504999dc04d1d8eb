"""Making a result once: named by what decides its digits, resumable, in full or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from filelock import FileLock

from asen_tf import provenance
from asen_tf.config import ExperimentConfig
from asen_tf.data import Dataset
from asen_tf.files import replacing, write_json
from asen_tf.results import Run


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
) -> Run:
    """Run `work(directory for unfinished things, directory of results)`; show results at once.

    Unfinished work is kept beside the result, under `.work/`. Of several processes that want the
    same result, one makes it and the others wait for it.

    Args:
        finished: the result's directory; if it is there, nothing is done.
        config: the settings; their seed makes the work a function of the settings alone.
        dataset: what the result is made from.
        work: makes the result.

    Returns:
        The finished run, with `config.json` and `manifest.json`.
    """
    if finished.exists():
        return _found(finished)
    directory = finished.parent / ".work" / finished.name
    directory.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{directory}.lock") as lock:
        if finished.exists():  # another process was faster
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
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def _found(finished: Path) -> Run:
    print(f"{finished}: finished before, nothing to do", flush=True)
    return Run(finished)


def _prepare(config: ExperimentConfig) -> None:
    """Make what follows a function of the seed alone."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()
    keras.mixed_precision.set_global_policy(config.mixed_precision)
