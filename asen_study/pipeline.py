"""The steps of a study: notebooks that are run when they are out of date, and that may fail.

Whether a step is up to date is written into its own product, the executed notebook, when that is
finished. So a pipeline that is killed loses nothing but the step it was in. A step that fails is
reported and skipped; whatever else can be made is still made.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

import nbformat
import papermill
from nbformat import NotebookNode

from asen_study import matrix
from asen_study.provenance import ROOT, code_fingerprint
from asen_study.runs import Places, Run, finished_runs
from asen_tf.config import ExperimentConfig
from asen_tf.data import AnnotationError, ImageError
from asen_tf.data.dataset import data_fingerprint
from asen_tf.files import file_digest, replacing, write_text
from asen_tf.presets import preset

# The notebooks check the names themselves, and refuse those that are no setting at all.
logging.getLogger("papermill").addFilter(
    lambda record: "unknown parameter" not in record.getMessage()
)
_STAMP = "asen_tf_stamp"  # the key in the executed notebook's metadata
_PACKAGES = ("asen_tf", "asen_study", "asen_apps", "data_prep")


@functools.cache
def _content(path: Path) -> str:
    """Hash a file, or the code of a package, as it is at the first call in this process.

    An edit while a study runs counts for the next process: what was made meanwhile has the stamp
    of the code before it, and is stale.
    """
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _state(path: Path) -> str:
    """Identify a file by its content, a folder by its files' names, sizes and times."""
    if path.is_file():
        return file_digest(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    about = [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()


def run_notebook(
    source: Path, target: Path, parameters: Mapping[str, Any], **shown: TextIO
) -> NotebookNode:
    """Run a notebook from the project's folder, in a kernel of this environment.

    Args:
        source: the notebook.
        target: the file of its executed copy.
        parameters: what papermill sets.
        shown: papermill's `stdout_file` and `stderr_file`, for what it prints; nowhere by default.
    """
    # A kernel of the same name from elsewhere would have other packages.
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    return papermill.execute_notebook(
        source,
        target,
        parameters=dict(parameters),
        kernel_name="python3",
        cwd=ROOT,
        progress_bar=False,
        extra_arguments=["--IPKernelApp.log_level=40"],  # errors only
        **shown,
    )


@dataclass(frozen=True)
class Study:
    """A study: its settings, and where its data and results are.

    Attributes:
        preset: the settings that its runs share.
        places: where everything is.
        changes: what differs from the preset; a dataset's name may hold `{seed}`, see `for_fold`.
        folds: the folds of such a dataset.
    """

    preset: str
    places: Places
    changes: Mapping[str, Any] = field(default_factory=dict)
    folds: Sequence[int] = ()

    @property
    def config(self) -> ExperimentConfig:
        """The study's settings."""
        return preset(self.preset).override(**self.changes)

    @property
    def parameters(self) -> dict[str, Any]:
        """What every notebook that trains or reads is given."""
        return {"preset": self.preset, **self.changes, **self.places.parameters}

    def for_fold(self, seed: int) -> Study:
        """Return the study of one fold alone, on which that seed trains; itself without folds."""
        if not self.folds:
            return self
        dataset = matrix.in_fold(self.config, seed).dataset
        return replace(self, changes={**self.changes, "dataset": dataset}, folds=())

    def data_fingerprints(self) -> list[str]:
        """Identify the content of each fold's data; "absent" where there is none yet."""
        found, cache = [], Path(self.places.results_dir) / ".cache"
        for seed in self.folds or (self.config.seed,):
            try:
                config = matrix.in_fold(self.config, seed)
                found.append(data_fingerprint(self.places.data_dir, config, cache))
            except (AnnotationError, ImageError, OSError):
                found.append("absent")
        return found

    def current_runs(self) -> list[Run]:
        """Return what the present code has finished on the present data, backbones included."""
        code = code_fingerprint()
        runs = [run for run in finished_runs(self.places.study_dir) if run.origin[0] == code]
        data = self.data_fingerprints() if runs else []
        return [run for run in runs if run.origin[1] in data]


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
        chosen = ("seed", "train_images")
        return config.override(**{n: self.parameters[n] for n in chosen if n in self.parameters})

    @property
    def executed(self) -> Path:
        """Its executed copy."""
        return self.study.places.study_dir / "notebooks" / f"{self.notebook}{self.suffix}.ipynb"

    def execute(self, output: TextIO | None = None, errors: TextIO | None = None) -> None:
        """Run the notebook; the finished copy goes to `executed`.

        Args:
            output: where its output goes; the terminal by default.
            errors: likewise for progress bars and messages.
        """
        self._code()  # as it is now, not as it will be when the notebook has run
        with replacing(self.executed) as temporary:
            shown = {"stdout_file": output or sys.stdout, "stderr_file": errors or sys.stderr}
            notebook = run_notebook(self.source, temporary, self.parameters, **shown)
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
        data = "+".join(self.study.data_fingerprints())
        facts = [self._code(), dict(self.parameters), data, self.made()]
        inputs = [self.parameters[name] for name in ("raw", "table") if self.parameters.get(name)]
        if inputs:  # a catalogue may be corrected, and its photographs replaced
            facts.append([_state(Path(path)) for path in inputs])
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def _code(self) -> list[str]:
        return [_content(path) for path in (self.source, *(ROOT / name for name in _PACKAGES))]

    def made(self) -> list[str]:
        """Return the names of the step's products that the current code has finished."""
        runs = self.study.current_runs() if self.makes else []
        chosen = {
            "": [],
            "backbone": [run for run in runs if run.path.name.startswith("backbone-")],
            "run": [run for run in runs if run.evaluated and run.settings == self.config.to_dict()],
            "runs": [run for run in runs if run.evaluated],
        }
        return [run.path.name for run in chosen[self.makes]]


@dataclass(frozen=True)
class Attempt:
    """A step that may fail: the reason is kept and reported, and whatever does not need it goes on.

    Attributes:
        step: the notebook.
        name: of the step; also a file name.
        needs: an attempt without which this one is skipped.
    """

    step: Step
    name: str
    needs: Attempt | None = None

    @property
    def failure(self) -> Path:
        """The file that says why the step failed, until it succeeds."""
        return self.step.study.places.study_dir / "failed" / f"{self.name}.txt"

    @property
    def skipped(self) -> str:
        """Why the step is not even tried; empty if it is."""
        if self.needs is None or not self.needs.failure.exists():
            return ""
        return f"SKIPPED: needs {self.needs.name}; why: {self.needs.failure}"

    def is_current(self) -> bool:
        """Return whether the step is up to date."""
        return self.settled(self.step.is_current())

    def settled(self, current: bool) -> bool:
        """Forget an earlier failure if the step is up to date; return whether it is."""
        if current:
            self.failure.unlink(missing_ok=True)
        return current

    def execute(self) -> None:
        """Run the notebook on the terminal; raises nothing."""
        print(f"== {self.name}: {self.make()}", flush=True)

    def make(self, output: TextIO | None = None, errors: TextIO | None = None) -> str:
        """Run the notebook, as `Step.execute` does; keep an error, and return how it went."""
        outcome = why = self.skipped
        if not outcome:
            try:
                self.step.execute(output, errors)
                self.failure.unlink(missing_ok=True)
                return "finished"
            except Exception as error:  # whatever it is, the other steps go on
                outcome, why = f"FAILED ({type(error).__name__}), see {self.failure}", str(error)
        write_text(self.failure, f"{why}\n")
        # A copy that earlier code made would pass for a result of the present code.
        self.step.executed.unlink(missing_ok=True)
        return outcome


def failures(attempts: Iterable[Attempt]) -> list[Path]:
    """Return the reports of the attempts that failed or were skipped, in their order."""
    return [attempt.failure for attempt in attempts if attempt.failure.exists()]
