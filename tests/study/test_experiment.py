"""Whole runs, each in a process of its own: the same digits, whatever interrupts them."""

from __future__ import annotations

import json
import re
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from experiment_process import DATASET, MOMENTS, STAGES, Killed, finish, left_behind, run

from asen_study import experiment
from asen_study.runs import Places
from asen_tf import presets
from asen_tf.data.images import ImageError
from asen_tf.training import Phase
from data_prep.synthetic import make_dataset

pytestmark = pytest.mark.studies

METRICS = (
    *("history.csv", "map.csv", "localisation.csv", "triplets.csv", "fusion.csv"),
    *("metrics.json", "config.json"),
)
ARRAYS = ("queries.npz", "test_pairs.npz")  # NumPy's archives carry no time stamp


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in (*METRICS, *ARRAYS)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("experiment")
    make_dataset(path / "data", images=200, size=64, dataset=DATASET)
    return path


def break_and_go_on(folder: Path, moment: str) -> tuple[Killed, Path]:
    """Kill a run at a moment and start it again; say what was left, and where it has ended."""
    results = folder / moment
    code, _ = run(folder / "data", results, kill_at=MOMENTS[moment])
    killed = left_behind(code, results / "tests")
    if moment == "evaluation":
        hidden = shutil.ignore_patterns(".tmp-*")
        shutil.copytree(results, folder / "failing", ignore=hidden)
    return killed, finish(folder / "data", results)


@pytest.fixture(scope="module")
def from_nothing(folder: Path) -> tuple[Path, tuple[Killed, Path]]:
    """An unbroken run, and one that is killed, at once: they race for the image cache, too."""
    with ThreadPoolExecutor(2) as pool:
        whole = pool.submit(finish, folder / "data", folder / "first")
        killed = pool.submit(break_and_go_on, folder, "stage 1")
        return whole.result(), killed.result()


@pytest.fixture(scope="module")
def unbroken(from_nothing: tuple[Path, tuple[Killed, Path]]) -> Path:
    return from_nothing[0]


@pytest.fixture(scope="module")
def broken(
    folder: Path, from_nothing: tuple[Path, tuple[Killed, Path]]
) -> dict[str, tuple[Killed, Path]]:
    """What the killed process left, and the run that went on from it, by moment."""
    whole, first = from_nothing
    (backbone,) = whole.parent.glob("backbone-*")  # trained already
    later = [moment for moment in MOMENTS if moment != "stage 1"]
    for moment in later:
        shutil.copytree(backbone, folder / moment / "tests" / backbone.name)
    with ThreadPoolExecutor(2) as pool:
        ended = pool.map(lambda moment: break_and_go_on(folder, moment), later)
        return {"stage 1": first, **dict(zip(later, ended, strict=True))}


# === The same digits ===


