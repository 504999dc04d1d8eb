"""A real search on the smoke preset: killed in the middle, and what it leaves."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
import tensorflow as tf
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tuning_process import FIELDS, kill, searching, start, wait_until

from asen_study.runs import Run, finished_runs
from asen_study.tuning import Search, write_trials
from asen_tf.presets import preset, smoke
from data_prep.synthetic import make_dataset

TRIALS = 3
OUTPUTS = ("trials.csv", "best.json")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tuning")
    make_dataset(path / "data", images=160, size=64, dataset="Garments")
    return path


def finish(search: Search, log: Path) -> None:
    process = start(search, log)
    assert process.wait() == 0, log.read_text()[-3000:]
    write_trials(search)


def break_and_go_on(search: Search, log: Path) -> dict[str, int]:
    """Kill a search in its second trial; give the times of what was finished; go on."""
    process = start(search, log)
    wait_until(lambda: len(search.ended_trials()) == 1, process, log)
    own = search.place / "logs" / "job1.log"
    seen = len(own.read_text())
    wait_until(lambda: "stage 2 (both branches), epoch 1:" in own.read_text()[seen:], process, log)
    kill(process)
    before = {run.path.name: changed(run.path) for run in finished_runs(search.place)}
    finish(search, log)
    return before


def changed(path: Path) -> int:
    return (path / "manifest.json").stat().st_mtime_ns


@pytest.fixture(scope="module")
def searches(folder: Path) -> tuple[Search, Search, dict[str, int]]:
    """Return an unbroken search, one that was killed and went on, and what that one had then."""
    whole, broken = (searching(folder, name, TRIALS) for name in ("whole", "broken"))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(finish, whole, folder / "whole.log")
        second = pool.submit(break_and_go_on, broken, folder / "broken.log")
        first.result()
        return whole, broken, second.result()


@pytest.mark.parametrize("name", OUTPUTS)
def test_the_killed_search_has_the_same_tables(searches, name: str) -> None:
    whole, broken, _ = searches
    assert (broken.place / name).read_bytes() == (whole.place / name).read_bytes()


def test_what_was_finished_before_the_kill_is_not_repeated(searches) -> None:
    _, broken, before = searches
    assert sorted(name.split("-")[0] for name in before) == ["asen_pp", "backbone", "stage1"]
    assert {name: changed(broken.place / name) for name in before} == before
    resumed = [run.manifest["resumed"] for run in finished_runs(broken.place) if run.evaluated]
    assert sorted(resumed) == [False] * (TRIALS - 1) + [True]


def test_one_backbone_serves_all_trials(searches) -> None:
    for search in searches[:2]:
        names = [run.path.name.split("-")[0] for run in finished_runs(search.place)]
        assert sorted(names) == ["asen_pp"] * TRIALS + ["backbone", "stage1"]


def test_the_number_of_a_trial_is_that_of_its_run(searches) -> None:
    whole = searches[0]
    table = pd.read_csv(whole.place / "trials.csv")
    assert list(table["trial"]) == [1, 2, 3] and set(table["status"]) == {"COMPLETED"}
    found = [run for run in finished_runs(whole.place) if run.evaluated]
    runs = {run.manifest["config_hash"]: Run(run.path) for run in found}
    for row in table.itertuples():
        run = runs[row.config_hash]
        history = run.table("history")
        kept = history[(history["stage"] == "stage2") & history["best"]]["val_map"].item()
        assert row.val_map == pytest.approx(kept, abs=1e-4)
        # The table has six digits.
        found = [getattr(run.config, name) for name in FIELDS]
        assert [getattr(row, name) for name in FIELDS] == pytest.approx(found, rel=1e-5)
    assert runs[table["config_hash"][0]].config == smoke()


def test_the_best_is_a_preset_that_training_takes(searches) -> None:
    whole = searches[0]
    table = pd.read_csv(whole.place / "trials.csv")
    best = preset(str(whole.place / "best.json"))
    assert best.hash == table["config_hash"][table["val_map"].idxmax()]
    content = json.loads((whole.place / "best.json").read_text())
    assert content["preset"] == "smoke" and set(content["overrides"]) <= set(FIELDS)


def test_tensorboard_shows_values_and_scores(searches) -> None:
    whole = searches[0]
    table = pd.read_csv(whole.place / "trials.csv").set_index("trial")
    for number in table.index:
        folder = whole.place / "tensorboard" / whole.state_dir.name / f"trial-{number - 1}"
        (file,) = folder.glob("events*")
        values, scores = {}, {}
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "hparams":
                    content = value.metadata.plugin_data.content
                    start = HParamsPluginData.FromString(content).session_start_info
                    values |= {name: held.number_value for name, held in start.hparams.items()}
                elif value.tag == "val_map":
                    scores[event.step] = tf.make_ndarray(value.tensor).item()
        assert sorted(values) == sorted(FIELDS)
        assert values["fusion_weight"] == pytest.approx(table["fusion_weight"][number], abs=1e-3)
        assert scores == {4: pytest.approx(table["val_map"][number], abs=1e-3)}  # 2 + 2 epochs
