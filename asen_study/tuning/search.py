"""A search: what is searched, where its state is, and how a process takes part in it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from keras_tuner.engine.trial import Trial

from asen_study.production import key, open_dataset
from asen_study.tuning.failures import IN_A_ROW, SearchError, describe
from asen_study.tuning.oracles import PATIENCE, hyperband_trials, oracle
from asen_study.tuning.space import RunSettings
from asen_study.tuning.tuner import RunTuner, describe_space
from asen_tf.config import ConfigError, ExperimentConfig
from asen_tf.files import write_json
from asen_tf.presets import preset

BEST, DEFAULT = "best.json", "default.json"  # preset files that a search writes
SEARCH_FILE = "search.json"  # beside its state: what is searched


@dataclass(frozen=True)
class Search:
    """Everything that decides a search. All processes that take part in one agree in it.

    Attributes:
        preset: what the trials start from: a name or a preset file, see `asen_tf.presets.preset`.
        algorithm: "random", "bayesian" or "hyperband".
        trials: how many, the first one, of the preset itself, included; Hyperband's follow from
            the preset's epochs. A finished search goes on when this is raised.
        fields: settings that are searched, out of `asen_study.tuning.FIELDS`; empty for
            `DEFAULT_FIELDS`, `("all",)` for all.
        seed: of what is drawn; the trials' own seed is the preset's.
        data_dir: the directory of meta.json and the datasets.
        results_dir: where the studies are kept.
        study: the folder of the trials' runs, and of what the search finds.

    Raises:
        ConfigError: the preset is a file that the search itself would write.
    """

    preset: str = "tune"
    algorithm: str = "random"
    trials: int = 12
    fields: tuple[str, ...] = ()
    seed: int = 0
    data_dir: str = "data"
    results_dir: str = "results"
    study: str = "tuning"

    def __post_init__(self) -> None:
        """Refuse to replace what the search starts from: it would be compared with itself."""
        written = [(self.place / name).resolve() for name in (BEST, DEFAULT)]
        if self.preset.endswith(".json") and Path(self.preset).resolve() in written:
            raise ConfigError(
                f"preset must not be a file that the search itself writes; got {self.preset}: "
                f"give the search another study, {self.study}2 say, or start from a copy elsewhere"
            )

    @cached_property
    def config(self) -> ExperimentConfig:
        """The preset's settings, as they are when first asked for."""
        return preset(self.preset)

    @property
    def settings(self) -> RunSettings:
        """From a trial's values to the settings of its run."""
        return RunSettings(self.config, self.fields)

    @property
    def places(self) -> dict[str, str]:
        """Where `asen_study.experiment.run` finds data and keeps runs."""
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
        """How many trials there will be, if none of Hyperband's fails."""
        if self.algorithm != "hyperband":
            return self.trials
        return hyperband_trials(self.settings.epochs)

    def all_trials(self) -> list[Trial]:
        """Return the trials, by number, as the state on disk has them."""
        trials = [Trial.from_state(state) for state in self._state()["trials"]]
        return sorted(trials, key=lambda trial: int(trial.trial_id))

    def ended_trials(self) -> list[Trial]:
        """Return the trials that have ended, by number, as the state on disk has them."""
        return [trial for trial in self.all_trials() if trial.status in ("COMPLETED", "FAILED")]

    def check(self) -> None:
        """Say which trials have failed, and why, if there are any.

        Raises:
            SearchError: all have, or so many in a row that the search has stopped.
        """
        ended = self.ended_trials()
        failed = [trial for trial in ended if trial.status == "FAILED"]
        if not failed:
            return
        told = f"{len(failed)} of {len(ended)} trials failed:\n{describe(self.state_dir, failed)}"
        in_a_row = self._state().get("failed_in_a_row", 0)
        stopped = in_a_row >= IN_A_ROW and len(ended) < self.expected_trials
        if stopped or len(failed) == len(ended):
            raise SearchError(
                f"{told}\nThe search has stopped. Repair the cause and run it again: failed trials "
                f"are tried once more. What workers said is in {self.place / 'logs'}"
            )
        print(f"{told}\nRun the search again to try them once more.", flush=True)

    def make_tuner(self, *, patience: float = PATIENCE, chief: bool = False) -> RunTuner:
        """Return what takes part in the search.

        With KerasTuner's environment variables that is its chief or one of its workers; without,
        the whole search, in this process.

        Args:
            patience: seconds after which a chief gives up a silent worker.
            chief: whether this is one.

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
        made.patience, made.chief = patience, chief
        tuner = RunTuner(made, self.settings, self.places, self.state_dir, self.expected_trials)
        if tuner.is_worker:
            space = tuner.oracle.get_space()
            own = {setting.name for setting in made.get_space().space}
            same = own == {setting.name for setting in space.space}
            settings = self.settings.settings  # which rounds both alike
            if not same or settings(space.values) != settings(made.get_space().values):
                raise SearchError(
                    "the chief searches other settings, or from another preset, than this worker: "
                    f"start both with the same options; the chief has {space.values}, the worker "
                    f"{made.get_space().values}"
                )
            return tuner
        if self.state_file.exists():
            made.reload()
        write_json(self.state_dir / SEARCH_FILE, dataclasses.asdict(self))
        describe_space(tuner.events, made.get_space())
        return tuner

    def _state(self) -> dict[str, Any]:
        if not self.state_file.exists():
            return {"trials": []}
        return json.loads(self.state_file.read_text(encoding="utf-8"))
