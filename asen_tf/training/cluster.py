"""Who trains a network: one process with one replica of it, or several replicas as one.

Each of several replicas sees an equal part of a step's groups. So that the step is the one that a
single process would take:

- gradients of the replicas are added up, so each minimises its equal share of the step's loss; the
  mean over active triplets is taken over those of all replicas, which differ in how many they have;
- batch normalisation takes its statistics over the whole step. What is left is rounding: the
  variance is computed as E(x^2) - E(x)^2, and the moving variance without Bessel's correction,
  N / (N - 1) of N positions in a step, that the fused kernel of a single process applies (1e-4 at
  the paper's size). No training loss depends on it;
- dropout (RPF's) draws the numbers of the whole step in every replica, which takes its own rows.

Networks of `keras.applications` that draw noise (drop-connect) draw other noise in each replica.

Replicas may be in several processes, the workers that `TF_CONFIG` lists. The first is the chief: it
alone writes. Workers train in step; one that ends takes the others with it, and all of them,
started again, go on from the last finished epoch.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager

import keras
import tensorflow as tf

from asen_tf.config import TWO_BRANCHES, ConfigError, ExperimentConfig
from asen_tf.data.sampling import Plan
from asen_tf.models import SimilarityModel

Steps = Callable[..., tf.data.Dataset]

_EXAMPLE = (
    'TF_CONFIG=\'{"cluster": {"worker": ["host1:12345", "host2:12345"]}, '
    '"task": {"type": "worker", "index": 0}}\''
)


class ClusterError(RuntimeError):
    """The workers of a cluster do not fit together, or one of them is gone."""


class Team:
    """One process that trains one replica of a network: it shares nothing and never waits.

    This is the trivial case; `ReplicaTeam` is for several replicas. Training code calls the same
    methods on both.

    Args:
        strategy: TensorFlow's distribution strategy; the network is made in its scope.

    Attributes:
        strategy: TensorFlow's distribution strategy.
        replicas: of the network, in all workers together.
        workers: processes that train together.
        is_chief: whether this process is the one that writes.
    """

    replicas = 1
    workers = 1
    is_chief = True

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        self.strategy = strategy

    def scope(self) -> AbstractContextManager:
        """Return the context in which network, optimizer and trainer are made."""
        return self.strategy.scope()

    def from_chief(self, number: int) -> int:
        """Return the chief's number; no worker continues until all have called this.

        Args:
            number: an integer; the other workers' are ignored.
        """
        return number

    def agree(self, number: int, what: str) -> None:
        """Check that every worker has the chief's number; none continues until all have called it.

        Args:
            number: an integer.
            what: what the number stands for, in the error.

        Raises:
            ClusterError: in a worker whose number differs from the chief's.
        """
        right = self.from_chief(number)
        if right != number:
            raise ClusterError(
                f"all workers must have the same {what}; this one has {number}, the chief {right}; "
                "give them the same code, settings, data and seed, and one results folder for all"
            )

    def prepare(
        self, network: SimilarityModel, config: ExperimentConfig, plan: Callable[[int], Plan]
    ) -> None:
        """Make a network ready to be trained by all replicas; before its first step.

        Raises:
            ConfigError: the settings do not suit the number of replicas.
        """

    def divided(self, steps: Steps) -> Steps:
        """Return training steps that are divided over the replicas.

        Args:
            steps: `asen_tf.data.training_steps`, except for `first_epoch`, `parts` and `of`.

        Returns:
            A function of `first_epoch`. Each worker reads the images of its own replicas alone;
            which images are decoded is up to the source: a cache holds all of a split from the
            start.
        """
        return steps

    def single(self, network: keras.Model) -> Callable[[], keras.Model]:
        """Return what gives a network of one replica, with the network's present weights.

        One process can measure and save it, while reading the statistics of a replicated network
        takes all workers. To be called outside the strategy's scope.
        """
        return lambda: network


class ReplicaTeam(Team):
    """Several replicas of a network that train as one, in this process or in several workers."""

    @property
    def replicas(self) -> int:
        """The number of replicas, of all workers together."""
        return self.strategy.num_replicas_in_sync

    @property
    def workers(self) -> int:
        """Processes that train together."""
        resolver = self.strategy.cluster_resolver
        return 1 if resolver is None else resolver.cluster_spec().num_tasks("worker")

    @property
    def is_chief(self) -> bool:
        """Whether this process is the one that writes."""
        resolver = self.strategy.cluster_resolver
        return resolver is None or resolver.task_id in (None, 0)

    def from_chief(self, number: int) -> int:
        """Broadcast the chief's number; this also synchronises the workers."""
        if self.workers == 1:
            return number

        @tf.function
        def added(own: tf.Tensor) -> tf.Tensor:
            here = tf.identity(own)  # on the replica's device, which the sum is returned to
            return tf.distribute.get_replica_context().all_reduce("SUM", here)

        own = tf.constant(number if self.is_chief else 0, tf.int64)
        everywhere = self.strategy.run(added, args=(own,))
        total = self.strategy.experimental_local_results(everywhere)[0]
        return int(total) // (self.replicas // self.workers)

    def prepare(
        self, network: SimilarityModel, config: ExperimentConfig, plan: Callable[[int], Plan]
    ) -> None:
        """Check that steps can be divided; share the statistics of batch normalisation."""
        check_division(config, plan(0).images.shape[1], self.replicas)
        self.share_statistics(network)

    def share_statistics(self, network: keras.Model) -> None:
        """Make batch normalisation take its statistics over all replicas."""
        for layer in network.submodules:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized, layer.fused = True, False

    def divided(self, steps: Steps) -> Steps:
        """Give each worker the parts of its own replicas."""

        def for_all_workers(first_epoch: int) -> tf.distribute.DistributedDataset:
            def for_this_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
                here = self.replicas // context.num_input_pipelines
                first = here * context.input_pipeline_id
                parts = range(first, first + here)
                return steps(first_epoch=first_epoch, parts=parts, of=self.replicas)

            return self.strategy.distribute_datasets_from_function(for_this_worker)

        return for_all_workers

    def single(self, network: SimilarityModel) -> Callable[[], SimilarityModel]:
        """Copy the network; each call gives the copy this worker's first replica's weights."""
        copy = type(network).from_config(network.get_config())
        copy.joint = network.joint
        for target, source in zip(copy.local_layers, network.local_layers, strict=True):
            target.trainable = source.trainable  # Keras lists weights in an order depending on it

        def up_to_date() -> SimilarityModel:
            for target, source in zip(copy.weights, network.weights, strict=True):
                target.assign(self.strategy.experimental_local_results(source)[0])
            return copy

        return up_to_date


