"""Searches whose scores are a formula, so that nothing is trained."""

from __future__ import annotations

from pathlib import Path

from keras_tuner.engine.trial import Trial

from asen_study.runs import Places
from asen_study.tuning import RunSettings, Search
from asen_study.tuning.tuner import DurableOracle
from asen_tf.presets import compact

CONFIG = compact().override(stage1_epochs=3, stage2_epochs=2)
FIELDS = ("margin", "roi_threshold", "sampling", "embedding_dim")


def opened(folder: Path, algorithm: str = "random", trials: int = 7) -> DurableOracle:
    """Return an oracle as a process opens it: from its file, if there is one."""
    search = Search(algorithm=algorithm, trials=trials)
    vars(search).update(settings=RunSettings(CONFIG, FIELDS), state_dir=folder)
    made = search.make_oracle()
    search.make_tuner(made, "one")  # declares the space
    made.reload()
    return made


def score(trial: Trial) -> float:
    """Return what a trial is worth."""
    values = trial.hyperparameters.values
    return 30.0 + 10.0 * values["margin"] - values["roi_threshold"]


def finish(made: DurableOracle, trial: Trial, status: str = "COMPLETED") -> None:
    """End a trial, as a worker reports it."""
    if status == "COMPLETED":
        made.update_trial(trial.trial_id, {"val_map": score(trial)})
    copy = Trial(trial.hyperparameters, trial.trial_id, status)
    made.end_trial(copy)


def played(
    folder: Path,
    *scores: float | None,
    algorithm: str = "random",
    state: str = "",
    expected: int | None = None,
    **more,
) -> Search:
    """Return a search with trials that have ended with these scores, None for a failed one."""
    settings = {"preset": "smoke", "fields": ("margin", "embedding_dim")} | more
    settings = {"places": Places(results_dir=folder, study="tuning")} | settings
    search = Search(trials=expected or len(scores), algorithm=algorithm, **settings)
    vars(search)["state_dir"] = folder / state  # otherwise named by data, of which there are none
    made = search.make_oracle()
    search.make_tuner(made, "one")  # declares the space
    for value in scores:
        trial = made.create_trial("one")
        if value is not None:
            made.update_trial(trial.trial_id, {"val_map": value})
        status = "FAILED" if value is None else "COMPLETED"
        made.end_trial(Trial(trial.hyperparameters, trial.trial_id, status))
    return search
