"""The command line: from files to an index, from an index to hits, and how it fails."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ctrl_c import interrupted_at_import
from small_model import save_catalogue

from asen_apps.commands import main
from asen_apps.explorer import __main__ as explorer
from asen_apps.search import AttributeIndex, cataloguing, command
from asen_apps.search.answers import as_csv, as_picture
from asen_study.matrix import settings
from asen_tf.embedder import Embedder
from asen_tf.presets import smoke

COUNT, ROOT = 5, Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("catalogue")
    save_catalogue(path, COUNT, side=70)
    (path / "broken.png").write_bytes(b"not an image")
    images = [str(path / f"{number}.png") for number in range(COUNT)]
    words = ["index", str(path / "model.keras"), *images, str(path / "broken.png")]
    words += ["--attribute", "sleeve", "--dtype", "float16", "--out", str(path / "index")]
    assert main(words) == 2  # one image was left out
    return path


def test_index_writes_what_can_be_used_and_names_the_rest(folder: Path, capsys) -> None:
    model, out = folder / "model.keras", folder / "again"
    words = ["index", model, folder / "1.png", folder / "broken.png", "--out", out]
    assert main([str(word) for word in words]) == 2
    told = capsys.readouterr()
    assert "broken.png: not a readable image" in told.err
    listed = f"1 left out, see {out}.unreadable.csv"
    assert told.out == f"{out}: 1 images, 3 attributes; {listed}\n"
    assert main([str(word) for word in words if word != folder / "broken.png"]) == 0
    index = AttributeIndex.load(folder / "index", Embedder.load(model))
    assert list(index.store.backends) == ["sleeve"] and index.store.dtype == "float16"


def test_nothing_usable_writes_nothing(folder: Path, capsys) -> None:
    words = ["index", folder / "model.keras", folder / "broken.png", "--out", folder / "none"]
    assert main([str(word) for word in words]) == 2
    assert "not written: no image can be used" in capsys.readouterr().err
    assert not (folder / "none").exists()


def test_an_index_may_be_made_where_one_stands(
    folder: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    place = tmp_path / "shop"
    place.mkdir()
    monkeypatch.chdir(place)
    words = ["index", *(str(folder / name) for name in ("model.keras", "1.png", "broken.png"))]
    for asked in (
        [*words, "--attribute", "sleeve", "--out", "."],
        ["index", "--update", "--out", "."],
    ):
        assert main(asked) == 2
        told = capsys.readouterr()
        assert f"1 left out, see {tmp_path}/shop.unreadable.csv" in told.out, told.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shop", "shop.unreadable.csv"]
    assert len(AttributeIndex.load(place, Embedder.load(folder / "model.keras"))) == 1


def test_the_lock_of_an_index_is_gone_before_another_command_can_take_it(
    folder: Path, tmp_path: Path, monkeypatch
) -> None:
    there = []

    class Watched(cataloguing.FileLock):
        def release(self, force: bool = False) -> None:
            there.append(Path(self.lock_file).exists())
            super().release(force)

    monkeypatch.setattr(cataloguing, "FileLock", Watched)
    words = ["index", str(folder / "model.keras"), str(folder / "1.png"), "--attribute", "sleeve"]
    assert main([*words, "--out", str(tmp_path / "index")]) == 0
    assert there[0] is False and not list(tmp_path.glob("*.lock"))


def test_search_prints_the_hits_of_the_index(folder: Path, capsys) -> None:
    out, model, image = (str(folder / name) for name in ("index", "model.keras", "4.png"))
    asked = ["--attribute", "sleeve=0.75", "--attribute", "buttons", "--csv"]
    assert main(["search", out, image, *asked, "-k", "3"]) == 0
    found = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    index = AttributeIndex.load(out, Embedder.load(model))
    expected = index.search(image, {"sleeve": 0.75, "buttons": 1.0}, k=3)
    assert [(row["id"], row["image"]) for row in found] == [
        (str(hit.id), str(hit.image)) for hit in expected
    ]
    for row, hit in zip(found, expected, strict=True):
        assert float(row["score"]) == pytest.approx(hit.score, abs=2e-6)
        assert float(row["reached by"]) == pytest.approx(hit.reached_by)
        assert {name: row[name] for name in hit.parts} == {
            name: f"{cosine:.4f}" for name, cosine in hit.parts.items()
        }


@pytest.mark.parametrize(
    ("index", "image", "attribute", "message"),
    [
        ("index", "1.png", "sleave", "did you mean 'sleeve'?"),
        ("index", "1.png", "sleeve=much", "is NAME or NAME=WEIGHT; got 'sleeve=much'"),
        ("index", "broken.png", "sleeve", "broken.png: not a readable image"),
        (".", "1.png", "sleeve", "no saved index here"),
    ],
)
def test_faults_are_told_in_a_sentence(folder, capsys, index, image, attribute, message) -> None:
    paths = [str(folder / name) for name in (index, image)]
    assert main(["search", *paths, "--attribute", attribute]) == 2
    told = capsys.readouterr()
    assert message in told.err and told.out == ""


def test_a_fault_of_the_program_is_a_sentence_with_its_place(monkeypatch, capsys) -> None:
    def run(options: object) -> int:
        return {}["key"]

    monkeypatch.setattr(command, "run_search", run)
    words = ["search", "index", "1.png", "--attribute", "sleeve"]
    assert main(words) == 1
    told = capsys.readouterr().err
    assert told.startswith("a fault of this program, not of your input; please report it: KeyError")
    assert "in test_search_command.py, line " in told and told.count("\n") == 1


def test_a_value_error_of_a_library_is_a_fault_of_the_program(monkeypatch, capsys) -> None:
    monkeypatch.setattr(command, "run_search", lambda options: json.loads("{"))
    assert main(["search", "index", "1.png", "--attribute", "sleeve"]) == 1
    assert "a fault of this program" in capsys.readouterr().err


def test_an_error_of_a_study_is_a_sentence_about_the_input(monkeypatch, capsys) -> None:
    monkeypatch.setattr(command, "run_search", lambda options: settings("asen_qq", smoke()))
    assert main(["search", "index", "1.png", "--attribute", "sleeve"]) == 2
    assert capsys.readouterr().err.startswith("method 'asen_qq' is not a row of the matrix; ")


def test_ctrl_c_ends_with_130(monkeypatch, capsys) -> None:
    def run(options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run_search", run)
    assert main(["search", "index", "1.png", "--attribute", "sleeve"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_ctrl_c_while_it_is_starting_is_one_line_too(tmp_path: Path) -> None:
    installed = "import sys, asen_apps; sys.exit(asen_apps.main())"  # what the script `asen` does
    assert interrupted_at_import(tmp_path, "numpy", "-c", installed) == (130, "interrupted\n")


def test_ctrl_c_ends_a_real_command_in_one_line(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "asen_apps.commands", "index", str(folder / "model.keras")]
    process = subprocess.Popen(
        [*command, "-", "--out", str(tmp_path / "index")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Tests that were started in the background ignore Ctrl-C, and so would this command.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    process.stdin.write(b"a.png\n" * 100_000)  # more than a pipe holds: the command is reading
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=600)
    assert (process.returncode, out, said) == (130, b"", b"interrupted\n")
    assert not list(tmp_path.iterdir())


def test_a_reader_that_has_seen_enough_ends_a_command_without_a_word(monkeypatch, capsys) -> None:
    def run(options: object) -> int:
        print("1  0.99  a.png\n" * 10_000)
        return 0

    monkeypatch.setattr(command, "run_search", run)
    reading, writing = os.pipe()
    os.close(reading)  # as `head` does
    with os.fdopen(writing, "w") as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        assert main(["search", "index", "1.png", "--attribute", "sleeve"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["find"],
        ["search", "--much"],
        ["embed", "model.keras", "1.png", "--out", "vectors.txt"],
        ["index", "model.keras", "1.png", "--out", "folder", "--quick"],
        ["tag", "model.keras", "--index", "folder", "--out", "tagged.xlsx"],
        ["weights", "x.pth.tar", "model.h5"],
        ["weights", "x.pth.tar", "model.keras", "--method", "triplet"],
    ],
    ids=" ".join,
)
def test_words_that_it_does_not_know_end_with_2(words: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2 and "asen" in capsys.readouterr().err


@pytest.mark.parametrize("found", [0, 2])
def test_explore_hands_its_options_to_the_explorer(monkeypatch, found: int) -> None:
    asked = []
    monkeypatch.setattr(explorer, "main", lambda words: asked.append(words) or found)
    assert main(["explore", "--study", "mine", "--no-browser"]) == found
    assert asked == [["--study", "mine", "--no-browser"]]


@pytest.mark.parametrize(
    "command", ["", *"embed index search serve attributes tag explore weights".split()]
)
def test_help_fits_a_terminal_of_80_columns(command: str, monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])
    told = capsys.readouterr().out
    assert ended.value.code == 0 and told.startswith("usage: ") and len(told.splitlines()) > 7
    assert max(map(len, told.splitlines())) <= 80


def test_the_old_name_says_the_new_one_and_works() -> None:
    command = [sys.executable, "-m", "asen_tf", "embed", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("usage: asen embed")
    assert done.stderr == "`python -m asen_tf` is now called `asen`; see `asen --help`\n"


def test_a_shops_own_column_id_stands_beside_that_of_the_index() -> None:
    hit = {"rank": 1, "score": 0.5, "reached_by": 0.1, "image": "1.png", "id": 7}
    hit["metadata"] = {"id": "SKU-123", "rank": "first", "brand": "Acme"}
    found = {"attributes": {"sleeve": 1.0}, "where": [], "hits": [hit]}
    (row,) = csv.DictReader(as_csv(found).splitlines())
    assert (row["id"], row["id (table)"], row["brand"]) == ("7", "SKU-123", "Acme")
    assert (row["rank"], row["rank (table)"]) == ("1", "first")


def test_values_are_drawn_in_a_font_that_has_their_letters_or_numbered(capsys) -> None:
    def drawn(value: str) -> np.ndarray:
        hit = {"rank": 1, "score": 0.5, "reached_by": 0.1, "image": "gone.png"}
        hit["metadata"] = {"colour": value}
        found = {"attributes": {"sleeve": 1.0}, "where": [], "hits": [hit]}
        return np.asarray(as_picture(found, Path("query.png")).convert("L"))

    unknown = "\U0010f0a1\U0010f0a2"  # letters that no font has
    np.testing.assert_array_equal(drawn(unknown), drawn("value 1"))
    assert f"has the letters of {unknown} (value 1)" in capsys.readouterr().err
    plain, arabic, other = drawn(""), drawn("أحمر"), drawn("أزرق")
    assert (arabic != other).any()  # letters, not boxes
    assert (arabic < 100).sum() > (plain < 100).sum() + 30
    assert capsys.readouterr().err == ""
