"""The sheet: an examination, its pictures, and where everything in it comes from.

Where a model comes from: its file, and what its run wrote beside it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from asen_apps.evidence import pictures as histograms
from asen_apps.evidence import statements
from asen_apps.evidence.catalogue import EvidenceError
from asen_apps.evidence.pictures import Picture, Seen, look, photograph
from asen_apps.evidence.records import Examination
from asen_study import provenance
from asen_study.provenance import code_fingerprint
from asen_study.runs import finished_runs
from asen_tf.config import ExperimentConfig
from asen_tf.embedder import Embedder
from asen_tf.files import file_digest

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


@dataclass(frozen=True)
class Sheet:
    """Everything that a page and its numbers are made of.

    Attributes:
        examination: what was found.
        photographs: by path.
        seen: by path and attribute; empty for a model without attention.
        histogram: the distributions, with the found items.
        origin: of the model, see `asen_apps.evidence.sheet.model_origin`.
        software: what made the sheet: commit, code fingerprint, versions.
        made: when, in ISO 8601.
    """

    examination: Examination
    photographs: Mapping[Path, Picture]
    seen: Mapping[tuple[Path, str], Seen]
    histogram: Picture
    origin: Mapping[str, Any]
    software: Mapping[str, Any]
    made: str

    @cached_property
    def name(self) -> str:
        """The name of its files: the same for the same question only.

        It is the design's name, made plain, the start of the design's SHA-256, and that of a
        SHA-256 over catalogue, model, weights and settings.
        """
        asked = self.examination
        question = [
            *(asked.catalogue.fingerprint, asked.catalogue.names, self.origin["sha256"]),
            *(dict(asked.weights), dict(asked.settings)),
        ]
        digest = hashlib.sha256(json.dumps(question).encode()).hexdigest()
        stem = asked.design.path.stem
        plain = re.sub(r"[^A-Za-z0-9._-]+", "_", stem).strip("._-")[:60] or "design"
        return f"{plain}-{asked.design.sha256[:8]}-{digest[:8]}"

    @cached_property
    def notes(self) -> list[str]:
        """What a reader must know besides; see `asen_apps.evidence.statements.notes`."""
        return statements.notes(self.examination, self.origin, attention=bool(self.seen))


def make(
    examination: Examination,
    embedder: Embedder,
    model: Path | str,
    *,
    made: datetime | None = None,
    progress: bool = False,
) -> Sheet:
    """Draw what an examination found, and describe where it comes from.

    Args:
        examination: of `examine`.
        embedder: the model, as for `examine`.
        model: the model's file.
        made: the sheet's date; now when None. The same date and inputs give the same sheet, byte
            for byte.
        progress: show a progress bar.

    Raises:
        EvidenceError: a file was changed or lost since it was compared.
    """
    design = examination.design
    shown = {found.path: found for view in examination.views for found in view.found}
    digests = {design.path: design.sha256}
    digests |= {path: found.sha256 for path, found in shown.items()}
    for path, digest in digests.items():
        if not path.is_file() or file_digest(path) != digest:
            raise EvidenceError(f"{path} was changed since it was compared; compare again")
    photographs = {design.path: photograph(design.path, f"The design: {design.path.name}")}
    for path, found in shown.items():
        photographs.setdefault(path, photograph(path, f"Catalogue item {found.name}"))
    wanted = {(design.path, name): "The design" for name in examination.weights}
    for view in examination.views:
        for found in view.found:
            for attribute in view.attributes:
                wanted.setdefault((found.path, attribute), f"Catalogue item {found.name}")
    seen = {}
    for (path, attribute), who in tqdm(wanted.items(), desc="attention", disable=not progress):
        looked = look(embedder, path, attribute, who)
        if looked is None:
            break
        seen[path, attribute] = looked
    when = datetime.now(UTC) if made is None else made
    return Sheet(
        examination=examination,
        photographs=photographs,
        seen=seen,
        histogram=histograms.picture(examination.views),
        origin=model_origin(model, list(examination.weights), examination.settings["embedding"]),
        software={name: v for name, v in provenance.describe().items() if name != "created"},
        made=when.isoformat(timespec="seconds"),
    )
