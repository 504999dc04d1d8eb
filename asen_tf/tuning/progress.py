"""How far a search is: trial i of n, the best so far, and minutes left."""

from __future__ import annotations

import time
from collections.abc import Iterable

from keras_tuner.engine.trial import Trial, TrialStatus


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
