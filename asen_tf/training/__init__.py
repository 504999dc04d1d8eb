"""Training: objectives, optimizers, resumable stages; one process, several replicas or workers."""

from asen_tf.training.cluster import ClusterError, Team, keeps_files, team_for
from asen_tf.training.similarity import Phase, phases, train
from asen_tf.training.stage import BEST, StageResult

__all__ = [
    "BEST",
    "ClusterError",
    "Phase",
    "StageResult",
    "Team",
    "keeps_files",
    "phases",
    "team_for",
    "train",
]
