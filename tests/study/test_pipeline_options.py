"""Options of the pipeline: a wrong one is refused at once, with what there is to choose from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from doit.exceptions import InvalidDodoFile

from asen_study import experiment
from asen_study.cells import Cell
from asen_study.matrix import FEATURES, PAIR, PHOTOS, ROWS, SAME_FIRST_STAGE, settings
from asen_study.profiles import PROFILES
from asen_study.schedule import tasks
from asen_tf.config import ExperimentConfig
from asen_tf.data import AttributeTable
from asen_tf.presets import quick
from data_prep.writing import write_meta


@pytest.mark.parametrize(
    ("profile", "options", "says"),
    [
        ("smoke", {"rows": "asen_pp,csm"}, "rows: no row 'csm'; did you mean 'csn'"),
        ("smoke", {"seeds": "0,one"}, "seeds: whole numbers from 0; got 'one'"),
        ("smoke", {"seeds": "-1"}, "seeds: whole numbers from 0; got '-1'"),
        ("smoke", {"jobs": "two"}, "jobs: whole numbers from 1; got 'two'"),
        ("smoke", {"jobs": "0"}, "jobs: whole numbers from 1; got '0'"),
        ("photos_smoke", {"raw": "nowhere"}, "raw: there is no folder nowhere"),
        ("own", {"dataset": "Shop", "raw": "nowhere"}, "raw: there is no folder nowhere"),
        (
            "own",
            {"dataset": "Shop", "raw": ".", "table": "no.csv"},
            "table: there is no file no.csv",
        ),
        ("own", {"dataset": "Shpo"}, "got 'Shpo'; did you mean 'Shop'"),
        ("own", {"dataset": "Shop", "preset": "foto"}, "preset must be one of paper, .*got 'foto'"),
        ("own", {"dataset": "Shop", "data_dir": "none"}, "none.*data_prep/README.md says"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_made(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    profile: str,
    options: dict[str, str],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_meta(tmp_path / "data", "Shop", AttributeTable(("colour",), (2,)))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InvalidDodoFile, match=says):
        list(tasks(profile, lambda name, default: options.get(name, default)))
    assert sorted(tmp_path.rglob("*")) == before


def test_right_options_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_meta(tmp_path / "data", "Shop", AttributeTable(("colour",), (2,)))
    options: dict[str, Any] = {"dataset": "Shop", "rows": "csn", "seeds": "3", "jobs": "1"}
    names = [task["name"] for task in tasks("own", lambda name, other: options.get(name, other))]
    assert "data" in names and any("csn" in name for name in names)
    assert not any("asen_pp" in name for name in names)


def test_a_study_of_ones_own_data_trains_and_evaluates_the_adapted_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_meta(tmp_path / "data", "Shop", AttributeTable(("colour",), (2,)))
    found = tasks("own", lambda name, other: "Shop" if name == "dataset" else other)
    steps = {task["name"]: task["actions"] for task in found}
    assert "train:asen_pp/adapted:0" in steps and "train:asen_pp:0" not in steps
    evaluated = steps["evaluate"][1].__self__.step.parameters
    assert (evaluated["method"], evaluated["seed"]) == ("asen_pp/adapted", 0)


def test_a_study_of_ones_own_data_wants_a_name_when_it_is_run_not_before() -> None:
    (task,) = tasks("own", lambda name, other: other)
    (refuse,) = task["actions"]
    assert "make study DATASET=NAME" in refuse().get_msg()


def test_what_starts_from_a_part_of_another_training_comes_after_it() -> None:
    def named(profile: str) -> dict[str, list[str]]:
        found = tasks(profile, lambda name, other: 2 if name == "jobs" else other)
        return {
            task["name"]: [name.split(":", 1)[1] for name in task["task_dep"]] for task in found
        }

    after = named("ablations")
    order = [*after]
    for seed in range(5):
        parts = {
            "asen_pp/whole_frame": [f"asen_pp:{seed}"],
            "asen_pp/adapted_whole_frame": [f"asen_pp/adapted:{seed}"],
            # The last seed's other network is no row of its own.
            "asen_v2/two_seeds": [f"asen_v2:{s}" for s in (seed, seed + 1) if s < 5],
        }
        for row, needed in parts.items():
            name = f"train:{row}:{seed}"
            assert {f"train:{part}" for part in needed} <= set(after[name])
        assert f"train:asen_pp:{seed}" not in after[f"train:asen_pp/adapted:{seed}"][:-1]
    assert all(order.index(one) < order.index(name) for name in order for one in after[name])
    changes = named("changes")
    assert "train:asen_pp/compact:1" in changes["train:asen_pp/compact_placeless:1"]
    assert "train:asen_pp/adapted:0" in changes["train:asen_pp/one_fall:0"]
    # In a study of folds the other network is trained on this one's fold.
    photos = named("photos")
    assert "train:asen_v2:1" not in photos["train:asen_v2/two_seeds:0"]
    # Of two that run side by side, the second does not wait for the first.
    for after in (named("ablations"), changes, photos):
        trained = [name for name in after if name.startswith("train:")]
        assert len(trained) > 15
        for first, second in zip(trained, trained[1:], strict=False):
            assert first not in after[second], (first, second)


def test_the_ablations_come_after_the_comparison_or_alone() -> None:
    for given, expected in (({}, ["ablations:report"]), ({"after": ""}, [])):
        found = tasks("parts", lambda name, other, given=given: given.get(name, other))
        first = next(task for task in found if task["name"] == "data")
        assert first["task_dep"] == expected


def test_of_a_study_that_is_half_done_both_cores_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    left = [("asen_pp/adapted", 0), ("asen_pp/adapted_whole_frame", 0), ("asen_pp", 2)]
    monkeypatch.setattr(Cell, "is_current", lambda cell: (cell.row, cell.seed) not in left)
    found = tasks("ablations", lambda name, other: 2 if name == "jobs" else other)
    after = {task["name"]: task["task_dep"] for task in found}
    for name, needed in after.items():
        if name.startswith("train:") and name.split(":")[1:] not in [[r, str(s)] for r, s in left]:
            assert needed == ["ablations:data"], name  # what is finished waits for no training
    one, two, three = (after[f"train:{row}:{seed}"] for row, seed in left)
    assert one == ["ablations:data"]
    assert two == ["ablations:data", "ablations:train:asen_pp/adapted:0"]
    assert three == one


LONG = {"asen_pp/adapted": 13, "asen_pp": 11, "rpf": 10, "asen_pp/adapted_whole_frame": 10}


@pytest.mark.parametrize(
    "rows", [PHOTOS, ("asen_v2", PAIR, "asen_pp/adapted", "asen_pp/adapted_whole_frame")]
)
def test_two_cores_are_kept_busy_though_controls_wait_for_their_first_stage(rows) -> None:
    minutes = {row: 1 if row in FEATURES else LONG.get(row, 6) for row in rows}
    given = {"jobs": 2, "rows": ",".join(minutes)}
    found = tasks("photos", lambda name, other: given.get(name, other))
    needs = {f"photos:{task['name']}": task["task_dep"] for task in found}
    # Those on fewer images, which come after the tables, are left out.
    waiting = [name for name in needs if ":train:" in name and name[-2] == ":"]
    running: list[tuple[int, str]] = []  # when each ends
    done, now, spent = set(), 0, 0
    while waiting or running:
        for name in list(waiting):
            if len(running) < 2 and done >= {one for one in needs[name] if ":train:" in one}:
                waiting.remove(name)
                took = minutes[name.split(":")[2]]
                running, spent = [*running, (now + took, name)], spent + took
        now, ended = min(running)
        running.remove((now, ended))
        done.add(ended)
    assert spent == 5 * sum(minutes.values()) and now <= 1.1 * spent / 2


def test_rows_that_are_said_to_share_a_first_stage_do() -> None:
    published = ExperimentConfig().to_dict()
    later = {name: published[name] for name in experiment._SECOND_STAGE_FIELDS}
    stages = {
        row: settings(row, quick()).override(**later).hash
        for row in ROWS
        if row.startswith("asen_pp") and settings(row, quick()).stages == 2
    }
    for row, stage in stages.items():
        if row in SAME_FIRST_STAGE:
            assert stage == stages[SAME_FIRST_STAGE[row]], row
        elif stage != stages["asen_pp"]:  # its own: only those said to do so share it
            others = {other for other, same in stages.items() if same == stage} - {row}
            assert all(SAME_FIRST_STAGE.get(other) == row for other in others), row


def test_photographs_are_asked_for_where_a_fold_has_no_files_not_where_shards_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    profile = PROFILES["photos_smoke"]
    packed = replace(profile, data_dir="data", changes={**profile.changes, "packed": True})
    monkeypatch.setitem(PROFILES, "photos_smoke", packed)
    write_meta(tmp_path / "data", "ClothingAttributes-0", AttributeTable(("colour",), (2,)))
    (tmp_path / "data" / "ClothingAttributes-0").mkdir(exist_ok=True)
    found = {task["name"]: task for task in tasks("photos_smoke", lambda name, other: other)}
    asks = {
        fold: any(isinstance(action, tuple) for action in found[f"data-fold{fold}"]["actions"])
        for fold in (0, 1)
    }
    assert asks == {0: False, 1: True}
