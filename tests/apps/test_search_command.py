"""The command line of the index: from files to a folder, and from a folder to hits."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from small_model import pictures, small_model

from asen_apps.commands import main
from asen_apps.search import AttributeIndex
from asen_tf.embedder import Embedder

COUNT = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("catalogue")
    small_model().save(path / "model.keras")
    for number, pixels in enumerate(pictures(COUNT, side=70)):
        Image.fromarray(pixels).save(path / f"{number}.png")
    (path / "broken.png").write_bytes(b"not an image")
    images = [str(path / f"{number}.png") for number in range(COUNT)]
    words = ["index", str(path / "model.keras"), *images, str(path / "broken.png")]
    words += ["--attribute", "sleeve", "--dtype", "float16", "--out", str(path / "index")]
    assert main(words) == 1  # one image was left out
    return path


def test_index_writes_what_can_be_used_and_names_the_rest(folder: Path, capsys) -> None:
    model, out = folder / "model.keras", folder / "again"
    words = ["index", model, folder / "1.png", folder / "broken.png", "--out", out]
    assert main([str(word) for word in words]) == 1
    told = capsys.readouterr()
    assert "broken.png: not a readable image" in told.err
    assert told.out == f"{out}: 1 images, 3 attributes; 1 images left out\n"
    assert main([str(word) for word in words if word != folder / "broken.png"]) == 0
    index = AttributeIndex.load(folder / "index", Embedder.load(model))
    assert list(index.store.backends) == ["sleeve"] and index.store.dtype == "float16"


def test_nothing_usable_writes_nothing(folder: Path, capsys) -> None:
    words = ["index", folder / "model.keras", folder / "broken.png", "--out", folder / "none"]
    assert main([str(word) for word in words]) == 1
    assert "not written: no image can be used" in capsys.readouterr().err
    assert not (folder / "none").exists()


def test_search_prints_the_hits_of_the_index(folder: Path, capsys) -> None:
    out, model, image = (str(folder / name) for name in ("index", "model.keras", "4.png"))
    asked = ["--attribute", "sleeve=0.75", "--attribute", "buttons"]
    assert main(["search", out, model, image, *asked, "-k", "3"]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    index = AttributeIndex.load(out, Embedder.load(model))
    expected = index.search(image, {"sleeve": 0.75, "buttons": 1.0}, k=3)
    assert lines == [
        [f"{hit.score:.4f}", str(hit.id), str(hit.image)]
        + [f"{name} {cosine:.4f}" for name, cosine in hit.parts.items()]
        for hit in expected
    ]


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
    paths = [str(folder / name) for name in (index, "model.keras", image)]
    assert main(["search", *paths, "--attribute", attribute]) == 1
    told = capsys.readouterr()
    assert message in told.err and told.out == ""
