"""Evaluation: embeddings of a split, retrieval, localisation."""

from asen_tf.evaluation.embedding import PairEmbeddings, embed_labelled_pairs
from asen_tf.evaluation.report import evaluate, validate

__all__ = ["PairEmbeddings", "embed_labelled_pairs", "evaluate", "validate"]
