"""Several replicas of a network that train as one: the same losses, statistics and steps.

Each replica sees an equal part of a step's groups. So that the step is the one that a single
process would take:

- losses that are means over groups are divided by the number of replicas, and the mean over active
  triplets by the triplets of all replicas, because gradients are added up;
- batch normalisation takes its statistics over the whole step. What is left is rounding: the
  variance is computed as E(x^2) - E(x)^2, and the moving variance without Bessel's correction,
  N / (N - 1) of N positions in a step, that the fused kernel of a single process applies (1e-4 at
  the paper's size). No loss of training depends on it.

Networks of `keras.applications` that draw noise (drop-connect) draw other noise in each replica.

Several processes that train one network: who they are, and how they agree.

`TF_CONFIG` lists the workers and says which one this process is. The first is the chief: it alone
writes. They train in step; a worker that ends takes the others with it (see
`asen_tf.training.failures`), and all of them, started again, go on from the last finished epoch.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable

import keras
import tensorflow as tf

from asen_tf.config import ConfigError, ExperimentConfig
from asen_tf.models import SimilarityModel

_EXAMPLE = (
    'TF_CONFIG=\'{"cluster": {"worker": ["host1:12345", "host2:12345"]}, '
    '"task": {"type": "worker", "index": 0}}\''
)


class ClusterError(RuntimeError):
    """The workers of a cluster are not what they have to be, or one of them is gone."""


@functools.cache
def cluster_strategy() -> tf.distribute.MultiWorkerMirroredStrategy:
    """Return this process's one MultiWorkerMirroredStrategy; waits until all workers are there.

    Raises:
        ClusterError: `TF_CONFIG` is absent or wrong, or TensorFlow has been used before.
    """
    addresses, index = _cluster(os.environ.get("TF_CONFIG", ""))
    print(f"worker {index} of {len(addresses)}: waiting for {', '.join(addresses)}", flush=True)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        if "program startup" not in str(error):
            raise
        raise ClusterError(
            "strategy multi_worker must come first: TensorFlow has computed something in this "
            "process already; train before anything else of TensorFlow"
        ) from error


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Return whether this process is the one that writes; true unless there are several."""
    resolver = strategy.cluster_resolver
    return resolver is None or resolver.task_id in (None, 0)


def workers(strategy: tf.distribute.Strategy) -> int:
    """Return the number of processes that train together."""
    resolver = strategy.cluster_resolver
    return 1 if resolver is None else resolver.cluster_spec().num_tasks("worker")


def from_chief(strategy: tf.distribute.Strategy, number: int) -> int:
    """Return the chief's number; all workers call this, and none goes on before all have.

    Args:
        strategy: of the run; of one worker, its number is returned.
        number: an integer; of the other workers it does not count.
    """
    if workers(strategy) == 1:
        return number

    @tf.function
    def added(own: tf.Tensor) -> tf.Tensor:
        here = tf.identity(own)  # on the replica's device, which the sum is returned to
        return tf.distribute.get_replica_context().all_reduce("SUM", here)

    own = tf.constant(number if is_chief(strategy) else 0, tf.int64)
    everywhere = strategy.experimental_local_results(strategy.run(added, args=(own,)))[0]
    return int(everywhere) // (strategy.num_replicas_in_sync // workers(strategy))


def agree(strategy: tf.distribute.Strategy, number: int, what: str) -> None:
    """Check that every worker has the chief's number; none goes on before all have called this.

    Args:
        strategy: of the run; one worker agrees with itself.
        number: an integer.
        what: it stands for, for the error.

    Raises:
        ClusterError: in a worker that has another number than the chief.
    """
    told = from_chief(strategy, number)
    if told != number:
        raise ClusterError(
            f"all workers must have the same {what}; this one has {number}, the chief {told}; "
            "give them the same code, settings, data and seed, and one results folder for all"
        )


def _cluster(text: str) -> tuple[list[str], int]:
    """Return the workers' addresses and this process's index, of the text of `TF_CONFIG`."""
    try:
        content = json.loads(text)
        addresses, task = content["cluster"]["worker"], content["task"]
        right = [*content["cluster"]] == ["worker"] and task["type"] == "worker"
        if right and all(":" in address for address in addresses):
            if 0 <= task["index"] < len(addresses):
                return addresses, task["index"]
    except (ValueError, KeyError, TypeError):
        pass
    raise ClusterError(
        "strategy multi_worker needs the environment variable TF_CONFIG: all workers' addresses, "
        f"the chief's first, and which one this process is; got {text or 'nothing'!r}; for "
        f"example, on the first of two machines: {_EXAMPLE}"
    )


