"""Training: objectives, optimizers, resumable stages."""

from asen_tf.training.pretraining import pretrain_backbone
from asen_tf.training.similarity import train_global, train_jointly
from asen_tf.training.stage import BEST, StageResult

__all__ = ["BEST", "StageResult", "pretrain_backbone", "train_global", "train_jointly"]
