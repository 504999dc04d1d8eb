"""Costs measured again, for a study whose runs are no longer there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from asen_tf import provenance
from asen_tf.config import ExperimentConfig
from asen_tf.files import write_json, write_text
from asen_tf.studies import FinishedRun, Selection
from asen_tf.tables.collecting import TableError
from asen_tf.tables.costs import measure_untrained_costs
from asen_tf.tables.writing import as_csv, tables_to_read

_MEANS = ("overall", "macro")


def remeasure_costs(place: Path | str) -> pd.DataFrame:
    """Measure a written study's costs again on this machine, which should have nothing else to do.

    Needs `map.csv` and `provenance.json`, neither runs nor data. Rewrites `costs.csv`, the columns
    of costs in `map.md` and `map.tex`, and in `provenance.json`, under `costs`, what measured them.

    Args:
        place: the study's directory.

    Returns:
        The costs, as of `asen_tf.tables.measure_costs`.

    Raises:
        TableError: a file that is needed is missing.
    """
    place = Path(place)
    origin, selection, scores = read_back(place)
    configs: dict[str, ExperimentConfig] = {}
    for run, row in zip(selection.runs, selection.rows, strict=True):
        configs.setdefault(row, ExperimentConfig().override(**run.settings))
    names = scores["attribute"].unique()
    attributes = [name for name in names if name not in _MEANS]
    costs = measure_untrained_costs(configs, attributes)
    study = ExperimentConfig().override(**origin["settings"])
    texts = {"costs.csv": as_csv(costs), **tables_to_read(scores, costs, selection, study)}
    for name, text in texts.items():
        write_text(place / name, text)
    write_json(place / "provenance.json", {**origin, "costs": provenance.describe()})
    return costs


def read_back(place: Path) -> tuple[Mapping[str, Any], Selection, pd.DataFrame]:
    """Return a written study's `provenance.json`, the runs that it describes, and `map.csv`.

    Args:
        place: the study's directory.

    Raises:
        TableError: a file is missing.
    """
    for name in ("map.csv", "provenance.json"):
        if not (place / name).exists():
            raise TableError(
                f"{place / name}: the file is missing; costs are measured again for a study whose "
                "tables notebooks/05_results.ipynb or 06_ablations.ipynb have written"
            )
    origin = json.loads((place / "provenance.json").read_text(encoding="utf-8"))
    runs = tuple(
        FinishedRun(place / run["run"], {**origin["settings"], **run["changes"]}, run)
        for run in origin["runs"]
    )
    rows = tuple(run["row"] for run in origin["runs"])
    return origin, Selection(runs, rows, origin["left_out"]), pd.read_csv(place / "map.csv")