Steps = Callable[..., tf.data.Dataset]

# === Losses, inside a step ===


def part_of_mean(mean: tf.Tensor) -> tf.Tensor:
    """Return this replica's part of a mean over equally many groups of every replica."""
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return mean if replicas == 1 else mean / replicas


def times_replicas(part: tf.Tensor) -> tf.Tensor:
    """Return what averages to the sum of all replicas' parts."""
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return part if replicas == 1 else part * replicas


def total(count: tf.Tensor) -> tf.Tensor:
    """Return the sum over all replicas; without a gradient, as counts have none."""
    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return count
    everywhere = tf.distribute.get_replica_context().all_reduce("SUM", count)
    return tf.stop_gradient(everywhere)


# === Steps and network ===


def check_division(config: ExperimentConfig, groups: int, replicas: int) -> None:
    """Check that a configuration can be trained by so many replicas.

    Args:
        config: the settings.
        groups: groups of a step.
        replicas: of the network.

    Raises:
        ConfigError: groups cannot be divided equally, or an option is for one replica alone.
    """
    if replicas == 1:
        return
    name = "attributes_per_step" if config.sampling == "batch_all" else "triplets_per_step"
    if groups % replicas:
        raise ConfigError(
            f"every replica takes equally many groups of a step: {name} must be a multiple of "
            f"{replicas}, the number of replicas; got {groups}"
        )
    if config.xla:
        raise ConfigError(
            f"xla must be False with several replicas: XLA cannot compile what they exchange "
            f"within a step; got xla=True and {replicas} replicas"
        )
    if config.mixed_precision == "mixed_bfloat16":
        raise ConfigError(
            "mixed_precision must be float32 or mixed_float16 with several replicas: Keras adds "
            "up the statistics that they share in bfloat16, which has too few digits; got "
            f"mixed_bfloat16 and {replicas} replicas"
        )


def share_statistics(network: keras.Model) -> None:
    """Make batch normalisation take its statistics over all replicas; before the first step."""
    if network.distribute_strategy.num_replicas_in_sync == 1:
        return
    for layer in network.submodules:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized, layer.fused = True, False


def divided(steps: Steps, strategy: tf.distribute.Strategy) -> Steps:
    """Return training steps that are divided over the replicas of a strategy.

    Args:
        steps: `asen_tf.data.training_steps`, but for `first_epoch`, `parts` and `of`.
        strategy: with one replica, the steps are returned as they are.

    Returns:
        A function of `first_epoch`. Each worker reads the images of its own replicas alone; which
        images are decoded is the source's affair: a cache holds all of a split from the start.
    """
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return steps

    def of_all_workers(first_epoch: int) -> tf.distribute.DistributedDataset:
        def of_this_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
            here = replicas // context.num_input_pipelines
            first = here * context.input_pipeline_id
            return steps(first_epoch=first_epoch, parts=range(first, first + here), of=replicas)

        return strategy.distribute_datasets_from_function(of_this_worker)

    return of_all_workers


def unreplicated(network: SimilarityModel) -> SimilarityModel:
    """Return a network's copy of one replica, with its weights; itself if it has one replica.

    Reading the statistics of a replicated network takes all workers; the copy can be measured and
    saved by one of them. To be called outside the strategy's scope.
    """
    if network.distribute_strategy.num_replicas_in_sync == 1:
        return network
    copy = type(network).from_config(network.get_config())
    copy.joint = network.joint
    for target, source in zip(copy.local_layers, network.local_layers, strict=True):
        target.trainable = source.trainable  # Keras lists weights in an order that depends on it
    return brought_up_to_date(copy, network)


def brought_up_to_date(copy: SimilarityModel, network: SimilarityModel) -> SimilarityModel:
    """Return the copy, with the network's weights as they are in this worker's first replica."""
    if copy is not network:
        strategy = network.distribute_strategy
        for target, source in zip(copy.weights, network.weights, strict=True):
            target.assign(strategy.experimental_local_results(source)[0])
    return copy
