"""The finished runs of a study, and which of them count for its tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asen_tf.config import ExperimentConfig
from asen_tf.provenance import code_fingerprint

# What may differ between the runs of one table; everything else is the study's setting.
_VARIED = ("method", "seed")

# Methods as they are printed; others by their own name.
LABELS = {"random": "Random", "asen_pp": "ASEN++"}


@dataclass(frozen=True)
class FinishedRun:
    """A finished run, as its directory describes it.

    Attributes:
        path: the run's directory.
        settings: its `config.json`.
        manifest: its `manifest.json`.
    """

    path: Path
    settings: Mapping[str, Any]
    manifest: Mapping[str, Any]

    @property
    def origin(self) -> tuple[str, str]:
        """Fingerprints of the code and the data; runs of one table share both."""
        return self.manifest["code_fingerprint"], self.manifest["data_fingerprint"]

    @property
    def evaluated(self) -> bool:
        """Whether it is a method's run, with a table of MAP; a pretrained backbone is not."""
        return (self.path / "map.csv").exists()


@dataclass(frozen=True)
class Selection:
    """The runs of a study's tables, and why the others are not among them.

    Attributes:
        runs: the runs that count, by method and seed.
        left_out: the reason, by the name of the run's directory.
    """

    runs: tuple[FinishedRun, ...]
    left_out: Mapping[str, str]


def finished_runs(place: Path) -> list[FinishedRun]:
    """Return everything finished under `results/<study>/`, backbones included, by name."""
    found = []
    for path in sorted(place.glob("*/manifest.json")):
        if not path.parent.name.startswith("."):
            settings = json.loads((path.parent / "config.json").read_text(encoding="utf-8"))
            manifest = json.loads(path.read_text(encoding="utf-8"))
            found.append(FinishedRun(path.parent, settings, manifest))
    return found


def select(place: Path, config: ExperimentConfig) -> Selection:
    """Choose the runs whose numbers may stand side by side in one table.

    A run counts when its settings are those of `config`, but for method and seed, and when code
    and data are those of the newest such run; runs made by the present code come before all
    others. So neither a variation that was tried in passing nor a run from before a change gets
    into the table.

    Args:
        place: the study's directory.
        config: the study's settings.
    """
    runs = [run for run in finished_runs(place) if run.evaluated]
    left_out = {run.path.name: _differences(run.settings, config) for run in runs}
    fitting = [run for run in runs if not left_out[run.path.name]]
    present = code_fingerprint()
    newest = max(
        fitting,
        key=lambda run: (run.origin[0] == present, run.manifest["created"], run.path.name),
        default=None,
    )
    for run in fitting:
        if run.origin != newest.origin:
            what = "code" if run.origin[0] != newest.origin[0] else "data"
            left_out[run.path.name] = f"made with other {what} than {newest.path.name}"
    counted = [run for run in fitting if not left_out[run.path.name]]
    counted.sort(key=lambda run: (run.settings["method"], run.settings["seed"]))
    return Selection(tuple(counted), {name: why for name, why in left_out.items() if why})


def _differences(settings: Mapping[str, Any], config: ExperimentConfig) -> str:
    """Say in which settings a run differs from the study's; empty when in none that matters."""
    wanted = config.to_dict()
    names = [name for name in {**wanted, **settings} if name not in _VARIED]
    different = [
        f"{name} {settings.get(name)!r} instead of {wanted.get(name)!r}"
        for name in names
        if settings.get(name) != wanted.get(name)
    ]
    return "; ".join(different)
