"""Cells of the matrix: a failure is kept and told, and stops nothing."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from asen_tf.cells import Cell, Progress, Relay, failures
from asen_tf.pipeline import Study


def cell(folder: Path, row: str = "csn") -> Cell:
    study = Study("smoke", "smoke", str(folder / "no data"), str(folder / "results"))
    return Cell(study, row, 0, 1, Progress(2, 2))


def test_a_failing_cell_is_told_and_kept_and_raises_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = cell(tmp_path)  # there is no data
    assert not failing.is_current()
    failing.attempt()
    said = capsys.readouterr().out
    assert "csn-seed0: FAILED (PapermillExecutionError), see" in said
    assert "1 of 2 runs" in said
    (kept,) = failures(failing.study)
    assert kept == failing.failure and "meta.json: the file is missing" in kept.read_text()
    assert not failing.is_current() and not failing.step.executed.exists()


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


def test_progress_says_when_the_last_run_ends(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(total=6, jobs=2)
    progress.tell("a", "finished", 60.0)
    progress.tell("b", "finished", 180.0)  # 2 min on average, four left, two side by side
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "== b: finished after 3.0 min; 2 of 6 runs, about 4 min left"
