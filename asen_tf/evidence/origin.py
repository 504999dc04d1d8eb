"""Where a model comes from: its file, and what its run wrote beside it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from asen_tf.config import ExperimentConfig
from asen_tf.evidence.errors import EvidenceError
from asen_tf.files import file_digest
from asen_tf.provenance import code_fingerprint
from asen_tf.studies import finished_runs

_OF_MANIFEST = ("config_hash", "code_fingerprint", "commit", "data_fingerprint", "seed", "created")
_OF_SETTINGS = ("method", "dataset", "global_size", "source_size")


def find_model(results_dir: Path | str, study: str, config: ExperimentConfig) -> Path:
    """Return the model of a study's finished run with these settings; nothing is trained.

    Of several, a run made by the present code comes first, then the newest.

    Raises:
        EvidenceError: there is none.
    """
    place = Path(results_dir, study)
    runs = [run for run in finished_runs(place) if run.evaluated]
    fitting = [run for run in runs if run.settings == config.to_dict()]
    if not fitting:
        there = ", ".join(run.path.name for run in runs) or "none"
        raise EvidenceError(
            f"{place} holds no finished run of {config.method}, seed {config.seed}, with these "
            f"settings; finished: {there}; train it by `make study` or notebook 03_train, or name "
            "the file of a model"
        )
    present = code_fingerprint()
    newest = max(
        fitting,
        key=lambda run: (run.origin[0] == present, run.manifest["created"], run.path.name),
    )
    return newest.path / "model.keras"


def model_origin(path: Path | str, attributes: Sequence[str], embedding: str) -> dict[str, Any]:
    """Describe a model's file, and its run where the file lies in the folder of one.

    Args:
        path: of the model.
        attributes: names of those that the sheet is about.
        embedding: the embedding that was compared.

    Returns:
        `file`, `sha256`, `bytes`; from the run's manifest and settings `run` and what decided
        the training; `map`: by attribute, MAP on the test split and that of a random ranking
        where known, in percent. What is not known is not there.
    """
    path = Path(path)
    origin: dict[str, Any] = {
        "file": path.name,
        "sha256": file_digest(path),
        "bytes": path.stat().st_size,
    }
    manifest, settings = (_json(path.parent / f"{name}.json") for name in ("manifest", "config"))
    if manifest is None or settings is None:
        return origin
    origin["run"] = path.parent.name
    origin |= {name: settings[name] for name in _OF_SETTINGS if name in settings}
    origin |= {name: manifest[name] for name in _OF_MANIFEST if name in manifest}
    origin["packages"] = manifest.get("packages", {})
    if (path.parent / "map.csv").exists():
        table = pd.read_csv(path.parent / "map.csv")
        origin["map"] = {name: _quality(table, name, embedding) for name in attributes}
    return origin


def _quality(table: pd.DataFrame, attribute: str, embedding: str) -> dict[str, float]:
    """Return MAP of the model and of a random ranking in one attribute, where known."""
    rows = table[table["attribute"] == attribute]
    random = rows["method"] == "random"
    kinds = {"model": rows[~random & (rows["embedding"] == embedding)], "random": rows[random]}
    found = {kind: float(chosen["map"].iloc[0]) for kind, chosen in kinds.items() if len(chosen)}
    return {kind: round(value, 2) for kind, value in found.items() if math.isfinite(value)}


def _json(path: Path) -> dict[str, Any] | None:
    """Return a file's object; None where there is no file, or none of that kind."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
