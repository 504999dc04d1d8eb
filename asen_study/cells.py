"""The cells of the matrix: many trainings side by side, each in a notebook of its own.

A step that fails is reported and skipped; whatever else can be made is still made.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from asen_study.pipeline import Step, Study
from asen_tf.files import write_text


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

    def leave_out(self, name: str, why: str) -> None:
        """Say that a cell is not tried, and why; it counts no longer."""
        with self._lock:
            self.total -= 1
            print(f"== {name}: {why}", flush=True)

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
class Attempt:
    """A step that may fail: why is kept and told, and all that can do without it goes on.

    Attributes:
        step: the notebook.
        name: of the step, fit for a file's name.
        needs: an attempt without which this one is skipped.
    """

    step: Step
    name: str
    needs: Attempt | None = None

    @property
    def failure(self) -> Path:
        """Where it is kept why the step failed, until it succeeds."""
        return self.step.study.place / "failed" / f"{self.name}.txt"

    @property
    def skipped(self) -> str:
        """Why the step is not even tried; empty if it is."""
        if self.needs is None or not self.needs.failure.exists():
            return ""
        return f"SKIPPED, for want of {self.needs.name}; why: {self.needs.failure}"

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
        # A copy that earlier code made would pass for a result of this one.
        self.step.executed.unlink(missing_ok=True)
        return outcome


@dataclass(frozen=True)
class Cell:
    """A row of the matrix with a seed, trained and evaluated by the training notebook.

    Attributes:
        study: the study it belongs to.
        row: of `asen_study.matrix`; likewise `seed`.
        threads: cores that it may use.
        progress: counts the study's cells.
        start: makes the backbone that the run starts from.
    """

    study: Study
    row: str
    seed: int
    threads: int
    progress: Progress
    start: Attempt | None = None

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
    def trial(self) -> Attempt:
        """The step, as one that may fail."""
        return Attempt(self.step, self.name, self.start)

    def is_current(self) -> bool:
        """Return whether the present code has finished the run on the present data."""
        return self.trial.settled(bool(self.step.made()) and self.step.executed.exists())

    def attempt(self) -> None:
        """Run the notebook; an error is kept and told, and stops nothing else."""
        if self.trial.skipped:
            self.progress.leave_out(self.name, self.trial.make())
            return
        started, log = time.monotonic(), self.study.place / "logs" / f"{self.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        print(f"== {self.row}, seed {self.seed}: starting; all it says is in {log}", flush=True)
        with log.open("a", encoding="utf-8") as file:
            outcome = self.trial.make(Relay(file, self.name), file)
        self.progress.tell(self.name, outcome, time.monotonic() - started)


class Relay(io.TextIOBase):
    """Writes everything into a log, and tells the terminal what each epoch has come to.

    Args:
        log: an open file.
        name: goes before the lines on the terminal.
    """

    def __init__(self, log: TextIO, name: str) -> None:
        """See the class."""
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


def failures(attempts: Iterable[Attempt]) -> list[Path]:
    """Return the reports of the attempts that failed or were skipped, in their order."""
    return [attempt.failure for attempt in attempts if attempt.failure.exists()]