def test_two_pretrained_backbones_of_one_seed_are_the_same(
    unbroken: Path, broken: dict[str, tuple[Killed, Path]]
) -> None:
    runs = (unbroken, broken["stage 1"][1])  # each has pretrained its own
    first, second = (next(path.parent.glob("backbone-*")) for path in runs)
    assert first != second
    for name in ("history.csv", "backbone.weights.h5"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


@pytest.mark.parametrize(
    ("moment", "stages", "states"),
    [
        ("stage 1", [], {"stage1": ["epoch-0000"], "stage2": []}),
        ("stage 2", ["stage1"], {"stage1": [], "stage2": ["epoch-0000"]}),
        ("evaluation", [*STAGES], {"stage1": [], "stage2": ["epoch-0001"]}),
    ],
)
def test_process_was_killed_where_it_should_be(
    broken: dict[str, tuple[Killed, Path]], moment: str, stages: list[str], states: dict
) -> None:
    half = ["history.csv", "model.keras", "tensorboard"] if moment == "evaluation" else []
    assert broken[moment][0] == Killed(-signal.SIGKILL, stages, states, visible=[], half=half)


@pytest.mark.parametrize("name", [*METRICS, *ARRAYS])
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_run_that_went_on_writes_the_same_bytes(
    unbroken: Path, broken: dict[str, tuple[Killed, Path]], moment: str, name: str
) -> None:
    finished = broken[moment][1]
    assert finished.name == unbroken.name and finished != unbroken
    (stage,) = finished.parent.glob("stage1-*")
    resumed = {
        path: json.loads((path / "manifest.json").read_text())["resumed"]
        for path in (stage, finished)
    }
    assert resumed == {stage: moment == "stage 1", finished: moment != "stage 1"}
    expected = (unbroken / name).read_bytes()
    assert len(expected) > 200 and (finished / name).read_bytes() == expected


def test_unbroken_run_says_so(unbroken: Path) -> None:
    assert json.loads((unbroken / "manifest.json").read_text())["resumed"] is False


# === Finished, and failed ===


def test_finished_run_is_not_run_again(
    folder: Path, unbroken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(folder / "first", folder / "finished")
    study = folder / "finished" / "tests"
    (study / unbroken.name / "map.csv").write_text("as it was\n")
    before = {path: path.stat().st_mtime_ns for path in study.rglob("*")}
    experiment.run(presets.smoke(), Places(folder / "data", folder / "finished", "tests"))
    assert "finished before, nothing to do" in capsys.readouterr().out
    assert (study / unbroken.name / "map.csv").read_text() == "as it was\n"
    assert {path: path.stat().st_mtime_ns for path in study.rglob("*")} == before


class Trained(Exception):
    """Something is about to be trained."""


@pytest.mark.parametrize(
    ("changes", "first"), [({"roi_threshold": 0.3}, "stage2"), ({"seed": 1}, "backbone")]
)
def test_another_study_trains_no_start_a_second_time(
    folder: Path,
    unbroken: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, float],
    first: str,
) -> None:
    def train(model: object, config: object, dataset: object, phase: Phase, **options: object):
        raise Trained(phase.name)

    def pretrain(*arguments: object, **options: object):
        raise Trained("backbone")

    monkeypatch.setattr(experiment, "train", train)
    monkeypatch.setattr(experiment, "pretrain_backbone", pretrain)
    another = Places(folder / "data", folder / "first", f"another-{first}")
    with pytest.raises(Trained, match=first):
        experiment.run(presets.smoke().override(**changes), another)
    assert not list(another.study_dir.glob("backbone-*"))  # taken from where they are
    assert not list(another.study_dir.glob("stage1-*"))


def test_nothing_unfinished_stays_beside_a_finished_run(unbroken: Path) -> None:
    study = unbroken.parent
    assert [path.name.split("-")[0] for path in sorted(study.iterdir())] == [
        ".work",
        "asen_pp",
        "backbone",
        "stage1",
    ]
    assert list((study / ".work").iterdir()) == []


def test_failing_run_leaves_no_half_result_and_goes_on_when_repaired(
    folder: Path, unbroken: Path, broken: dict[str, tuple[Killed, Path]]
) -> None:
    # Trained already; a test image of the same size in bytes cannot be decoded.
    data, study = folder / "spoilt", folder / "failing" / "tests"
    shutil.copytree(folder / "data", data, ignore=shutil.ignore_patterns(".cache"))
    image = data / DATASET / (data / DATASET / "filenames_test.txt").read_text().split()[0]
    pixels = image.read_bytes()
    image.write_bytes(bytes(len(pixels)))
    before = sorted(study.iterdir())
    with pytest.raises(ImageError, match=re.escape(f"{image}: not a readable image")):
        experiment.run(presets.smoke(), Places(data, folder / "failing", "tests"))
    assert sorted(study.iterdir()) == before
    assert not list(study.glob("*asen_pp*"))
    image.write_bytes(pixels)
    finished = finish(data, folder / "failing")
    assert contents(finished) == contents(unbroken)
