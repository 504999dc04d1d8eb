"""Trials that fail: why they did, and when a search stops because of them.

A worker tells its chief that a trial has failed, but KerasTuner sends no reason along. So whoever
has run the trial keeps the reason as a file in the search's folder.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from keras_tuner.engine.trial import Trial

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
