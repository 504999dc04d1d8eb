"""Training: objectives, optimizers, resumable stages; one process, several replicas or workers."""

from asen_tf.training.failures import OutOfMemoryError, remedies
from asen_tf.training.phases import Phase, phases
from asen_tf.training.pretraining import pretrain_backbone
from asen_tf.training.replicas import unreplicated
from asen_tf.training.similarity import train
from asen_tf.training.stage import BEST, StageResult
from asen_tf.training.workers import ClusterError, agree, cluster_strategy, from_chief, is_chief

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
