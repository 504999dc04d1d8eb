"""Trials that fail, or kill their process, neither end nor block a search."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from keras_tuner.engine.trial import Trial
from tuning_formula import finish, opened, played

from asen_study.runs import Places
from asen_study.tuning import Search, SearchError, run_search, trials_table
from asen_study.tuning.search import STATE
from asen_study.tuning.tuner import ATTEMPTS, DurableOracle
from asen_tf.files import write_json
from data_prep.synthetic import make_dataset

pytestmark = pytest.mark.filterwarnings("ignore:currentThread|getName:DeprecationWarning")


def fail(made: DurableOracle, times: int) -> None:
    for _ in range(times):
        finish(made, made.create_trial("one"), "FAILED")


def statuses(made: DurableOracle) -> list[str]:
    return [trial.status for trial in made.trials.values()]


# === Trials that fail ===


def test_after_three_failed_trials_in_a_row_all_leave(tmp_path: Path) -> None:
    made = opened(tmp_path)
    fail(made, 3)
    assert statuses(made) == ["FAILED"] * 3 and made.end_order == ["0", "1", "2"]
    assert [made.create_trial(name).status for name in ("one", "two")] == ["STOPPED"] * 2
    assert not made.ongoing_trials and not made.tuner_ids  # so the chief ends, too


def test_three_failed_trials_with_one_between_them_stop_nothing(tmp_path: Path) -> None:
    made = opened(tmp_path)
    fail(made, 2)
    finish(made, made.create_trial("one"))
    fail(made, 2)
    assert made.create_trial("one").status == "RUNNING"


def test_who_still_trains_may_turn_the_search_round(tmp_path: Path) -> None:
    made = opened(tmp_path)
    other = made.create_trial("two")
    fail(made, 3)
    assert made.create_trial("one").status == "IDLE"
    finish(made, other)
    assert made.create_trial("one").status == "RUNNING"


def test_with_the_cause_repaired_the_failed_trials_are_tried_once_more(tmp_path: Path) -> None:
    made = opened(tmp_path, trials=5)
    fail(made, 3)
    wanted = [trial.hyperparameters.values for trial in made.trials.values()]
    made = opened(tmp_path, trials=5)
    given = []
    while (trial := made.create_trial("one")).status != "STOPPED":
        given.append(trial)
        finish(made, trial)
    assert [trial.trial_id for trial in given] == ["0", "1", "2", "3", "4"]
    assert [trial.hyperparameters.values for trial in given[:3]] == wanted
    assert statuses(made) == ["COMPLETED"] * 5 and sorted(made.end_order) == list("01234")


def test_a_full_disk_stops_no_search_and_keeps_no_thread_out(tmp_path: Path, capsys) -> None:
    made = opened(tmp_path)
    made.state_file = tmp_path / "a file" / "state.json"
    (tmp_path / "a file").write_text("")
    assert made.create_trial("one").status == "RUNNING"
    assert "state of the search cannot be saved" in capsys.readouterr().out
    watch = threading.Thread(target=made.forget_silent_workers, daemon=True)
    watch.start()
    watch.join(5)
    assert not watch.is_alive()


# === Trials that kill their process ===


def test_a_trial_that_kills_three_workers_has_failed(tmp_path: Path) -> None:
    made = opened(tmp_path)
    made.patience = -1.0  # each is silent at once
    given = [made.create_trial(name).trial_id for name in ("one", "two", "three", "four")]
    assert given == ["0", "0", "0", "1"] and ATTEMPTS == 3
    assert made.trials["0"].status == "FAILED" and set(made.ongoing_trials) == {"four"}
    assert made.trials["0"].message == "its workers died 3 times, perhaps out of memory"


def test_attempts_count_over_a_kill_of_the_chief(tmp_path: Path) -> None:
    given = []
    for name in ("one", "two", "three", "four"):
        made = opened(tmp_path)
        made.patience = 0.1
        given.append(made.create_trial(name).trial_id)
        time.sleep(0.2)
        made.forget_silent_workers()
    assert given == ["0", "0", "0", "0"]  # the last one as a failed trial, once more
    assert statuses(made) == ["FAILED"]


def test_a_kill_of_the_chief_is_no_trials_doing(tmp_path: Path) -> None:
    for _ in range(ATTEMPTS + 2):
        made = opened(tmp_path)
        assert made.create_trial("one").trial_id == "0"
    assert statuses(made) == ["RUNNING"]


# === What is said ===


def test_a_search_that_has_stopped_says_why_and_where_more_is(tmp_path: Path) -> None:
    search = played(tmp_path, 40.0, None, None, None, expected=9)
    state = json.loads((search.state_dir / STATE).read_text())
    error = "asen_study.tuning.search.SearchError: OSError: No space left on device (a.log)"
    state["trials"][1]["message"] = f"Traceback\n  File ...\n{error}\n"
    write_json((search.state_dir / STATE), state)
    with pytest.raises(SearchError) as caught:
        search.check(stopped=True)
    said = str(caught.value).splitlines()
    assert said[0] == "3 of 4 trials failed:"
    assert said[1] == "  trial 2: OSError: No space left on device (a.log)"
    assert said[3] == "  trial 4: see its worker's log"
    assert "try them once more" in said[4] and str(search.place / "logs") in said[4]
    assert said[5] == "The search has stopped: fix the cause first"


def test_failed_trials_of_a_search_that_ended_are_told(tmp_path: Path, capsys) -> None:
    played(tmp_path, 40.0, None, None, None).check(stopped=True)
    assert "3 of 4 trials failed:\n  trial 2: see its worker" in capsys.readouterr().out
    fine = played(tmp_path / "fine", 40.0)
    capsys.readouterr()
    fine.check(stopped=False)
    assert capsys.readouterr().out == ""


def test_a_search_without_one_good_trial_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match="2 of 2 trials failed"):
        played(tmp_path, None, None).check(stopped=False)


def test_progress_tells_of_each_trial_that_ends(tmp_path: Path, capsys) -> None:
    made = opened(tmp_path, trials=3)
    made.end_trial(Trial(made.create_trial("one").hyperparameters, "0", "FAILED"))
    finish(made, made.create_trial("one"))
    said = capsys.readouterr().out.splitlines()
    score = f"{made.trials['1'].score:.2f}"
    assert said == ["Trial 1: FAILED; 1 ended", f"Trial 2: validation MAP {score}; 2 ended"]


# === A real one ===


@pytest.mark.slow
def test_a_search_whose_runs_cannot_be_kept_stops_and_goes_on_after_the_repair(
    tmp_path: Path,
) -> None:
    make_dataset(tmp_path / "data", images=160, size=64, dataset="Garments")
    preset = tmp_path / "start.json"
    write_json(preset, {"preset": "smoke", "overrides": {"starting_weights": "random"}})
    places = Places(tmp_path / "data", tmp_path / "results", "tuning")
    fields = ("roi_threshold", "fusion_weight")
    search = Search(preset=str(preset), trials=9, fields=fields, places=places)
    work = search.place / ".work"  # of unfinished runs
    work.parent.mkdir(parents=True)
    work.write_text("a file where a folder has to be")
    with pytest.raises(SearchError, match=r"3 of 3 trials failed:\n  trial 1: .*Error.*\.work"):
        run_search(search)
    work.unlink()
    search = Search(preset=str(preset), trials=3, fields=fields, places=places)
    run_search(search)
    table = trials_table(search)
    assert list(table["status"]) == ["COMPLETED"] * 3 and table["config_hash"].is_unique
