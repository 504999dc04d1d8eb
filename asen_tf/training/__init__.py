"""Training: objectives, optimizers, resumable stages; one process, several replicas or workers."""

from asen_tf.training.cluster import (
    ClusterError,
    agree,
    cluster_strategy,
    from_chief,
    is_chief,
    unreplicated,
)
from asen_tf.training.failures import OutOfMemoryError, remedies
from asen_tf.training.pretraining import pretrain_backbone
from asen_tf.training.similarity import Phase, phases, train
from asen_tf.training.stage import BEST, StageResult

__all__ = [
    "BEST",
    "ClusterError",
    "OutOfMemoryError",
    "Phase",
    "StageResult",
    "agree",
    "cluster_strategy",
    "from_chief",
    "is_chief",
    "phases",
    "pretrain_backbone",
    "remedies",
    "train",
    "unreplicated",
]
