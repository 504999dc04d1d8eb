"""Running notebooks one after the other, and knowing which are out of date.

Whether a step is up to date is written into its own product, the executed notebook, when that is
finished. So a pipeline that is killed loses nothing but the step it was in.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import papermill

from asen_tf.annotations import AnnotationError, fingerprint
from asen_tf.config import ExperimentConfig
from asen_tf.files import replacing
from asen_tf.presets import preset
from asen_tf.provenance import code_fingerprint
from asen_tf.studies import FinishedRun, finished_runs

ROOT = Path(__file__).parents[1]
_STAMP = "asen_tf_stamp"  # the key in the executed notebook's metadata


@dataclass(frozen=True)
class Study:
    """Where a study's data, results and settings are.

    Attributes:
        profile: name of the preset, and of the study.
        data_dir: the directory of meta.json and the datasets.
        results_dir: where the studies are kept.
    """

    profile: str
    data_dir: str
    results_dir: str

    @property
    def place(self) -> Path:
        """The study's directory."""
        return Path(self.results_dir) / self.profile

    @property
    def config(self) -> ExperimentConfig:
        """The study's settings."""
        return preset(self.profile)

    def data_fingerprint(self) -> str:
        """Identify the content of the data; "absent" where there is none yet."""
        try:
            return fingerprint(self.data_dir, self.config.dataset)
        except (AnnotationError, OSError):
            return "absent"

    def current_runs(self) -> list[FinishedRun]:
        """Return what the present code has finished on the present data, backbones included."""
        origin = (code_fingerprint(), self.data_fingerprint())
        return [run for run in finished_runs(self.place) if run.origin == origin]


@dataclass(frozen=True)
class Step:
    """A notebook, and what it is run with.

    Attributes:
        study: the study it belongs to.
        notebook: the notebook's file name without suffix.
        parameters: what papermill sets.
        makes: what the notebook leaves in the study's directory besides its executed copy:
            nothing, the study's "backbone", its "run", or tables of all "runs".
    """

    study: Study
    notebook: str
    parameters: Mapping[str, Any]
    makes: str = ""

    @property
    def source(self) -> Path:
        """The notebook."""
        return ROOT / "notebooks" / f"{self.notebook}.ipynb"

    @property
    def executed(self) -> Path:
        """Its executed copy."""
        return self.study.place / "notebooks" / f"{self.notebook}.ipynb"

    def execute(self) -> None:
        """Run the notebook; its output goes to the terminal, the finished copy to `executed`."""
        # A kernel of the same name from elsewhere would have other packages.
        os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
        with replacing(self.executed) as temporary:
            notebook = papermill.execute_notebook(
                self.source,
                temporary,
                parameters=dict(self.parameters),
                kernel_name="python3",
                cwd=ROOT,
                progress_bar=False,
                stdout_file=sys.stdout,
                stderr_file=sys.stderr,
            )
            notebook.metadata[_STAMP] = self.stamp()
            nbformat.write(notebook, temporary)

    def is_current(self) -> bool:
        """Return whether the executed copy is what `execute` would make again."""
        if not self.executed.exists():
            return False
        metadata = json.loads(self.executed.read_text(encoding="utf-8"))["metadata"]
        return metadata.get(_STAMP) == self.stamp()

    def stamp(self) -> str:
        """Identify notebook, parameters, code, data, and what the step has made of them."""
        digest = hashlib.sha256(self.source.read_bytes())
        for package in ("asen_tf", "data_prep"):
            for path in sorted((ROOT / package).rglob("*.py")):
                digest.update(path.read_bytes())
        facts = [dict(self.parameters), self.study.data_fingerprint(), self._made()]
        digest.update(json.dumps(facts, sort_keys=True).encode())
        return digest.hexdigest()

    def _made(self) -> list[str]:
        config, runs = self.study.config, self.study.current_runs()
        chosen = {
            "": [],
            "backbone": [run for run in runs if not run.evaluated],
            "run": [run for run in runs if run.settings == config.to_dict() and run.evaluated],
            "runs": [run for run in runs if run.evaluated],
        }
        return [run.path.name for run in chosen[self.makes]]
