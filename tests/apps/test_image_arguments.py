"""What `asen embed` and `asen index` take: files, folders, lists, standard input, any name."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from small_model import pictures, small_model

from asen_apps.commands import main
from asen_apps.search.catalogue_table import Sources
from asen_apps.search.items import find_images, image_files
from asen_apps.search.journal import Journal, ResumingEmbedder
from asen_apps.search.service import Catalogue, application
from asen_tf.data import ImageError, load_image
from asen_tf.embedder import Embedder

FORMATS = {"a.jfif": "JPEG", "b.jpe": "JPEG", "c.avif": "AVIF", "d": "PNG", "E.TIF": "TIFF"}
FOREIGN = os.fsdecode(b"gr\xfcn.png")  # Latin-1: no UTF-8
BROKEN = os.fsdecode(b"gr\xfcn: kaputt.jpg")


class Typed:
    """Standard input that holds these bytes."""

    def __init__(self, content: bytes) -> None:
        self.buffer = io.BytesIO(content)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("taken")
    small_model().save(root / "model.keras")
    for name, pixels in zip(("a", "deep/b.jfif", FOREIGN), pictures(side=70), strict=True):
        (root / "shop" / name).parent.mkdir(parents=True, exist_ok=True)
        kind = "JPEG" if name.endswith("jfif") else "PNG"
        Image.fromarray(pixels).save(stream := io.BytesIO(), kind)
        (root / "shop" / name).write_bytes(stream.getvalue())
    (root / "shop" / "cut.jpg").write_bytes(b"\xff\xd8")
    (root / "shop" / BROKEN).write_bytes(b"<html>")
    (root / "shop" / "about.html").write_text("<html>")
    return root


def test_a_folder_is_listed_by_content(tmp_path: Path) -> None:
    (tmp_path / "deep" / ".hidden").mkdir(parents=True)
    for name, kind in FORMATS.items():
        for place in (tmp_path, tmp_path / "deep", tmp_path / "deep" / ".hidden"):
            Image.fromarray(pictures(1)[0]).save(place / name, kind)
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "page.jpg").write_text("<html>")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    (tmp_path / "broken.png").symlink_to("nothing.png")
    (tmp_path / "again").symlink_to("deep")
    images, others = find_images(tmp_path)
    assert images == sorted([*FORMATS, *(f"deep/{name}" for name in FORMATS)])
    assert list(others) == ["again", "broken.png", "empty.jpg", "page.jpg"]
    assert others["again"].startswith("a link to a folder") and "name that" in others["again"]
    assert image_files([tmp_path])[2] == [f"{tmp_path / 'again'}: {others['again']}; left out"]
    assert others["empty.jpg"] == "empty" and others["page.jpg"] == "not an image"
    assert "No such file" in others["broken.png"]
    for name in images:
        assert load_image(tmp_path / name, 8).shape == (8, 8, 3)


def test_a_pipe_in_a_folder_is_named_and_not_waited_for(tmp_path: Path) -> None:
    Image.fromarray(pictures(1)[0]).save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe.jpg")
    script = (
        "import sys; from asen_apps.search.items import find_images as f; print(f(sys.argv[1]))"
    )
    done = subprocess.run(  # a process of its own, which can be ended
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
    )
    expected = (["a.png"], {"pipe": "not a file", "pipe.jpg": "not a file"})
    assert done.stdout == f"{expected}\n", done.stderr


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="nowhere: cannot be listed .*check the path"):
        find_images(tmp_path / "nowhere")


def test_a_folder_is_its_images_and_the_rest_is_named(folder: Path) -> None:
    images, broken, notes = image_files([folder / "shop", folder / "no such.png"])
    shop = folder / "shop"
    assert images == [shop / "a", shop / "deep/b.jfif", shop / FOREIGN, folder / "no such.png"]
    assert [str(error) for error in broken] == [
        f"{shop / name}: not an image; replace or remove it" for name in ("cut.jpg", BROKEN)
    ]
    assert [error.path for error in broken] == [shop / "cut.jpg", shop / BROKEN]
    assert notes == [f"{shop / 'about.html'}: not an image; left out"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\0"])
def test_a_list_names_an_image_per_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: bytes
) -> None:
    names = [b"a", b"gr\xfcn.png", b"deep/b.jfif"]
    content = b"\xef\xbb\xbf" + end.join(names) + end
    expected = [Path(os.fsdecode(name)) for name in names]
    (folder / "shop" / "names.txt").write_bytes(content)
    (tmp_path / "names.txt").write_bytes(content)
    try:  # from the list's own folder, or from the current one
        found, _, _ = image_files([folder / "shop" / "names.txt"])
    finally:
        (folder / "shop" / "names.txt").unlink()
    assert found == [folder / "shop" / name for name in expected]
    assert image_files([tmp_path / "names.txt"])[0] == expected
    start = str(tmp_path / "elsewhere")
    assert image_files([tmp_path / "names.txt"], start)[0] == [Path(start, p) for p in expected]
    monkeypatch.setattr(sys, "stdin", Typed(content))
    assert image_files(["-"])[0] == expected


def test_a_list_whose_first_image_is_gone_still_starts_from_its_own_folder(folder: Path) -> None:
    listing = folder / "shop" / "some.txt"
    listing.write_text("gone.png\na\n")
    try:
        found, _, _ = image_files([listing])
    finally:
        listing.unlink()
    assert found == [folder / "shop" / "gone.png", folder / "shop" / "a"]


def test_a_hundred_thousand_names_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{number:060d}.jpg" for number in range(100_000)]  # more than a command line takes
    monkeypatch.setattr(sys, "stdin", Typed("\n".join(names).encode()))
    assert image_files(["-"])[0] == [Path(name) for name in names]


def test_nothing_to_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Typed(b"\n \n"))
    for argument in ("-", tmp_path):
        with pytest.raises(ImageError, match="got none; name image files, a folder or a list"):
            image_files([argument])
    with pytest.raises(ImageError, match=r"gone\.txt: cannot be read .* check the path"):
        image_files([tmp_path / "gone.txt"])


def test_no_result_is_lost_for_a_name_in_another_encoding(folder: Path, capsys) -> None:
    model, shop, out = folder / "model.keras", folder / "shop", folder / "vectors.npz"
    # An image behind an option is an image, too; one that is named twice is embedded twice.
    assert main(["embed", str(model), str(shop / "a"), "--out", str(out), str(shop)]) == 2
    told = capsys.readouterr()
    assert "cut.jpg: not an image" in told.err and "4 images, 3 attributes; 2 images" in told.out
    with np.load(out) as stored:
        assert stored["paths"].tolist() == [
            str(shop / name) for name in ("a", "a", "deep/b.jfif", FOREIGN)
        ]
        expected = Embedder.load(model).embed(shop / FOREIGN, "sleeve")
        found = stored["vectors"][3, stored["attributes"].tolist().index("sleeve")]
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert main(["index", str(model), "--out", str(folder / "index"), str(shop)]) == 2
    with open(folder / "index.unreadable.csv", encoding="utf-8", newline="") as stream:
        rows = [(Path(row["image"]).name, row["reason"]) for row in csv.DictReader(stream)]
    reason = "not an image; replace or remove it"
    assert rows == [("cut.jpg", reason), ("gr\\udcfcn: kaputt.jpg", reason)]
    assert not list(folder.glob(".*"))  # no journal is left behind
    asked = ["search", str(folder / "index"), str(shop / FOREIGN)]
    capsys.readouterr()
    assert main([*asked, "--attribute", "sleeve", "-k", "1"]) == 0
    assert "gr\\udcfcn.png" in capsys.readouterr().out
    assert main([*asked, "--attribute", "sleeve", "-k", "3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert FOREIGN in {Path(hit["image"]).name for hit in told["hits"]}
    # The server gives the same, in ASCII.
    app = application(Catalogue(folder / "index"), "token")
    image = base64.b64encode((shop / FOREIGN).read_bytes()).decode()
    reply = TestClient(app, "http://127.0.0.1").post(
        "/search",
        json={"image": image, "attributes": {"sleeve": 1}, "k": 3},
        headers={"Authorization": "Bearer token"},
    )
    assert reply.status_code == 200 and reply.content.isascii() and reply.json() == told


def test_an_option_that_is_none_is_no_image(folder: Path, capsys) -> None:
    line = ["index", "model.keras", "--out", "index", "--csv", "shop.csv", "--atribute", "sleeve"]
    with pytest.raises(SystemExit):
        main(line)
    assert "unrecognized arguments: --atribute sleeve" in capsys.readouterr().err


def test_room_is_compared_before_the_first_vector_is_kept(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    model, shop, out = str(folder / "model.keras"), folder / "shop", tmp_path / "index"
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=700))
    line = ["index", model, str(shop / "a"), str(shop / FOREIGN), "--out", str(out)]
    assert main(line) == 2
    told = capsys.readouterr().err
    needed, free = re.search(r"([\d,]+) bytes needed, ([\d,]+) bytes free", told).groups()
    assert f"{tmp_path}: no room for the vectors of 2 images" in told and free == "700"
    assert "Errno" not in told and "--attribute" in told
    journal = tmp_path / ".index.part" / "vectors.bin"
    assert journal.stat().st_size == 0 and not out.exists()
    vectors = Embedder.load(model).embed_all([shop / "a", shop / FOREIGN])
    expected = 2 * vectors.nbytes + 8 * vectors.shape[0] * vectors.shape[1]  # twice, and ids
    assert int(needed.replace(",", "")) == expected
    assert main([*line, "--attribute", "sleeve"]) == 0  # a remedy: a third of it


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_table_finds_its_images_however_their_folders_are_written(
    tmp_path: Path, form: str
) -> None:
    root = tmp_path / "Bilder für é"  # composed, whatever the images inside it are
    name = "Söhne/kleid é.png"
    path = root / unicodedata.normalize(form, name)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    for other in ("NFC", "NFD"):
        (tmp_path / "shop.csv").write_text(f"image\n{unicodedata.normalize(other, name)}\n")
        assert Sources(table=str(tmp_path / "shop.csv"), folder=str(root)).read().paths == [path]


def test_many_broken_images_are_noted_without_looking_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = 0

    class Broken(ImageError):
        def __str__(self) -> str:
            nonlocal compared
            compared += 1
            return super().__str__()

    class Named(type(Path())):
        def __str__(self) -> str:
            nonlocal compared
            compared += 1
            return super().__str__()

    def none(self, paths, names, embedding, skip):
        for path in paths:
            skip(Broken(f"{path}: not an image"))
        return iter(())

    monkeypatch.setattr(Embedder, "batches", none)
    images = [Named(tmp_path / f"{number}.png") for number in range(500)]
    embedder = ResumingEmbedder(None)
    embedder.digests = {path: f"{number:064x}" for number, path in enumerate(images)}
    embedder.journal = Journal(tmp_path / "part", "key", ["sleeve"], print)
    embedder.fill(images, ["sleeve"], "fused")
    assert embedder.journal.broken == {f"{number:064x}": "not an image" for number in range(500)}
    assert compared < 10 * len(images)  # not the square of it