# === Which team ===


# The process's one: several would number their exchanges alike.
_mirrored = functools.cache(tf.distribute.MirroredStrategy)


def team_of(strategy: tf.distribute.Strategy) -> Team:
    """Return the team of a strategy; networks have theirs as `distribute_strategy`."""
    return Team(strategy) if strategy.num_replicas_in_sync == 1 else ReplicaTeam(strategy)


def team_for(config: ExperimentConfig) -> Team:
    """Return the team that a configuration's `strategy` asks for.

    Raises:
        ClusterError: see `cluster_strategy`.
    """
    if config.strategy == "mirrored":
        return team_of(_mirrored())
    if config.strategy == "multi_worker":
        return team_of(cluster_strategy())
    return team_of(tf.distribute.get_strategy())


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


def keeps_files() -> bool:
    """Return whether this process may write results: false in workers other than the chief."""
    joined = cluster_strategy.cache_info().currsize > 0
    return not joined or team_of(cluster_strategy()).is_chief


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


# === What several replicas need ===


def check_division(config: ExperimentConfig, groups: int, replicas: int) -> None:
    """Check that this many replicas can train a configuration.

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
    if config.alignment == "e_info_nce" and config.method in TWO_BRANCHES:
        raise ConfigError(
            "alignment must be cosine with several replicas: e_info_nce compares all images of a "
            f"step, and a replica sees its own alone; got e_info_nce and {replicas} replicas"
        )
    if config.mixed_precision == "mixed_bfloat16":
        raise ConfigError(
            "mixed_precision must be float32 or mixed_float16 with several replicas: Keras adds "
            "up the statistics that they share in bfloat16, which has too few digits; got "
            f"mixed_bfloat16 and {replicas} replicas"
        )


def equal_share(count: tf.Tensor, *, least: float) -> tf.Tensor:
    """Return an equal share of the sum of all replicas' counts; within a step.

    Args:
        count: a scalar, this replica's; it gets no gradient from the others.
        least: a lower bound of the sum.

    Returns:
        The sum divided by the number of replicas: of a single replica, its own count.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if replicas == 1:
        return tf.maximum(count, least)
    everywhere = tf.distribute.get_replica_context().all_reduce("SUM", count)
    return tf.maximum(tf.stop_gradient(everywhere), least) / replicas
