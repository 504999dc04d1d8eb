"""A trial is a run: `experiment.run` trains it, and its validation MAP is the objective."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import grpc
import keras_tuner
import tensorflow as tf
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial, TrialStatus
from tensorboard.plugins.hparams import api

from asen_study import experiment
from asen_study.runs import Run
from asen_study.tuning.failures import Progress, keep_reason
from asen_study.tuning.oracles import OBJECTIVE, DurableOracle
from asen_study.tuning.space import RunSettings
from asen_tf.files import replacing

BEAT = 2.0  # seconds between a worker's signs of life
_PAUSE = 0.5  # seconds before a worker asks for a trial; KerasTuner asks without any


class RunTuner(BaseTuner):
    """Gives trials to `asen_study.experiment.run` and their numbers to the oracle.

    An interrupted trial is resumed by `run` itself, from its last epoch; a finished one is not
    trained again. The test split plays no part: `run` evaluates on it, but nothing of that is read.

    Args:
        oracle: proposes the trials.
        settings: from a trial's values to its run's settings.
        places: `data_dir`, `results_dir`, `study`, as for `run`.
        directory: of the search's state; KerasTuner keeps things of its own there, too.
        expected: how many trials there will be; for what is printed.
    """

    def __init__(
        self,
        oracle: DurableOracle,
        settings: RunSettings,
        places: Mapping[str, str],
        directory: Path,
        expected: int,
    ) -> None:
        """Declare the space to the oracle; see the class."""
        directory.mkdir(parents=True, exist_ok=True)
        where = {"directory": str(directory.parent), "project_name": directory.name}
        super().__init__(oracle, settings, **where)
        self.places, self.state_dir, self.expected = dict(places), directory, expected
        self.progress: Progress | None = None

    @property
    def events(self) -> Path:
        """The folder of TensorBoard's events: one of the study's for each search."""
        place = Path(self.places["results_dir"], self.places["study"])
        return place / "tensorboard" / self.state_dir.name

    @property
    def is_worker(self) -> bool:
        """Whether another process, the chief, has the oracle."""
        return not isinstance(self.oracle, keras_tuner.Oracle)

    def save(self) -> None:
        """Save the oracle; the tuner has no state of its own."""
        if not self.is_worker:
            self.oracle.save()

    def pre_create_trial(self) -> None:
        """Wait a moment, so that a worker without a trial does not ask thousands of times."""
        time.sleep(_PAUSE)

    def on_trial_begin(self, trial: Trial) -> None:
        """Say what is tried."""
        base = self.hypermodel.config.to_dict()
        wanted = self.hypermodel.settings(trial.hyperparameters.values).to_dict()
        changes = {name: value for name, value in wanted.items() if value != base[name]}
        shown = ", ".join(f"{name} {value}" for name, value in changes.items())
        number = f"Trial {int(trial.trial_id) + 1} of {self.expected}"
        print(f"{number}: {shown or 'the preset itself'}", flush=True)

    def run_trial(self, trial: Trial) -> dict[str, float]:
        """Train the run of a trial; return the validation MAP of what it keeps, in percent.

        That is the best epoch of the last stage, the one whose weights the run's model has.
        """
        config = self.hypermodel.settings(trial.hyperparameters.values)
        with self._signs_of_life(trial):
            run = experiment.run(config, **self.places)
        log_trial(self.events, trial, run)
        return {OBJECTIVE: kept_map(run)}

    def on_search_begin(self) -> None:
        """Count from here, if this process has the oracle."""
        if not self.is_worker:
            self.progress = Progress(self.expected, self.oracle.trials.values())

    def on_trial_end(self, trial: Trial) -> None:
        """Report the end, and keep why it failed: KerasTuner does not tell its chief."""
        if trial.status != TrialStatus.COMPLETED:
            print(f"Trial {int(trial.trial_id) + 1} FAILED:\n{trial.message}", flush=True)
            with contextlib.suppress(OSError):  # a full disk may be the reason
                keep_reason(self.state_dir, trial)
        super().on_trial_end(trial)
        if self.progress is not None:
            self.progress.tell(self.oracle.trials.values())

    @contextlib.contextmanager
    def _signs_of_life(self, trial: Trial) -> Iterator[None]:
        """While a worker trains, let the chief hear of it; see `DurableOracle.get_trial`."""
        if not self.is_worker:
            yield
            return
        over = threading.Event()

        def beat() -> None:
            while not over.wait(BEAT):
                with contextlib.suppress(grpc.RpcError):  # the chief is being started again
                    self.oracle.get_trial(trial.trial_id)

        threading.Thread(target=beat, daemon=True).start()
        try:
            yield
        finally:
            over.set()


def kept_map(run: Run) -> float:
    """Return the validation MAP of the weights that a run keeps, percent to four decimals."""
    history = run.table("history")
    last = history[history["stage"] == history["stage"].iloc[-1]]
    return round(float(last[OBJECTIVE].max()), 4)


def describe_space(folder: Path, space: keras_tuner.HyperParameters) -> None:
    """Tell TensorBoard's HParams plugin what is searched, and what is measured."""
    with _events(folder / "space"):
        api.hparams_config(
            hparams=[api.HParam(setting.name) for setting in space.space],
            metrics=[api.Metric(OBJECTIVE, display_name="validation MAP (%)")],
        )


def log_trial(folder: Path, trial: Trial, run: Run) -> None:
    """Write a trial for TensorBoard's HParams plugin: its values, and MAP by epoch.

    Args:
        folder: holds a folder per trial; an older one of this trial is replaced.
        trial: of the search.
        run: what it has come to.
    """
    with _events(folder / f"trial-{int(trial.trial_id)}"):
        api.hparams(dict(trial.hyperparameters.values), trial_id=trial.trial_id)
        scores = run.table("history")[OBJECTIVE]
        for epoch, score in enumerate(scores):
            tf.summary.scalar(f"{OBJECTIVE}_by_epoch", score, step=epoch + 1)
        tf.summary.scalar(OBJECTIVE, kept_map(run), step=len(scores))


@contextlib.contextmanager
def _events(folder: Path) -> Iterator[None]:
    """Write TensorBoard's events into a folder that is there in full or not at all."""
    with replacing(folder) as temporary:
        writer = tf.summary.create_file_writer(str(temporary))
        with writer.as_default():
            yield
        writer.close()
        if folder.exists():
            shutil.rmtree(folder)
