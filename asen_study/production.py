"""Making a result once: named by what decides its digits, resumable, never half done.

What ends a run from outside gets its remedies: no memory left, a worker that is gone.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from filelock import FileLock

from asen_study import provenance
from asen_study.runs import Places, Run
from asen_tf.config import ExperimentConfig
from asen_tf.data.dataset import Dataset
from asen_tf.files import activity_of, replacing, write_json
from asen_tf.training import ClusterError, Team, team_for

Train = Callable[[Team, Path], Any]  # gives what is written: mostly a `StageResult`
Write = Callable[[Any, Path], None]

_PATIENCE = 60.0  # seconds until a finished result must be visible to all workers

# What TensorFlow raises in a worker that can no longer reach its peers.
_PEER_GONE = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)
_TELLING = ("OOM", "out of memory", "RESOURCE_EXHAUSTED", "aborted", "heartbeat", "failed")


class OutOfMemoryError(MemoryError):
    """Training or embedding needs more memory than there is."""


def open_dataset(config: ExperimentConfig, places: Places) -> Dataset:
    """Open the dataset that a configuration names.

    Decoded images go into the results folder's `.cache` if the dataset's own may only be read.
    """
    return Dataset(places.data_dir, config, cache_dir=Path(places.results_dir) / ".cache")


def key(settings: Mapping[str, Any], dataset: Dataset) -> str:
    """Identify what decides a result's digits: settings, data, code."""
    parts = [settings, dataset.fingerprint, provenance.code_fingerprint()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:10]


def once(finished: Path, make: Callable[[Path, Path], None]) -> bool:
    """Make a result, unless it is there; it becomes visible when it is complete.

    Of several processes that want the same result, one makes it and the others wait for it.

    Args:
        finished: the result's directory.
        make: makes the result, given where to keep unfinished work, which may be there from an
            earlier, interrupted call, and the directory to write the result to.

    Returns:
        Whether this call has made it.
    """
    if finished.exists():
        return False
    unfinished = _unfinished(finished)
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{unfinished}.lock") as lock:
        if finished.exists():  # another process was faster
            return False
        with replacing(finished, alone=True) as output:
            output.mkdir()
            make(unfinished, output)
        if unfinished.exists():
            shutil.rmtree(unfinished)
        Path(lock.lock_file).unlink(missing_ok=True)  # a process that waits for it finds the result
    return True


def produce(
    finished: Path,
    config: ExperimentConfig,
    dataset: Dataset,
    train: Train,
    write: Write,
    *,
    together: bool = True,
) -> Run:
    """Train something and write the result, or return what an earlier call has finished.

    Unfinished work is kept beside the result, under `.work/`. Of the workers of strategy
    multi_worker the chief makes the result, and the others lend it their replicas or wait; all
    return the same run.

    Args:
        finished: the result's directory; if it is there, nothing is done.
        config: the settings; their seed makes the work a function of the settings alone.
        dataset: what the result is made from.
        train: trains, given who takes part and the directory for unfinished work.
        write: writes the result to a directory, given what `train` has returned.
        together: whether all workers take part in `train`; otherwise the chief trains alone.

    Returns:
        The finished run, with `config.json` and `manifest.json`.

    Raises:
        OutOfMemoryError, asen_tf.training.ClusterError: see `remedies`.
    """
    with remedies(config):
        team = team_for(config)  # first of all: workers must meet before TensorFlow has begun
        name = zlib.crc32(finished.name.encode())  # settings, data and code are in it
        team.agree(name, f"run (here {finished.name}, by its checksum)")
        missing = not team.from_chief(int(finished.exists()))
        if team.is_chief:
            made = once(finished, _make(team, finished, config, dataset, train, write))
            if missing and not made and team.workers > 1:  # the others have begun to train
                raise ClusterError(f"{finished}: another process made it; start all workers again")
            if not made:
                print(f"{finished}: finished before, nothing to do", flush=True)
        elif missing and together:
            _start_from(config)
            train(team, _unfinished(finished))
        team.from_chief(1)  # the others wait here until the chief has finished
        return _wait_until_visible(finished)


def _make(
    team: Team,
    finished: Path,
    config: ExperimentConfig,
    dataset: Dataset,
    train: Train,
    write: Write,
) -> Callable[[Path, Path], None]:
    """Return what trains, writes the result, and says where it comes from."""

    def make(unfinished: Path, output: Path) -> None:
        started = time.monotonic()
        _start_from(config)
        resumed = unfinished.exists()
        unfinished.mkdir(exist_ok=True)
        print(f"{finished}: {'going on' if resumed else 'starting'}", flush=True)
        write(train(team, unfinished), output)
        facts = {
            "config_hash": config.hash,
            "seed": config.seed,
            "resumed": resumed,
            "wall_seconds": round(time.monotonic() - started, 1),
            "peak_memory_mib": round(provenance.peak_memory_mib(), 1),
        }
        describe(output, config, dataset, facts)

    return make


