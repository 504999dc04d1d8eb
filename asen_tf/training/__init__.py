"""Training: objectives, optimizers, resumable stages."""

from asen_tf.training.pretraining import pretrain_backbone
from asen_tf.training.similarity import Phase, phases, train
from asen_tf.training.stage import BEST, StageResult

__all__ = ["BEST", "Phase", "StageResult", "phases", "pretrain_backbone", "train"]
