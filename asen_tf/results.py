"""Reading what finished runs hold."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from asen_tf.config import ExperimentConfig
from asen_tf.evaluation import PairEmbeddings
from asen_tf.models import SimilarityModel, load_saved


@dataclass(frozen=True)
class Run:
    """A finished run: its directory, and readers of what it holds.

    Attributes:
        path: the run's directory.
    """

    path: Path

    @property
    def config(self) -> ExperimentConfig:
        """The run's configuration."""
        return ExperimentConfig.from_dict(self._json("config.json"))

    @property
    def metrics(self) -> dict[str, Any]:
        """The run's numbers, as `metrics.json` holds them."""
        return self._json("metrics.json")

    @property
    def manifest(self) -> dict[str, Any]:
        """Provenance: hashes, versions, commit, machine, time, memory."""
        return self._json("manifest.json")

    def table(self, name: str) -> pd.DataFrame:
        """Return one of the run's tables: "map", "localisation" or "history"."""
        return pd.read_csv(self.path / f"{name}.csv")

    def has(self, name: str) -> bool:
        """Return whether the run holds a table of that name; "localisation" needs true boxes."""
        return (self.path / f"{name}.csv").exists()

    def load_model(self) -> SimilarityModel:
        """Load the trained model; runs no code from the file."""
        return load_saved(self.path / "model.keras")

    def test_pairs(self) -> PairEmbeddings:
        """Return what the model said of the test split's (image, attribute) pairs."""
        with np.load(self.path / "test_pairs.npz", allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        return PairEmbeddings(arrays.pop("pairs"), arrays)

    def _json(self, name: str) -> dict[str, Any]:
        return json.loads((self.path / name).read_text(encoding="utf-8"))
