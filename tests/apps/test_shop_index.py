"""A shop's catalogue is indexed and kept up to date, by the commands as typed; kills included."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from shop_folder import make_shop, opened, run

from asen_apps.search import AttributeIndex, journal
from asen_tf import embedder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shop(tmp_path_factory.mktemp("shop"))


@dataclass
class Embedded:
    """The places of the images that were embedded; at `stop` of them Ctrl-C is pressed."""

    places: list[int] = field(default_factory=list)
    stop: int = 0


@pytest.fixture
def embedded(monkeypatch) -> Embedded:
    found, network = Embedded(), journal.Embedder.batches

    def count(self, paths, *arguments):
        for places, vectors in network(self, paths, *arguments):
            if found.stop and len(found.places) >= found.stop:
                raise KeyboardInterrupt
            found.places.extend(places)
            yield places, vectors

    monkeypatch.setattr(journal.Embedder, "batches", count)
    return found


def test_a_studys_folder_stands_for_its_model(
    smoke_study: Path, made: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    study = smoke_study / "results" / "smoke"
    (model,) = study.glob("asen_pp-seed0-*/model.keras")
    found = [embedder.Embedder.load(place) for place in (study, model)]
    photo = made / "photos" / "010.jpg"
    np.testing.assert_array_equal(*(one.embed(photo, "neck_design") for one in found))
    code, out, _ = run(f"asen attributes {study}", capsys, made, monkeypatch)
    assert code == 0 and "collar_design  (MAP on test " in out
    line = f"asen index {study} photos/010.jpg photos/013.jpg --out {tmp_path / 'index'}"
    code, out, err = run(line, capsys, made, monkeypatch)
    assert code == 0 and "2 images, 8 attributes" in out, err
    index = AttributeIndex.load(tmp_path / "index", found[0])
    expected = found[1].embed(photo, "neck_design")
    expected = expected / np.linalg.norm(expected)
    np.testing.assert_allclose(index.vectors("neck_design")[0], expected.ravel(), atol=1e-5)


def test_a_killed_index_goes_on_and_embeds_nothing_twice(
    made: Path, tmp_path: Path, embedded: Embedded, capsys, monkeypatch
) -> None:
    line = f"asen index model.keras photos --attribute sleeve --out {tmp_path / 'index'}"
    embedded.stop = 40
    assert run(line, capsys, made, monkeypatch)[0] == 130 and len(embedded.places) == 40
    assert not (tmp_path / "index").exists()
    with open(tmp_path / ".index.part" / "vectors.bin", "ab") as stream:
        stream.write(b"half a vector")  # as a kill in the middle of a write leaves it
    with open(tmp_path / ".index.part" / "done.txt", "ab") as stream:
        stream.write(b"0123456789abcdef")  # half a line
    embedded.stop = 0
    code, out, err = run(line, capsys, made, monkeypatch)
    assert code == 2 and "going on: 40 images were embedded" in err
    assert len(embedded.places) == 293  # 294 images, two of which are the same
    assert not (tmp_path / ".index.part").exists()
    index = opened(tmp_path / "index", made)
    expected = index.embedder.embed_all(index.images, attributes=["sleeve"])[:, 0]
    np.testing.assert_allclose(index.vectors("sleeve"), expected, atol=1e-5)


def test_a_killed_update_goes_on_and_leaves_the_index_meanwhile(
    made: Path, tmp_path: Path, embedded: Embedded, capsys, monkeypatch
) -> None:
    # Of 010 and 011, which are the same, and 050 and 051, which are broken, there is none.
    photos = sorted((made / "photos").glob("0[2-4]?.jpg"))
    folder = tmp_path / "pictures"
    folder.mkdir()
    for photo in photos[:3]:
        shutil.copy(photo, folder)
    line = f"asen index {made}/model.keras pictures --attribute sleeve --out index"
    assert run(line, capsys, tmp_path, monkeypatch)[0] == 0
    embedded.places.clear()
    for photo in photos[3:]:
        shutil.copy(photo, folder)
    embedded.stop = 8
    line = "asen index --update --out index"
    assert run(line, capsys, tmp_path, monkeypatch)[0] == 130
    assert len(opened(tmp_path / "index", made)) == 3  # as it was
    embedded.stop = 0
    code, out, err = run(line, capsys, tmp_path, monkeypatch)
    assert code == 0 and "17 added" in out and "going on" in err
    assert len(embedded.places) == 17 and len(opened(tmp_path / "index", made)) == len(photos) == 20


def test_an_update_adds_drops_and_embeds_again(made: Path, tmp_path, capsys, monkeypatch) -> None:
    for number, name in enumerate(("022", "023", "025", "026", "028"), 1):
        shutil.copy(made / "photos" / f"{name}.jpg", tmp_path / f"{number}.jpg")
    table = tmp_path / "shop.csv"
    table.write_text("image,price\n" + "".join(f"{n}.jpg,{n}\n" for n in range(1, 5)))
    model = made / "model.keras"
    line = f"asen index {model} --csv shop.csv --attribute sleeve --out index"
    assert run(line, capsys, tmp_path, monkeypatch)[0] == 0
    table.write_text("image,price\n1.jpg,10\n2.jpg,2\n3.jpg,3\n5.jpg,5\n")
    shutil.copy(made / "photos" / "100.jpg", tmp_path / "2.jpg")
    os.utime(tmp_path / "3.jpg")  # touched, not changed
    code, out, _ = run("asen index --update --out index", capsys, tmp_path, monkeypatch)
    assert code == 0
    assert out == ("index: 1 added, 1 dropped, 1 embedded again, 1 with new metadata; 4 images\n")
    index = opened(tmp_path / "index", made)
    assert {p.stem: m["price"] for p, m in zip(index.images, index.metadata, strict=True)} == {
        "1": 10, "2": 2, "3": 3, "5": 5
    }  # fmt: skip
    expected = index.embedder.embed_all(index.images, attributes=["sleeve"])[:, 0]
    np.testing.assert_allclose(index.vectors("sleeve"), expected, atol=1e-5)
    for words in ("--attribute sleeve", "--dtype float16", "--backend hnsw", "--embedding local"):
        line = f"asen index --update {words} --out index"
        code, _, err = run(line, capsys, tmp_path, monkeypatch)
        assert code == 2 and f"leave out {words.split()[0]}, or build it again" in err
    code, out, _ = run("asen index --update --out index", capsys, tmp_path, monkeypatch)
    assert out.startswith("index: 0 added, 0 dropped, 0 embedded again, 0 with new metadata")


def test_an_update_drops_no_folder_that_is_away(made: Path, tmp_path, capsys, monkeypatch) -> None:
    for place, names in (("a", ("022", "023")), ("b", ("025", "026"))):
        (tmp_path / place).mkdir()
        for name in names:
            shutil.copy(made / "photos" / f"{name}.jpg", tmp_path / place)
    line = f"asen index {made}/model.keras a b --attribute sleeve --out index"
    assert run(line, capsys, tmp_path, monkeypatch)[0] == 0
    (tmp_path / "b").rename(tmp_path / "elsewhere")
    for _ in ("gone", "the empty folder where a disk was"):
        code, _, err = run("asen index --update --out index", capsys, tmp_path, monkeypatch)
        assert code == 2 and f"{tmp_path / 'b'}: images of the index are from there" in err
        assert len(opened(tmp_path / "index", made)) == 4
        (tmp_path / "b").mkdir(exist_ok=True)
    (tmp_path / "b").rmdir()
    (tmp_path / "elsewhere").rename(tmp_path / "b")
    (tmp_path / "b" / "025.jpg").unlink()
    code, out, _ = run("asen index --update --out index", capsys, tmp_path, monkeypatch)
    assert code == 0 and "0 added, 1 dropped" in out
    line = f"asen index {made}/model.keras a --update --out index"  # without the other, on purpose
    code, out, _ = run(line, capsys, tmp_path, monkeypatch)
    assert code == 0 and "0 added, 1 dropped" in out and "; 2 images" in out


def test_a_list_means_the_same_from_everywhere(made: Path, tmp_path, capsys, monkeypatch) -> None:
    (tmp_path / "names.txt").write_text("photos/022.jpg\nphotos/023.jpg\n")
    line = f"asen index model.keras {tmp_path}/names.txt --attribute sleeve --out {tmp_path}/index"
    assert run(line, capsys, made, monkeypatch)[0] == 0  # names start from the current folder
    line = "asen index --update --out index"
    code, out, err = run(line, capsys, tmp_path, monkeypatch)
    assert code == 0 and "0 added, 0 dropped" in out, err


def test_a_file_that_cannot_be_an_index_is_told_before_anything_is_embedded(
    made: Path, tmp_path, embedded: Embedded, capsys, monkeypatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    line = f"asen index model.keras photos/022.jpg --out {tmp_path / 'mine'}"
    code, _, err = run(line, capsys, made, monkeypatch)
    assert code == 2 and "holds other things (thesis.txt)" in err and not embedded.places


def test_what_is_there_and_cannot_be_read_is_not_called_missing(
    made: Path, tmp_path, capsys, monkeypatch
) -> None:
    shutil.copy(made / "photos" / "022.jpg", tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "shop.csv").write_text("image\n022.jpg\nfolder\ngone.jpg\n")
    line = f"asen index {made}/model.keras --csv shop.csv --attribute sleeve --out index"
    assert run(line, capsys, tmp_path, monkeypatch)[0] == 2
    told = (tmp_path / "index.unreadable.csv").read_text()
    assert f"{tmp_path / 'folder'},cannot be read (Is a directory)" in told
    assert f"{tmp_path / 'gone.jpg'},no such file" in told and told.count("\n") == 3


def test_a_list_of_names_and_standard_input(made: Path, tmp_path, capsys, monkeypatch) -> None:
    (tmp_path / "names.txt").write_text("photos/001.jpg\nphotos/002.jpg\nphotos/004.jpg\n")
    rest = f"--attribute sleeve --out {tmp_path / 'index'}"
    line = f"asen index model.keras {tmp_path / 'names.txt'} {rest}"
    code, out, _ = run(line, capsys, made, monkeypatch)
    assert code == 0 and ": 3 images" in out
    with open(tmp_path / "names.txt") as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        code, out, _ = run(f"asen index model.keras - {rest}", capsys, made, monkeypatch)
    assert code == 0 and ": 3 images" in out
