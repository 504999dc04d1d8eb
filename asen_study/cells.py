"""The trainings of a study: cells of the matrix, side by side, each reported as it ends."""

from __future__ import annotations

import io
import threading
import time
from dataclasses import dataclass, field
from typing import TextIO

from asen_study.pipeline import Attempt, Step, Study


@dataclass
class Countdown:
    """How many of a study's trainings are left, and for how long; reported after each one.

    Attributes:
        total: trainings that have to run.
        jobs: trainings that run side by side.
    """

    total: int
    jobs: int
    _spent: list[float] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def leave_out(self, name: str, why: str) -> None:
        """Say that a training is not tried, and why; it no longer counts."""
        with self._lock:
            self.total -= 1
            print(f"== {name}: {why}", flush=True)

    def report(self, name: str, outcome: str, seconds: float) -> None:
        """Count a training, say how it ended and when the last one will."""
        with self._lock:
            self._spent.append(seconds)
            done = len(self._spent)
            text = f"== {name}: {outcome} after {seconds / 60:.1f} min; {done} of {self.total} runs"
            if done >= self.jobs:  # of those that began together, the first to end are the shortest
                left = (self.total - done) * sum(self._spent) / done / self.jobs
                text += f", about {left / 60:.0f} min left"
            print(text, flush=True)


@dataclass(frozen=True)
class Cell:
    """A row of the matrix with a seed, trained and evaluated by the training notebook.

    Attributes:
        study: the study it belongs to.
        row: of `asen_study.matrix`.
        seed: of the row's training.
        threads: cores that it may use.
        countdown: counts the study's cells.
        start: makes the backbone that the run starts from.
        images: that it trains on; 0: all.
    """

    study: Study
    row: str
    seed: int
    threads: int
    countdown: Countdown
    start: Attempt | None = None
    images: int = 0

    @property
    def name(self) -> str:
        """Row, seed and number of images, if not all; also a file name."""
        images = f"-images{self.images}" if self.images else ""
        return f"{self.row.replace('/', '-')}-seed{self.seed}{images}"

    @property
    def step(self) -> Step:
        """The notebook that it runs."""
        study = self.study.for_fold(self.seed)
        chosen = {"method": self.row, "seed": self.seed, "threads": self.threads}
        fewer = {"train_images": self.images} if self.images else {}
        shown = {"examples": False} if self.study.folds else {}  # no picture of a photograph
        parameters = {**study.parameters, **chosen, **fewer, **shown}
        return Step(study, "03_train", parameters, "run", f"-{self.name}")

    @property
    def trial(self) -> Attempt:
        """The step, as one that may fail."""
        return Attempt(self.step, self.name, self.start)

    def is_current(self) -> bool:
        """Return whether the present code has finished the run on the present data."""
        return self.trial.settled(bool(self.step.made()) and self.step.executed.exists())

    def attempt(self) -> None:
        """Run the notebook; an error is kept and reported, and stops nothing else."""
        if self.trial.skipped:
            self.countdown.leave_out(self.name, self.trial.make())
            return
        log = self.study.places.study_dir / "logs" / f"{self.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        images = f", {self.images} images" if self.images else ""
        description = f"== {self.row}, seed {self.seed}{images}: starting; its output goes to {log}"
        print(description, flush=True)
        with log.open("a", encoding="utf-8") as file:
            outcome = self.trial.make(Relay(file, self.name), file)
        self.countdown.report(self.name, outcome, time.monotonic() - started)


class Relay(io.TextIOBase):
    """Writes everything into a log, and shows on the terminal how each epoch ended.

    Args:
        log: an open file.
        name: goes before the lines on the terminal.
    """

    def __init__(self, log: TextIO, name: str) -> None:
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
