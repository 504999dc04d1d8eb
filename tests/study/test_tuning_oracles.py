"""Oracles that survive whatever is killed. Scores are a formula here; nothing is trained."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tuning_formula import CONFIG, finish, opened

from asen_study.tuning import RunSettings, Search, tuner
from asen_study.tuning.search import STATE
from asen_study.tuning.tuner import ORACLES, DurableOracle
from asen_tf.config import ConfigError

pytestmark = [
    pytest.mark.filterwarnings("ignore:currentThread|getName:DeprecationWarning"),  # KerasTuner's
    pytest.mark.filterwarnings("ignore:The optimal value found for dimension:UserWarning"),
]


def play(made: DurableOracle, folder: Path, algorithm: str, *, kill: bool) -> list[dict[str, Any]]:
    """Search to the end; perhaps with a new process after every single step."""
    asked = 0
    while (trial := made.create_trial("one")).status != "STOPPED":
        asked += 1
        assert asked < 100
        if kill:
            made = opened(folder, algorithm)
            again = made.create_trial("one")
            assert again.trial_id == trial.trial_id
            assert again.hyperparameters.values == trial.hyperparameters.values
        finish(made, trial)
        if kill:
            made = opened(folder, algorithm)
    return [
        {"id": trial.trial_id, "score": trial.score, "status": trial.status}
        | trial.hyperparameters.values
        for trial in made.trials.values()
    ]


@pytest.mark.parametrize("algorithm", ORACLES)
def test_killed_at_every_step_the_search_has_the_same_trials(
    tmp_path: Path, algorithm: str
) -> None:
    places = [tmp_path / "unbroken", tmp_path / "broken"]
    for place in places:
        place.mkdir()
    whole = play(opened(places[0], algorithm), places[0], algorithm, kill=False)
    broken = play(opened(places[1], algorithm), places[1], algorithm, kill=True)
    assert broken == whole
    assert len(whole) == (10 if algorithm == "hyperband" else 7)  # 5 epochs: (5 + 2) + 3
    assert {trial["status"] for trial in whole} == {"COMPLETED"}
    assert len({str(sorted(trial.items())) for trial in whole}) == len(whole)


@pytest.mark.parametrize("algorithm", ["random", "bayesian"])
def test_the_first_trial_is_the_preset(tmp_path: Path, algorithm: str) -> None:
    first = opened(tmp_path, algorithm).create_trial("one")
    assert RunSettings(CONFIG).settings(first.hyperparameters.values) == CONFIG


def test_a_finished_search_goes_on_with_more_trials(tmp_path: Path) -> None:
    first = play(opened(tmp_path, "random"), tmp_path, "random", kill=False)
    longer = play(opened(tmp_path, "random", trials=9), tmp_path, "random", kill=False)
    assert longer[:7] == first and len(longer) == 9


def test_the_state_is_one_file_without_a_half_written_one_beside_it(tmp_path: Path) -> None:
    made = opened(tmp_path, "random")
    made.create_trial("one")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [STATE]
    held = json.loads((tmp_path / STATE).read_text())
    assert held["oracle"]["ongoing_trials"] == {"one": "0"} and len(held["trials"]) == 1


# === Workers ===


class Clock:
    """The time that an oracle sees, in seconds: it passes when a test says so."""

    now = 1000.0

    def wait(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    seen = SimpleNamespace(monotonic=lambda: made.now, sleep=time.sleep)
    monkeypatch.setattr(tuner, "time", seen)
    return made


def test_a_worker_that_comes_back_gets_its_own_trial(tmp_path: Path) -> None:
    made = opened(tmp_path, "random")
    first = made.create_trial("one")
    assert made.create_trial("two").trial_id != first.trial_id
    assert made.create_trial("one").trial_id == first.trial_id


def test_the_trial_of_a_silent_worker_goes_to_the_next_that_asks(
    tmp_path: Path, clock: Clock
) -> None:
    made = opened(tmp_path, "random")
    made.patience = 30.0
    lost = made.create_trial("one")
    clock.wait(31.0)
    taken = made.create_trial("two")
    assert taken.trial_id == lost.trial_id
    assert taken.hyperparameters.values == lost.hyperparameters.values
    assert made.tuner_ids == {"two"} and set(made.ongoing_trials) == {"two"}


def test_a_worker_that_shows_signs_of_life_keeps_its_trial(tmp_path: Path, clock: Clock) -> None:
    made = opened(tmp_path, "random")
    made.patience = 30.0
    kept = made.create_trial("one")
    for _ in range(4):
        clock.wait(20.0)
        assert made.create_trial("one").trial_id == kept.trial_id
    assert made.create_trial("two").trial_id != kept.trial_id


def test_who_finds_no_trial_waits_until_the_others_have_finished(
    tmp_path: Path, clock: Clock
) -> None:
    made = opened(tmp_path, "random", trials=1)
    made.patience = 30.0
    last = made.create_trial("one")
    assert made.create_trial("two").status == "IDLE"
    clock.wait(31.0)  # the first one is dead: the other is still there
    assert made.create_trial("two").trial_id == last.trial_id
    finish(made, last)
    assert made.create_trial("two").status == "STOPPED"
    assert not made.ongoing_trials and not made.tuner_ids  # so the chief ends, too


def test_a_worker_that_was_thought_dead_may_still_report(tmp_path: Path, clock: Clock) -> None:
    made = opened(tmp_path, "random", trials=2)
    made.patience = 30.0
    for taken_up in (False, True):
        trial = made.create_trial("one")
        clock.wait(31.0)
        made.forget_silent_workers()
        if taken_up:
            assert made.create_trial("two").trial_id == trial.trial_id
        finish(made, trial)  # by the first one after all
        if taken_up:
            finish(made, trial)  # by the other, too
    assert made.end_order == ["0", "1"]
    assert [trial.status for trial in made.trials.values()] == ["COMPLETED"] * 2
    assert made.create_trial("two").status == "STOPPED"


def test_wrong_arguments_are_errors() -> None:
    with pytest.raises(ConfigError, match="one of random, bayesian, hyperband; got 'grid'"):
        Search(algorithm="grid")
    with pytest.raises(ConfigError, match="trials of 1 or more; got 0"):
        Search(trials=0)
