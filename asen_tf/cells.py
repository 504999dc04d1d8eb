"""The cells of the matrix: many trainings side by side, each in a notebook of its own.

A cell that fails is reported and skipped; whatever else can be made is still made.
"""

from __future__ import annotations

import io
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from asen_tf.files import write_text
from asen_tf.pipeline import Step, Study


@dataclass
class Progress:
    """How far a study's cells are, told after each one.

    Attributes:
        total: cells that have to run.
        jobs: cells that run side by side.
    """

    total: int
    jobs: int
    _spent: list[float] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def tell(self, name: str, outcome: str, seconds: float) -> None:
        """Count a cell, say how it ended and when the last one will."""
        with self._lock:
            self._spent.append(seconds)
            done = len(self._spent)
            left = (self.total - done) * sum(self._spent) / done / self.jobs
            print(
                f"== {name}: {outcome} after {seconds / 60:.1f} min; {done} of {self.total} runs, "
                f"about {left / 60:.0f} min left",
                flush=True,
            )


@dataclass(frozen=True)
class Cell:
    """A row of the matrix with a seed, trained and evaluated by the training notebook.

    Attributes:
        study: the study it belongs to.
        row: of `asen_tf.matrix`.
        seed: of the run.
        threads: cores that it may use.
        progress: counts the study's cells.
    """

    study: Study
    row: str
    seed: int
    threads: int
    progress: Progress

    @property
    def name(self) -> str:
        """Row and seed, fit for a file's name."""
        return f"{self.row.replace('/', '-')}-seed{self.seed}"

    @property
    def step(self) -> Step:
        """The notebook that it runs."""
        return Step(
            self.study,
            "03_train",
            {
                "preset": self.study.preset,
                "method": self.row,
                "seed": self.seed,
                "threads": self.threads,
                "data_dir": self.study.data_dir,
                "results_dir": self.study.results_dir,
                "study": self.study.name,
            },
            "run",
            f"-{self.name}",
        )

    @property
    def failure(self) -> Path:
        """Where it is kept why the cell failed, until it succeeds."""
        return self.study.place / "failed" / f"{self.name}.txt"

    def is_current(self) -> bool:
        """Return whether the present code has finished the run on the present data."""
        return bool(self.step.made()) and self.step.executed.exists()

    def attempt(self) -> None:
        """Run the notebook; an error is kept and told, and stops nothing else."""
        started, log = time.monotonic(), self.study.place / "logs" / f"{self.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        print(f"== {self.row}, seed {self.seed}: starting; all it says is in {log}", flush=True)
        with log.open("a", encoding="utf-8") as file:
            try:
                self.step.execute(Relay(file, self.name), errors=file)
                outcome = "finished"
                self.failure.unlink(missing_ok=True)
            except Exception as error:  # whatever it is, the other cells go on
                outcome = f"FAILED ({type(error).__name__}), see {self.failure}"
                write_text(self.failure, f"{error}\n")
        self.progress.tell(self.name, outcome, time.monotonic() - started)


class Relay(io.TextIOBase):
    """Writes everything into a log, and tells the terminal what each epoch has come to.

    Args:
        log: an open file.
        name: goes before the lines on the terminal.
    """

    def __init__(self, log: TextIO, name: str) -> None:
        """Keep the file; see the class."""
        self._log, self._name, self._line = log, name, ""

    def write(self, text: str) -> int:
        """Take a piece of output."""
        self._log.write(text)
        self._log.flush()
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            if ", epoch " in line:
                print(f"   [{self._name}] {line}", flush=True)
        return len(text)


def failures(study: Study) -> list[Path]:
    """Return the reports of the cells that failed."""
    return sorted((study.place / "failed").glob("*.txt"))
