"""The sheet: an examination, its pictures, and where everything in it comes from."""

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

from asen_apps.evidence.catalogue import EvidenceError
from asen_apps.evidence.examination import Examination, NearItem
from asen_apps.evidence.pictures import AttentionPictures, Picture, attend, histograms, photograph
from asen_apps.search.storage import run_settings
from asen_study import provenance
from asen_study.runs import DRAWN, Run, finished_runs
from asen_tf.config import ExperimentConfig
from asen_tf.data import label
from asen_tf.embedder import Embedder
from asen_tf.files import file_digest

NEARLY_ALL = 0.9  # share of what the model sees from which a region singles nothing out
_OF_MANIFEST = ("config_hash", "code_fingerprint", "commit", "data_fingerprint", "seed", "created")
_OF_SETTINGS = ("method", "dataset", "global_size", "source_size", "fit")
_NAMED = 20  # files that could not be compared and are named in a note; the numbers name all
# What a sheet says about a design that is not square, by the model's fit.
_SEEN = {
    "square": "The model sees the centre square of an image: it does not see all of the design.",
    "whole_edge": "The model sees all of an image in a square: its shorter side is padded by "
    "repeating the edge.",
    "whole_mean": "The model sees all of an image in a square: its shorter side is padded with the "
    "image's mean colour.",
}


def find_model(place: Path, config: ExperimentConfig) -> Path:
    """Return the model of the finished run with these settings in a study's directory.

    Of several, a run made by the present code comes first, then the newest.

    Raises:
        EvidenceError: no such run.
    """
    runs = [run for run in finished_runs(place) if run.evaluated]
    fitting = [run for run in runs if run.settings == config.to_dict()]
    if not fitting:
        there = ", ".join(run.path.name for run in runs) or "none"
        raise EvidenceError(
            f"{place} holds no finished run of {config.method}, seed {config.seed}, with these "
            f"settings; finished: {there}; train it by `make study` or notebook 03_train, or name "
            f"a model, such as `-p model {place}`"
        )
    present = provenance.code_fingerprint()

    def merit(run: Run) -> tuple[bool, str, str]:
        return run.origin[0] == present, run.manifest["created"], run.path.name

    return max(fitting, key=merit).path / "model.keras"


def model_origin(path: Path | str, attributes: Sequence[str], embedding: str) -> dict[str, Any]:
    """Describe a model's file, and its run if the file lies in a run's folder.

    Args:
        path: of the model.
        attributes: names of those that the sheet is about.
        embedding: the embedding that was compared.

    Returns:
        `file`, `sha256`, `bytes`; from the run's manifest and settings `run` and what decided
        the training; `map`: by attribute, MAP on the test split and that of a random ranking
        if known, in percent; `features`: by attribute, that of the study's run of untrained
        features on the same data. What is not known is absent.
    """
    path = Path(path)
    origin: dict[str, Any] = {"file": path.name, "sha256": file_digest(path)}
    origin["bytes"] = path.stat().st_size
    settings = run_settings(path)
    try:
        manifest = dict(json.loads(path.with_name("manifest.json").read_text("utf-8")))
    except (OSError, TypeError, ValueError):
        return origin
    if settings is None:  # not the folder of a run
        return origin
    origin["run"] = path.parent.name
    origin |= {name: settings[name] for name in _OF_SETTINGS if name in settings}
    origin |= {name: manifest[name] for name in _OF_MANIFEST if name in manifest}
    origin["packages"] = manifest.get("packages", {})
    if (path.parent / "map.csv").exists():
        table = pd.read_csv(path.parent / "map.csv")
        origin["map"] = {name: _quality(table, name, embedding) for name in attributes}
        if features := _features(path.parent, origin):
            found = {name: _quality(features.table("map"), name, "global") for name in attributes}
            origin["features"] = {name: found[name]["model"] for name in found if found[name]}
    return origin


def _features(place: Path, origin: Mapping[str, Any]) -> Run | None:
    """Return the run of untrained features on the same data beside a run; None without one."""
    for run in finished_runs(place.parent):
        try:
            settings, data = run.settings, run.manifest.get("data_fingerprint")
        except (OSError, ValueError):  # a damaged run says nothing
            continue
        same = data == origin.get("data_fingerprint")
        plain = settings.get("method") == "features" and settings.get("feature_map") == "none"
        if plain and same and settings.get("dataset") == origin.get("dataset") and run.has("map"):
            return run
    return None


def _quality(table: pd.DataFrame, attribute: str, embedding: str) -> dict[str, float]:
    """Return MAP of the model and of a random ranking in one attribute, if known."""
    rows = table[table["attribute"] == attribute]
    random = rows["method"] == "random"
    kinds = {"model": rows[~random & (rows["embedding"] == embedding)], "random": rows[random]}
    found = {kind: float(chosen["map"].iloc[0]) for kind, chosen in kinds.items() if len(chosen)}
    return {kind: round(value, 2) for kind, value in found.items() if math.isfinite(value)}


