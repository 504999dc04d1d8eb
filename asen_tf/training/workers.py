"""Several processes that train one network: who they are, and how they agree.

`TF_CONFIG` lists the workers and says which one this process is. The first is the chief: it alone
writes. They train in step; a worker that ends takes the others with it (see
`asen_tf.training.failures`), and all of them, started again, go on from the last finished epoch.
"""

from __future__ import annotations

import functools
import json
import os

import tensorflow as tf

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
