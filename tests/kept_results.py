"""The reference results as git keeps them: your own study may have overwritten a file."""

from __future__ import annotations

import functools
import io
import json
import subprocess
from pathlib import Path

import pandas as pd

from asen_study.runs import Run, Selection
from asen_study.tables import StudyTables
from asen_tf.config import ExperimentConfig

ROOT = Path(__file__).parents[1]
# ASEN++ and its controls, as every main table names them: the row, and what it is measured by.
CONTROLLED_FORMS = {
    "ASEN_v2, rates of ASEN++": ("asen_v2/same_rates", "global"),
    "Two ASEN_v2, fused": ("asen_v2/two_seeds", "global"),
    "ASEN++ as published": ("asen_pp", "fused"),
    "ASEN++, whole frame": ("asen_pp/whole_frame", "fused"),
    "ASEN++, adapted": ("asen_pp/adapted", "fused"),
    "ASEN++, adapted, whole frame": ("asen_pp/adapted_whole_frame", "fused"),
}


@functools.cache
def kept(path: str) -> str:
    """Return the text of a file below results/ as it is in git's index; without git, as it is."""
    name = f"results/{path}"
    command = ["git", "-C", str(ROOT), "show", f":./{name}"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    except FileNotFoundError:
        return (ROOT / name).read_text(encoding="utf-8")
    return found.stdout if not found.returncode else (ROOT / name).read_text(encoding="utf-8")


def table(study: str, file: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(kept(f"{study}/{file}")))


def read_back(study: str) -> StudyTables:
    """Return `map.csv` with the runs that `provenance.json` tells of, as if it were collected."""
    origin = json.loads(kept(f"{study}/provenance.json"))
    runs = []
    for run in origin["runs"]:
        settings = {**origin["settings"], **run["changes"]}
        runs.append(Run(Path(run["run"]), {"config.json": settings, "manifest.json": run}))
    rows = tuple(run["row"] for run in origin["runs"])
    selection = Selection(tuple(runs), rows, origin["left_out"])
    config, none = ExperimentConfig().override(**origin["settings"]), pd.DataFrame()
    return StudyTables(table(study, "map.csv"), *[none] * 5, config, selection)