@dataclass(frozen=True)
class Sheet:
    """Everything that a page and its numbers are made of.

    Attributes:
        examination: what was found.
        photographs: by path.
        attention: by path and attribute; empty for a model without attention.
        histogram: the distributions, with the found items.
        origin: of the model, see `asen_apps.evidence.sheet.model_origin`.
        software: what made the sheet: commit, code fingerprint, versions.
        made: when, in ISO 8601.
        fit: how the model's images become squares.
    """

    examination: Examination
    photographs: Mapping[Path, Picture]
    attention: Mapping[tuple[Path, str], AttentionPictures]
    histogram: Picture
    origin: Mapping[str, Any]
    software: Mapping[str, Any]
    made: str
    fit: str = "square"

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

    @property
    def shown(self) -> list[NearItem]:
        """The items that it shows in any view, each once, by name."""
        items = {item.path: item for view in self.examination.views for item in view.found}
        return sorted(items.values(), key=lambda item: item.name)

    @cached_property
    def warnings(self) -> list[str]:
        """Why the numbers may mean little: above everything, in red; empty if nothing is known."""
        found = []
        if self.origin.get("dataset") in DRAWN:
            found.append("The model was trained on drawings and has never seen a photograph.")
        elif not any(self.origin.get("map", {}).values()):
            found.append(
                "Nothing is known of how well the model tells attributes apart in pictures like "
                "these: no measurement lies beside its file."
            )
        elif strange := self._elsewhere():
            found.append(
                f"The model was measured on pictures of {self.origin['dataset']}; nothing is known "
                f"of how well it tells attributes apart in pictures like {' and '.join(strange)}."
            )
        design, measured = self.examination.design, self.origin.get("map", {})
        sides = (design.width, design.height)
        frame = (min(sides) if self.fit == "square" else max(sides)) ** 2
        for name in self.examination.weights:
            if (design.path, name) in self.attention:
                left, top, right, bottom = self.attention[design.path, name].box
                share = (right - left) * (bottom - top) / frame
                if share >= NEARLY_ALL:
                    found.append(
                        f"{label(name)}: the region is {share:.0%} of what the model sees, so no "
                        "part of the design was singled out."
                    )
            plain, score = self.origin.get("features", {}).get(name), measured.get(name, {})
            if plain is not None and "model" in score and score["model"] <= plain:
                found.append(
                    f"{label(name)}: on its own test images the model, with a MAP of "
                    f"{score['model']:.1f}, is no better than untrained features ({plain:.1f})."
                )
        return found

    def _elsewhere(self) -> list[str]:
        """Name what lies outside the dataset that the model was measured on, if that is known."""
        dataset, asked = self.origin.get("dataset"), self.examination
        places = {"the design": asked.design.path, "the catalogue's": asked.catalogue.root}
        known = dataset is not None
        return [n for n, place in places.items() if known and dataset not in place.resolve().parts]

    @cached_property
    def notes(self) -> list[str]:
        """What a reader should know about this sheet in particular."""
        examination, catalogue = self.examination, self.examination.catalogue
        notes = []
        if examination.same_files:
            left = examination.settings["leave_out_same"]
            notes.append(
                "The same file: the catalogue holds the design's own content as "
                f"{', '.join(examination.same_files)}; "
                f"{'left out of the comparison' if left else 'compared, and marked'}."
            )
        if catalogue.repeated:
            notes.append(
                f"Of {len(catalogue):,} files in the catalogue, {catalogue.repeated:,} repeat the "
                "content of another one: such copies are each other's nearest neighbours, with "
                "similarity 1."
            )
        if catalogue.left_out:
            listed = [f"{name}: {why}" for name, why in catalogue.left_out.items()]
            more = f"; and {len(listed) - _NAMED:,} more" if len(listed) > _NAMED else ""
            shown = "; ".join(listed[:_NAMED])
            notes.append(f"Files that could not be compared: {len(listed):,}. {shown}{more}.")
        if not examination.tells_attributes_apart:
            notes.append(
                "This model ignores attributes: it compares images as a whole, so the numbers are "
                "the same for all attributes."
            )
        if not self.attention:
            notes.append("This model has no attention: maps and regions are left out.")
        if examination.design.width != examination.design.height:
            notes.append(_SEEN[self.fit])
        if "run" not in self.origin:
            notes.append("There is no record beside the model's file of how it was trained.")
        reached = [
            f"{label(name)} {found['model']:.0f} (a random order: {found['random']:.0f})"
            for name, found in self.origin.get("map", {}).items()
            if {"model", "random"} <= set(found)
        ]
        if reached:
            notes.append(
                "How well the model tells values of the attributes apart, as mean average "
                f"precision on its own test images, out of 100: {', '.join(reached)}."
            )
        return notes


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
    design, views = examination.design, examination.views
    items = [item for view in views for item in view.found]
    files = {item.path: (item.sha256, f"Catalogue item {item.name}") for item in items}
    files[design.path] = design.sha256, "The design"
    photographs = {}
    for path, (digest, title) in files.items():
        if not path.is_file() or file_digest(path) != digest:
            raise EvidenceError(f"{path} was changed since it was compared; compare again")
        named = f"{title}: {path.name}" if path == design.path else title
        photographs[path] = photograph(path, named)
    wanted = [(design.path, name) for name in examination.weights]
    wanted += [
        (item.path, name) for view in views for item in view.found for name in view.attributes
    ]
    attention = {}
    for path, name in tqdm(dict.fromkeys(wanted), desc="attention", disable=not progress):
        pictures = attend(embedder, path, name, files[path][1])
        if pictures is None:
            break
        attention[path, name] = pictures
    return Sheet(
        examination=examination,
        photographs=photographs,
        attention=attention,
        histogram=histograms(views),
        origin=model_origin(model, list(examination.weights), examination.settings["embedding"]),
        software={name: v for name, v in provenance.describe().items() if name != "created"},
        made=(made or datetime.now(UTC)).isoformat(timespec="seconds"),
        fit=embedder.model.settings.fit,
    )
