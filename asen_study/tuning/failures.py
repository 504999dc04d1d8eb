"""Trials that fail: why they did, and when a search stops because of them.

A worker tells its chief that a trial has failed, but KerasTuner sends no reason along. So whoever
has run the trial keeps the reason as a file in the search's folder.

KerasTuner's lock around an oracle, let go also by a method that raises.

How far a search is: trial i of n, the best so far, and minutes left.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from asen_tf.files import write_text

IN_A_ROW = 3  # failed trials; after so many a search stops: it is no matter of settings any more


class SearchError(RuntimeError):
    """A search cannot go on, or found nothing."""


def file_of(directory: Path, trial: Trial) -> Path:
    """Return the file for the reason of a trial, in the directory of the search's state."""
    return directory / "failures" / f"trial-{int(trial.trial_id) + 1}.txt"


def keep_reason(directory: Path, trial: Trial) -> Path:
    """Write why a trial failed, with the traceback; return the file.

    Args:
        directory: of the search's state.
        trial: with its message.
    """
    path = file_of(directory, trial)
    write_text(path, f"{(trial.message or '').rstrip()}\n")
    return path


def describe(directory: Path, trials: Iterable[Trial]) -> str:
    """Return a line for each trial: its number, why it failed, and where more of that is."""
    lines = []
    for trial in trials:
        more = file_of(directory, trial)
        where = f" ({more})" if more.exists() else ""
        lines.append(f"  trial {int(trial.trial_id) + 1}: {_reason(directory, trial)}{where}")
    return "\n".join(lines)


def _reason(directory: Path, trial: Trial) -> str:
    """Return the last line of what is known; of a traceback that is the error."""
    text, kept = trial.message, file_of(directory, trial)
    if text is None and kept.exists():
        text = kept.read_text(encoding="utf-8", errors="replace")
    lines = (text or "").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "no reason is known")


def locked(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let one thread at a time into a method of an oracle, like `keras_tuner.synchronized`.

    That one keeps the lock when the method raises, a full disk say, and every other thread then
    waits for ever: the chief's watch over its workers, and the end of the chief itself.
    """

    @keras_tuner.synchronized
    def inside(*arguments: Any, **options: Any) -> tuple[Any, BaseException | None]:
        try:
            return method(*arguments, **options), None
        except BaseException as error:  # raised again below, without the lock
            return None, error

    @functools.wraps(method)
    def outside(*arguments: Any, **options: Any) -> Any:
        result, error = inside(*arguments, **options)
        if error is not None:
            raise error
        return result

    return outside


class Progress:
    """Counts trials that end, and says so.

    Args:
        expected: how many trials there will be.
        trials: those there are at the beginning, whatever their status. A failed one may run again.
    """

    def __init__(self, expected: int, trials: Iterable[Trial] = ()) -> None:
        """Remember what has ended before; see the class."""
        self._expected, self._started = expected, time.monotonic()
        self._told = {trial.trial_id for trial in trials if _ended(trial)}
        self._here = 0  # of those, in this run of the search
        if self._told:
            print(f"Going on: {len(self._told)} of {expected} trials ended before.", flush=True)

    def tell(self, trials: Iterable[Trial]) -> None:
        """Print a line for each trial that has ended since the last call."""
        trials = list(trials)
        best = max((trial.score for trial in trials if _scored(trial)), default=None)
        for trial in trials:
            if not _ended(trial):
                self._told.discard(trial.trial_id)  # it had failed, and is tried once more
                continue
            if trial.trial_id in self._told:
                continue
            self._told.add(trial.trial_id)
            self._here += 1
            score = f"validation MAP {trial.score:.2f}" if _scored(trial) else "FAILED"
            shown = f", best {best:.2f}" if best is not None else ""
            spent = (time.monotonic() - self._started) / 60
            left = self._expected - len(self._told)
            each = spent / self._here
            print(
                f"Trial {int(trial.trial_id) + 1}: {score}{shown}; {len(self._told)} of "
                f"{self._expected} trials after {spent:.1f} min, about {left * each:.0f} min left",
                flush=True,
            )


def _ended(trial: Trial) -> bool:
    return trial.status in (TrialStatus.COMPLETED, TrialStatus.FAILED)


def _scored(trial: Trial) -> bool:
    return trial.status == TrialStatus.COMPLETED and trial.score is not None
