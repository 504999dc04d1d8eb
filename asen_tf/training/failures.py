"""What ends a run from outside, and its remedies: no memory left, a worker that is gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from asen_tf.config import ExperimentConfig
from asen_tf.files import activity_of
from asen_tf.training.cluster import ClusterError

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
