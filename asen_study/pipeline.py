"""Running notebooks one after the other, and knowing which are out of date.

Whether a step is up to date is written into its own product, the executed notebook, when that is
finished. So a pipeline that is killed loses nothing but the step it was in.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import nbformat
import papermill
from nbformat import NotebookNode

from asen_study import matrix
from asen_study.provenance import code_fingerprint
from asen_study.runs import FinishedRun, finished_runs
from asen_tf.config import ExperimentConfig
from asen_tf.data import AnnotationError, fingerprint
from asen_tf.files import replacing
from asen_tf.presets import preset

ROOT = Path(__file__).parents[1]
_NOISE = re.compile(r"W0000 .*PredictCost\(\)|WARNING: All log messages before absl")
_STAMP = "asen_tf_stamp"  # the key in the executed notebook's metadata


@dataclass(frozen=True)
class Study:
    """Where a study's data, results and settings are.

    Attributes:
        name: the study's folder.
        preset: the settings that its runs share.
        data_dir: the directory of meta.json and the datasets.
        results_dir: where the studies are kept.
    """

    name: str
    preset: str
    data_dir: str
    results_dir: str

    @property
    def place(self) -> Path:
        """The study's directory."""
        return Path(self.results_dir) / self.name

    @property
    def config(self) -> ExperimentConfig:
        """The study's settings."""
        return preset(self.preset)

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
            nothing, a "backbone", the "run" of its settings, or tables of all "runs".
        suffix: what the name of the executed copy adds to the notebook's.
    """

    study: Study
    notebook: str
    parameters: Mapping[str, Any]
    makes: str = ""
    suffix: str = ""

    @property
    def source(self) -> Path:
        """The notebook."""
        return ROOT / "notebooks" / f"{self.notebook}.ipynb"

    @property
    def config(self) -> ExperimentConfig:
        """The settings that its parameters ask for."""
        config = matrix.settings(self.parameters.get("method", "asen_pp"), self.study.config)
        return config.override(seed=self.parameters.get("seed", config.seed))

    @property
    def executed(self) -> Path:
        """Its executed copy."""
        return self.study.place / "notebooks" / f"{self.notebook}{self.suffix}.ipynb"

    def execute(self, output: TextIO | None = None, errors: TextIO | None = None) -> None:
        """Run the notebook; the finished copy goes to `executed`.

        Args:
            output: where what it prints goes; by default the terminal.
            errors: likewise for progress bars and messages.
        """
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
                stdout_file=output or sys.stdout,
                stderr_file=errors or sys.stderr,
                extra_arguments=["--IPKernelApp.log_level=40"],  # errors only
            )
            _drop_noise(notebook)
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
        for package in ("asen_tf", "asen_study", "asen_apps", "data_prep"):
            for path in sorted((ROOT / package).rglob("*.py")):
                digest.update(path.read_bytes())
        facts = [dict(self.parameters), self.study.data_fingerprint(), self.made()]
        digest.update(json.dumps(facts, sort_keys=True).encode())
        return digest.hexdigest()

    def made(self) -> list[str]:
        """Return the names of what the present code has finished of what the step makes."""
        runs = self.study.current_runs() if self.makes else []
        chosen = {
            "": [],
            "backbone": [run for run in runs if run.path.name.startswith("backbone-")],
            "run": [run for run in runs if run.evaluated and run.settings == self.config.to_dict()],
            "runs": [run for run in runs if run.evaluated],
        }
        return [run.path.name for run in chosen[self.makes]]


def _drop_noise(notebook: NotebookNode) -> None:
    """Drop what TensorFlow's own graph optimiser says to itself; no setting keeps it quiet."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                lines = output["text"].splitlines(keepends=True)
                output["text"] = "".join(line for line in lines if not _NOISE.match(line))
        if "outputs" in cell:
            cell["outputs"] = [out for out in cell["outputs"] if out.get("text") != ""]
