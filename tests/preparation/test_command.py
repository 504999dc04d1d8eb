"""How the commands of data_prep end: a sentence and an exit code, never a traceback."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ctrl_c import interrupted_at_import

from asen_tf.data import AnnotationError
from data_prep.command import ended
from data_prep.prepare import prepare

ROOT = Path(__file__).parents[2]
RELEASES = {
    **dict.fromkeys(("fashionai", "darn", "deepfashion", "zappos50k", "clothing_attributes"), ()),
    "catalog": ("--csv", "shop.csv", "--dataset", "Shop"),
}


def raising(error: BaseException) -> Callable[[], None]:
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize("name", RELEASES)
def test_a_raw_folder_that_is_not_there_is_named_with_what_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    for folder in ("photos", "labels"):
        (tmp_path / folder).mkdir()
    (tmp_path / "photos.zip").touch()
    main = importlib.import_module(f"data_prep.{name}").main
    out = ["--out", str(tmp_path / "data"), *RELEASES[name]]
    assert main(["--raw", str(tmp_path / "fotos"), *out]) == 2
    said = capsys.readouterr().err
    assert "no such folder" in said and "did you mean 'photos'?" in said and "broken" not in said
    assert main(["--raw", str(tmp_path / "photos.zip"), *out]) == 2
    assert "must be a folder; got 'a file'" in capsys.readouterr().err
    assert main(["--raw", str(tmp_path / "none" / "none"), *out]) == 2
    assert not (tmp_path / "data").exists()


def test_the_notebook_says_the_same(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="must be a folder; got 'no such folder'"):
        prepare("FashionAI", tmp_path / "none", tmp_path / "data")


def test_every_end_has_its_code_and_its_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(lambda: None) == 0 and ended(lambda: 2) == 2
    assert capsys.readouterr().err == ""
    assert ended(raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "interrupted\n"
    assert ended(raising(OSError(28, "No space left on device"))) == 2
    assert "No space left on device; give another path" in capsys.readouterr().err
    # An error of this file is none of ours, whatever its class.
    for error in (ValueError("a slip"), KeyError("a slip")):
        assert ended(raising(error)) == 1
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and "please report it" in said and "test_command.py" in said


def test_a_reader_that_has_seen_enough_ends_a_command_without_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)  # as `head` does
    with os.fdopen(writing, "w") as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        assert ended(lambda: print("0.jpg: no such file\n" * 10_000)) == 0
    assert capsys.readouterr().err == ""


def test_a_wrong_option_of_the_renderer_is_the_users(capfd: pytest.CaptureFixture[str]) -> None:
    main = importlib.import_module("data_prep.synthetic").main
    assert main(["--images", "3"]) == 2
    said = "need at least 10 images of 32 pixels; got 3 of 320, and 6000 for the test"
    assert capfd.readouterr().err == f"error: {said}\n"


def test_ctrl_c_ends_a_command_and_its_processes_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "data_prep.synthetic", "--out", str(tmp_path)]
    command += ["--images", "20000", "--size", "64", "--workers", "2"]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Tests that were started in the background ignore Ctrl-C, and so would this command.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    end = time.monotonic() + 600
    while not next(tmp_path.rglob("*.jpg"), None):
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    _, said = process.communicate(timeout=600)
    assert process.returncode == 130 and said.endswith("interrupted\n"), said
    assert "Traceback" not in said


@pytest.mark.parametrize("name", [*RELEASES, "check", "synthetic"])
def test_ctrl_c_while_a_command_is_starting_is_one_line_too(tmp_path: Path, name: str) -> None:
    words = ("-m", f"data_prep.{name}", "--help")
    assert interrupted_at_import(tmp_path, "numpy", *words) == (130, "interrupted\n")
