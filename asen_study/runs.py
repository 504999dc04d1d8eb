"""Where things are, the finished runs of a study, and which of them count for its tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from asen_study.matrix import ROWS, in_fold, row_of, settings
from asen_study.provenance import code_fingerprint
from asen_tf.config import ConfigError, ExperimentConfig
from asen_tf.evaluation.retrieval import PairEmbeddings
from asen_tf.models import SimilarityModel, load_saved


@dataclass(frozen=True)
class Places:
    """Where a study finds its data and keeps what it makes.

    Attributes:
        data_dir: the directory of meta.json and the datasets.
        results_dir: where the studies are kept.
        study: the study's directory in it.
    """

    data_dir: str | Path = "data"
    results_dir: str | Path = "results/runs"
    study: str = "quick"

    @property
    def study_dir(self) -> Path:
        """The study's directory."""
        return Path(self.results_dir) / self.study

    @property
    def parameters(self) -> dict[str, str]:
        """The three, as notebooks take them."""
        return {name: str(getattr(self, name)) for name in self.__dataclass_fields__}


# Datasets of drawings: what a model learned from them says little about photographs.
DRAWN = ("Garments", "GarmentsFirst")


@dataclass(frozen=True)
class Run:
    """The directory of a finished run, and readers of its contents.

    Attributes:
        path: the run's directory.
        contents: what its JSON files hold, by name, as far as they have been read; given for a
            run whose directory is gone.
    """

    path: Path
    contents: dict[str, Mapping[str, Any]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def settings(self) -> Mapping[str, Any]:
        """The run's settings, as its `config.json` holds them."""
        return self._json("config.json")

    @property
    def config(self) -> ExperimentConfig:
        """The run's configuration."""
        return ExperimentConfig.from_dict(self.settings)

    @property
    def metrics(self) -> Mapping[str, Any]:
        """The run's numbers, as `metrics.json` holds them."""
        return self._json("metrics.json")

    @property
    def manifest(self) -> Mapping[str, Any]:
        """Provenance: hashes, versions, commit, machine, time, memory."""
        return self._json("manifest.json")

    @property
    def origin(self) -> tuple[str, str]:
        """Fingerprints of the code and the data; runs of one table share both."""
        return self.manifest["code_fingerprint"], self.manifest["data_fingerprint"]

    @property
    def evaluated(self) -> bool:
        """Whether it is a method's run, with its numbers; what runs start from is not."""
        return (self.path / "metrics.json").exists()

    def table(self, name: str) -> pd.DataFrame:
        """Return one of the run's tables: "map", "localisation" or "history"."""
        return pd.read_csv(self.path / f"{name}.csv")

    def has(self, name: str) -> bool:
        """Return whether the run holds a table of that name; "localisation" needs true boxes."""
        return (self.path / f"{name}.csv").exists()

    def holds(self, file: str) -> bool:
        """Return whether a file is here; unpacked from records, no model and no embeddings are."""
        return (self.path / file).exists()

    def load_model(self) -> SimilarityModel:
        """Load the trained model; runs no code from the file."""
        return load_saved(self.path / "model.keras")

    def test_pairs(self) -> PairEmbeddings:
        """Return the model's outputs for the test split's (image, attribute) pairs."""
        with np.load(self.path / "test_pairs.npz", allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        return PairEmbeddings(arrays.pop("pairs"), arrays)

    def precisions(self) -> dict[str, dict[str, np.ndarray]]:
        """Return every test query's average precision: embedding, attribute -> `(Q,)`, fractions.

        Chance is the embedding "random"; of the others the last one is retrieved with.
        """
        found: dict[str, dict[str, np.ndarray]] = {}
        with np.load(self.path / "queries.npz", allow_pickle=False) as stored:
            names = [name.split("/", 1) for name in stored.files]
            for kind in ("random", "global", "local", "fused"):
                own = {name: stored[f"{kind}/{name}"] for part, name in names if part == kind}
                found |= {kind: own} if own else {}
        return found

    def _json(self, name: str) -> Mapping[str, Any]:
        if name not in self.contents:
            self.contents[name] = json.loads((self.path / name).read_text(encoding="utf-8"))
        return self.contents[name]


@dataclass(frozen=True)
class Selection:
    """The runs of a study's tables, and why the others are not among them.

    Attributes:
        runs: the runs that count, in the order of the matrix, then by seed.
        rows: the row of the matrix that each of `runs` is.
        left_out: the reason, by the name of the run's directory.
    """

    runs: tuple[Run, ...]
    rows: tuple[str, ...]
    left_out: Mapping[str, str]

    @property
    def named(self) -> list[tuple[Run, str]]:
        """The runs, each with its row."""
        return list(zip(self.runs, self.rows, strict=True))


def shared_place(places: Places, name: str) -> Path:
    """Return the directory of what several runs start from; its name holds its key.

    That is its place in the study, unless another study of the results folder has finished it.

    Args:
        places: where the study is.
        name: of the directory.
    """
    own, results = places.study_dir / name, Path(places.results_dir)
    made = [*results.glob(f"*/{name}/manifest.json"), *results.glob(f"*/*/{name}/manifest.json")]
    hidden = [
        path for path in made if any(part[0] == "." for part in path.relative_to(results).parts)
    ]
    seen = sorted(set(made) - set(hidden))
    return own if own.exists() or not seen else seen[0].parent


def finished_runs(place: Path) -> list[Run]:
    """Return everything finished under a study's directory, backbones included, by name."""
    found = (path.parent for path in sorted(place.glob("*/manifest.json")))
    return [Run(path) for path in found if not path.name.startswith(".")]


def select(place: Path, config: ExperimentConfig) -> Selection:
    """Choose the runs whose numbers may stand side by side in one table.

    A run counts when its settings are those of a row of `asen_study.matrix` in a study with the
    settings `config`, whatever its seed, and when code and data are those of the newest such run;
    runs made by the present code come before all others. So neither a variation that was tried
    nor a run from before a change gets into the table. Folds (`asen_study.matrix.in_fold`) are
    datasets of their own: the code is the same for all of them, the data for each.

    Args:
        place: the study's directory.
        config: the study's settings.
    """
    runs = [run for run in finished_runs(place) if run.evaluated]
    rows = {run.path.name: row_of(run.settings, config) for run in runs}
    fitting = [run for run in runs if rows[run.path.name]]
    left_out = {
        run.path.name: _differences(run.settings, config) for run in runs if run not in fitting
    }
    present = code_fingerprint()

    def age(run: Run) -> tuple[bool, str, str]:
        return run.origin[0] == present, run.manifest["created"], run.path.name

    by_age = sorted(fitting, key=age)
    newest = {run.settings["dataset"]: run for run in by_age}  # the last one of each stays
    for run in fitting:
        other = newest[run.settings["dataset"]]
        if run.origin[0] != by_age[-1].origin[0]:
            left_out[run.path.name] = f"made with other code than {by_age[-1].path.name}"
        elif run.origin[1] != other.origin[1]:
            left_out[run.path.name] = f"made with other data than {other.path.name}"
    for run in _lent_alone(fitting, rows):
        left_out[run.path.name] = (
            "its network is the second one of a pair; all other rows have lower seeds"
        )
    order = {row: position for position, row in enumerate(ROWS)}
    counted = sorted(
        (run for run in fitting if run.path.name not in left_out),
        key=lambda run: (order[rows[run.path.name]], run.settings["seed"]),
    )
    return Selection(tuple(counted), tuple(rows[run.path.name] for run in counted), left_out)


def _lent_alone(runs: Sequence[Run], rows: Mapping[str, str | None]) -> list[Run]:
    """Return the runs that were trained for a pair of networks alone.

    All other runs have lower seeds: with them, a method would be averaged over more seeds than
    others.
    """
    seeds = {run: run.settings["seed"] for run in runs}
    pairs = [run for run in runs if run.settings.get("networks", 1) > 1]
    lent = {seeds[run] + 1 for run in pairs}
    single = {rows[run.path.name].split("/")[0] for run in pairs}
    alone = [run for run in runs if rows[run.path.name] in single]
    asked = {seeds[run] for run in runs if run not in alone or seeds[run] not in lent}
    return [run for run in alone if seeds[run] in lent and seeds[run] > max(asked, default=-1)]


def _differences(found: Mapping[str, Any], config: ExperimentConfig) -> str:
    """Say in which settings a run differs from the study's own row of its method."""
    try:
        study = in_fold(config, found.get("seed", config.seed))
        wanted = settings(found["method"], study).to_dict()
    except (ConfigError, KeyError):
        return f"method {found.get('method')!r} is not a row of the matrix"
    different = [
        f"{name} {found.get(name)!r} instead of {wanted.get(name)!r}"
        for name in {**wanted, **found}
        if name != "seed" and found.get(name) != wanted.get(name)
    ]
    return "; ".join(different)
