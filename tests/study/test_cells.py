"""Cells of the matrix, trained side by side: a failure is reported, and stops nothing."""

from __future__ import annotations

import io
from pathlib import Path

import nbformat
import pytest

from asen_study import pipeline
from asen_study.cells import Cell, Countdown, Relay
from asen_study.pipeline import Attempt, Step, Study, failures
from asen_study.runs import Places


def cell(folder: Path, row: str = "csn", start: Attempt | None = None) -> Cell:
    study = Study("smoke", Places(folder / "no data", folder / "results", "smoke"))
    return Cell(study, row, 0, 1, Countdown(2, 2), start)


def test_a_failing_cell_is_told_and_kept_and_raises_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = cell(tmp_path)  # there is no data
    assert not failing.is_current()
    failing.attempt()
    said = capsys.readouterr().out
    assert "csn-seed0: FAILED (PapermillExecutionError), see" in said
    assert "1 of 2 runs" in said
    (kept,) = failures([failing.trial])
    assert kept.name == "csn-seed0.txt" and "meta.json: the file is missing" in kept.read_text()
    assert not failing.is_current() and not failing.step.executed.exists()


def test_without_its_backbone_a_cell_is_skipped_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = cell(tmp_path).study
    start = Attempt(Step(study, "02_backbone_start", {}, "backbone"), "backbone-seed0")
    waiting = cell(tmp_path, start=start)
    assert not waiting.trial.skipped
    start.failure.parent.mkdir(parents=True)
    start.failure.write_text("no data\n")
    waiting.attempt()
    said = capsys.readouterr().out
    assert said == f"== csn-seed0: SKIPPED: needs backbone-seed0; why: {start.failure}\n"
    assert waiting.trial.failure.read_text() in said
    assert waiting.countdown.total == 1
    assert failures([start, waiting.trial]) == [start.failure, waiting.trial.failure]


def test_a_failure_takes_the_copy_of_earlier_code_away_and_success_the_failure(
    tmp_path: Path,
) -> None:
    trial = cell(tmp_path).trial
    trial.step.executed.parent.mkdir(parents=True)
    trial.step.executed.write_text("of earlier code")
    (tmp_path / "results" / "smoke" / "failed").write_text("in the way of reports")
    with pytest.raises(FileExistsError):  # what cannot be told stops the study
        trial.make()
    (tmp_path / "results" / "smoke" / "failed").unlink()
    assert trial.make().startswith("FAILED (PapermillExecutionError)")
    assert trial.failure.exists() and not trial.step.executed.exists()
    assert not trial.settled(False) and trial.failure.exists()
    assert trial.settled(True) and not trial.failure.exists()


@pytest.mark.parametrize("edited", ["", "asen_tf/losses.py", "notebooks/05_results.ipynb"])
def test_an_edit_while_a_notebook_runs_makes_its_copy_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edited: str
) -> None:
    for name in ("asen_tf/losses.py", "notebooks/05_results.ipynb"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("before")

    def run(*_, **__) -> nbformat.NotebookNode:
        if edited:
            (tmp_path / edited).write_text("after")
        return nbformat.v4.new_notebook()

    monkeypatch.setattr(pipeline, "ROOT", tmp_path)
    monkeypatch.setattr(pipeline.papermill, "execute_notebook", run)
    step = Step(cell(tmp_path).study, "05_results", {})
    step.execute()
    pipeline._content.cache_clear()  # as in the next process
    assert step.is_current() == (not edited)


@pytest.mark.parametrize("changed", ["nothing", "a label", "a photograph", "one more"])
def test_an_edited_catalogue_is_prepared_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    images, table = tmp_path / "images", tmp_path / "shop.csv"
    (images / "new").mkdir(parents=True)
    (images / "new" / "1.png").write_bytes(b"red")
    table.write_text("image,colour\nnew/1.png,red\n")
    monkeypatch.setattr(
        pipeline.papermill, "execute_notebook", lambda *_, **__: nbformat.v4.new_notebook()
    )
    given = {"raw": str(images), "table": str(table)}
    step = Step(cell(tmp_path).study, "01_prepare_data", given)
    step.execute()
    assert step.is_current()
    if changed == "a label":
        table.write_text("image,colour\nnew/1.png,blue\n")
    elif changed == "a photograph":
        (images / "new" / "1.png").write_bytes(b"blue")
    elif changed == "one more":
        (images / "2.png").write_bytes(b"red")
    assert step.is_current() == (changed == "nothing")


def test_a_cell_is_named_for_row_and_seed(tmp_path: Path) -> None:
    named = cell(tmp_path, "asen_pp/no_asa")
    assert named.name == "asen_pp-no_asa-seed0"
    assert named.step.executed.name == "03_train-asen_pp-no_asa-seed0.ipynb"
    assert named.step.parameters["method"] == "asen_pp/no_asa"
    assert named.step.config.spatial_attention is False


def test_the_relay_logs_everything_and_tells_of_epochs_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = io.StringIO()
    relay = Relay(log, "csn-seed0")
    for piece in ("results/x: star", "ting\ntraining csn, epo", "ch 1: loss 0.2\n", "more"):
        relay.write(piece)
    assert log.getvalue() == "results/x: starting\ntraining csn, epoch 1: loss 0.2\nmore"
    assert capsys.readouterr().out == "   [csn-seed0] training csn, epoch 1: loss 0.2\n"


def test_the_countdown_says_when_the_last_run_ends(capsys: pytest.CaptureFixture[str]) -> None:
    countdown = Countdown(total=6, jobs=2)
    countdown.report("a", "finished", 60.0)
    countdown.report("b", "finished", 180.0)  # 2 min on average, four left, two side by side
    first, last = capsys.readouterr().out.splitlines()
    assert first == "== a: finished after 1.0 min; 1 of 6 runs"  # the shorter of two says little
    assert last == "== b: finished after 3.0 min; 2 of 6 runs, about 4 min left"
