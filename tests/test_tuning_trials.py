"""The table of trials and the best of them, of searches whose scores are a formula."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from keras_tuner.engine.trial import Trial

from asen_tf.presets import preset, smoke
from asen_tf.tuning import Search, SearchError, best_trial, trials_table, write_trials
from asen_tf.tuning.oracles import oracle
from asen_tf.tuning.tuner import RunTuner

pytestmark = pytest.mark.filterwarnings("ignore:currentThread|getName:DeprecationWarning")
FIELDS = ("margin", "embedding_dim")


def played(folder: Path, *scores: float | None, algorithm: str = "random", **more) -> Search:
    """Return a search that has ended with these scores, None for a failed trial."""
    settings = {"preset": "smoke", "fields": FIELDS, "results_dir": str(folder)} | more
    search = Search(trials=len(scores), algorithm=algorithm, **settings)
    vars(search)["state_dir"] = folder  # otherwise named by data, of which there are none
    options = {"epochs": search.settings.epochs, "seed": 0, "state_file": search.state_file}
    made = oracle(algorithm, trials=len(scores), **options)
    RunTuner(made, search.settings, {}, folder, len(scores))  # declares the space
    for score in scores:
        trial = made.create_trial("one")
        if score is not None:
            made.update_trial(trial.trial_id, {"val_map": score})
        status = "INVALID" if score is None else "COMPLETED"
        made.end_trial(Trial(trial.hyperparameters, trial.trial_id, status))
    return search


def test_the_table_has_a_row_per_trial_and_a_column_per_setting(tmp_path: Path) -> None:
    table = trials_table(played(tmp_path, 40.0, None, 41.23456))
    assert list(table.columns) == ["trial", "status", "val_map", "epochs", *FIELDS, "config_hash"]
    assert list(table["trial"]) == [1, 2, 3] and set(table["epochs"]) == {4}
    assert list(table["status"]) == ["COMPLETED", "FAILED", "COMPLETED"]
    assert table["val_map"].isna().tolist() == [False, True, False]
    assert table["val_map"][2] == 41.2346 and table["config_hash"][0] == smoke().hash


def test_of_equals_the_earliest_is_the_best(tmp_path: Path) -> None:
    assert best_trial(played(tmp_path, 40.0, None, 42.0, 42.0)).trial_id == "2"


def test_where_nothing_is_better_the_best_is_the_preset(tmp_path: Path) -> None:
    search = played(tmp_path, 42.0, 40.0, 41.0)
    write_trials(search)
    content = json.loads((search.place / "best.json").read_text())
    assert content["overrides"] == {} and content["note"].startswith("trial 1 of 3, random search")
    assert preset(str(search.place / "best.json")) == smoke()


def test_a_search_from_a_preset_file_ends_in_one_over_the_same_preset(tmp_path: Path) -> None:
    start = tmp_path / "start.json"
    start.write_text(json.dumps({"preset": "smoke", "overrides": {"roi_threshold": 0.3}}))
    search = played(tmp_path, 40.0, 41.0, preset=str(start))
    write_trials(search)
    best = preset(str(search.place / "best.json"))
    assert best.hash == trials_table(search)["config_hash"][1]
    assert best.roi_threshold == 0.3 and best.margin != smoke().margin


def test_of_hyperband_only_trials_of_full_length_can_be_the_best(tmp_path: Path) -> None:
    # Four epochs: a bracket of five for two epochs, of which two go on to four; then three more.
    scores = [60.0, 50.0, 40.0, 30.0, 20.0, 10.0, 11.0, 9.0, 8.0, 7.0]
    search = played(tmp_path, *scores, algorithm="hyperband")
    table = trials_table(search)
    assert list(table["epochs"]) == [2] * 5 + [4] * 5
    assert best_trial(search).trial_id == "0006"  # 11, although shorter ones had more
    promoted = table.iloc[[0, 1, 5, 6]][list(FIELDS)].to_numpy().tolist()
    assert promoted[:2] == promoted[2:]
    write_trials(search)
    assert preset(str(search.place / "best.json")).hash == table["config_hash"][6]


def test_without_a_completed_trial_there_is_no_best(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match="no trial has been trained to its end"):
        write_trials(played(tmp_path, None, None))