def describe(
    output: Path,
    config: ExperimentConfig,
    dataset: Dataset,
    facts: Mapping[str, Any],
    *,
    name: str = "manifest.json",
) -> None:
    """Write a result's settings, `config.json`, and where it comes from.

    Args:
        output: the result's directory.
        config: the settings.
        dataset: what the result is made from.
        facts: more to say of its origin.
        name: of the file for the origin; only what has been trained has a `manifest.json`.
    """
    write_json(output / "config.json", config.to_dict())
    origin = {**facts, "data_fingerprint": dataset.fingerprint, **provenance.describe()}
    write_json(output / name, origin)


def fix_randomness(config: ExperimentConfig) -> None:
    """Seed every random number generator, and let operations give the same digits every time."""
    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()


def _start_from(config: ExperimentConfig) -> None:
    """Reset all random state, so that what follows depends on the settings alone."""
    keras.backend.clear_session()
    fix_randomness(config)
    keras.mixed_precision.set_global_policy(config.mixed_precision)


def _unfinished(finished: Path) -> Path:
    """Return where the unfinished work of a result is kept."""
    return finished.parent / ".work" / finished.name


def _wait_until_visible(finished: Path) -> Run:
    """Return a run that is finished; shared folders may show it to other workers a little later."""
    patience = time.monotonic() + _PATIENCE
    while not finished.exists():
        if time.monotonic() > patience:
            raise ClusterError(
                f"the chief has finished {finished.name}, but it is not at {finished.resolve()}; "
                "all workers need one results folder that they share, such as a network drive"
            )
        time.sleep(0.5)
    return Run(finished)


# === What ends a run from outside ===


@contextmanager
def remedies(config: ExperimentConfig) -> Iterator[None]:
    """Say which settings to lower when memory runs out, and what to do when a worker is gone.

    Args:
        config: the settings that the block works with.

    Raises:
        OutOfMemoryError: memory was not enough for a step, or for a batch of embeddings.
        ClusterError: another worker has ended or cannot be reached (strategy multi_worker).
    """
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        if isinstance(error, OutOfMemoryError):  # of a run within this one
            raise
        what = _what_to_lower(config, activity_of(error))
        raise OutOfMemoryError(
            f"{what}; on a GPU, mixed_precision=mixed_float16 "
            f"needs about half (now {config.mixed_precision}); TensorFlow: {_telling_line(error)}"
        ) from error
    except _PEER_GONE as error:
        if config.strategy != "multi_worker":
            raise
        raise ClusterError(
            "another worker of TF_CONFIG has ended or cannot be reached; see what it has printed, "
            "then start all workers again by the same commands: they go on from the last finished "
            f"epoch; TensorFlow: {_telling_line(error)}"
        ) from error


def _what_to_lower(config: ExperimentConfig, doing: str | None) -> str:
    """Name the settings that decide how much memory is needed, those that matter most first."""
    step, view = _step(config), f"global_size={config.global_size}"
    # Stage 1 is shared by runs of any local size: its own configuration does not know theirs.
    sizes = f"{view}, source_size={config.source_size}, or local_size of the local branch"
    pretraining, embedding = (
        f"{name}={getattr(config, name)}" for name in ("pretrain_batch", "embed_batch")
    )
    if doing == "training":
        return f"memory is not enough for a step of training; lower {step}, {sizes}"
    if doing == "pretraining":
        return f"memory is not enough for a step of pretraining; lower {pretraining} or {view}"
    if doing == "embedding":
        return f"memory is not enough for embedding a batch of images; lower {embedding}, {sizes}"
    return (
        f"memory is not enough; lower {step}, {sizes}; if it was pretraining, lower {pretraining}; "
        f"if it was embedding, lower {embedding}"
    )


def _step(config: ExperimentConfig) -> str:
    """Name the settings that decide how many images a step has."""
    if config.sampling == "batch_all":
        sizes = (config.attributes_per_step, config.values_per_attribute, config.images_per_value)
        names = ("attributes_per_step", "values_per_attribute", "images_per_value")
        product = " x ".join(f"{name}={size}" for name, size in zip(names, sizes, strict=True))
        return f"{product} (together {sizes[0] * sizes[1] * sizes[2]} images a step)"
    triplets = config.triplets_per_step
    return f"triplets_per_step={triplets} (three images each: {3 * triplets} a step)"


def _telling_line(error: Exception) -> str:
    """Return the line of an error that says what happened; a graph's trace comes before it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if any(word in line for word in _TELLING)]
    return (telling or lines or [type(error).__name__])[0]
