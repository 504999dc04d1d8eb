"""A search: what is searched, where its state is, and how a process takes part in it."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from keras_tuner.engine.trial import Trial

from asen_tf.config import ExperimentConfig
from asen_tf.files import write_json
from asen_tf.presets import preset
from asen_tf.production import key, open_dataset
from asen_tf.tuning.oracles import PATIENCE, oracle
from asen_tf.tuning.space import RunSettings
from asen_tf.tuning.tuner import RunTuner, describe_space


class SearchError(RuntimeError):
    """A search cannot go on, or found nothing."""


@dataclass(frozen=True)
class Search:
    """Everything that decides a search. All processes that take part in one agree in it.

    Attributes:
        preset: what the trials start from: a name or a preset file, see `asen_tf.presets.preset`.
        algorithm: "random", "bayesian" or "hyperband".
        trials: how many, the first one, of the preset itself, included; Hyperband's follow from
            the preset's epochs. A finished search goes on when this is raised.
        fields: settings that are searched, out of `asen_tf.tuning.FIELDS`; empty for all.
        seed: of what is drawn; the trials' own seed is the preset's.
        data_dir: the directory of meta.json and the datasets.
        results_dir: where the studies are kept.
        study: the folder of the trials' runs, and of what the search finds.
    """

    preset: str = "tune"
    algorithm: str = "random"
    trials: int = 8
    fields: tuple[str, ...] = ()
    seed: int = 0
    data_dir: str = "data"
    results_dir: str = "results"
    study: str = "tuning"

    @property
    def config(self) -> ExperimentConfig:
        """The preset's settings."""
        return preset(self.preset)

    @property
    def settings(self) -> RunSettings:
        """From a trial's values to the settings of its run."""
        return RunSettings(self.config, self.fields)

    @property
    def places(self) -> dict[str, str]:
        """Where `asen_tf.experiment.run` finds data and keeps runs."""
        names = ("data_dir", "results_dir", "study")
        return {name: getattr(self, name) for name in names}

    @property
    def place(self) -> Path:
        """The study's directory."""
        return Path(self.results_dir) / self.study

    @cached_property
    def state_dir(self) -> Path:
        """Where the search's state is: one folder per preset, space, algorithm, data and code.

        The number of trials does not count, so that a search can be made longer.
        """
        facts = {
            "settings": self.config.to_dict(),
            "fields": self.settings.fields,
            "algorithm": self.algorithm,
            "seed": self.seed,
        }
        identity = key(facts, open_dataset(self.config, self.data_dir))
        return self.place / "search" / f"{self.algorithm}-{identity}"

    @property
    def state_file(self) -> Path:
        """The state of the oracle, with all trials."""
        return self.state_dir / "oracle-and-trials.json"

    @property
    def expected_trials(self) -> int:
        """How many trials there will be, if none fails."""
        if self.algorithm != "hyperband":
            return self.trials
        return hyperband_trials(self.settings.epochs)

    def ended_trials(self) -> list[Trial]:
        """Return the trials that have ended, by number, as the state on disk has them."""
        if not self.state_file.exists():
            return []
        states = json.loads(self.state_file.read_text(encoding="utf-8"))["trials"]
        trials = [Trial.from_state(state) for state in states]
        ended = [trial for trial in trials if trial.status in ("COMPLETED", "FAILED")]
        return sorted(ended, key=lambda trial: int(trial.trial_id))

    def make_tuner(self, *, patience: float = PATIENCE) -> RunTuner:
        """Return what takes part in the search.

        With KerasTuner's environment variables that is its chief or one of its workers; without,
        the whole search, in this process.

        Args:
            patience: seconds after which a chief gives up a silent worker.

        Raises:
            SearchError: this is a worker, and its chief searches something else.
        """
        made = oracle(
            self.algorithm,
            trials=self.trials,
            epochs=self.settings.epochs,
            seed=self.seed,
            state_file=self.state_file,
        )
        made.patience = patience
        tuner = RunTuner(made, self.settings, self.places, self.state_dir, self.expected_trials)
        if tuner.is_worker:
            space = tuner.oracle.get_space()
            own = {setting.name for setting in made.get_space().space}
            same = own == {setting.name for setting in space.space}
            if not same or self.settings.settings(space.values) != self.config:
                raise SearchError(
                    "the chief searches other settings, or from another preset, than this worker: "
                    f"start both with the same options; the chief has {space.values}, the worker "
                    f"{made.get_space().values}"
                )
            return tuner
        if self.state_file.exists():
            made.reload()
        write_json(self.state_dir / "search.json", dataclasses.asdict(self))
        describe_space(self.place / "tensorboard", made.get_space())
        return tuner


def hyperband_trials(epochs: int, factor: int = 3) -> int:
    """Return how many trials one sweep of KerasTuner's Hyperband has.

    With s = floor(log_factor(epochs)) there are brackets s, ..., 0; round r of bracket b has
    ceil(n / (b + 1) * factor^(b - r)) trials, n = ceil(1 + log_factor(epochs)). 5 epochs: bracket
    1 has 5 and 2 trials, bracket 0 has 3: 10.

    References:
        Li et al., "Hyperband", JMLR 18 (2018), algorithm 1; sizes as KerasTuner rounds them.
    """
    brackets, left = 0, float(epochs)
    while left >= 1:
        brackets, left = brackets + 1, left / factor
    last = math.ceil(1 + math.log(epochs, factor))
    return sum(
        math.ceil(last / (bracket + 1) * factor ** (bracket - turn))
        for bracket in range(brackets)
        for turn in range(bracket + 1)
    )
