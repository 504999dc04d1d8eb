"""The settings of a run, and their rules."""

from asen_tf.config.rules import BACKBONES, METHODS, ConfigError
from asen_tf.config.settings import ExperimentConfig

__all__ = ["BACKBONES", "METHODS", "ConfigError", "ExperimentConfig"]
