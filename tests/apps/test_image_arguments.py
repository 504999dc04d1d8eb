"""What `asen embed` and `asen index` take: files, folders, lists, standard input, any name."""

from __future__ import annotations

import base64
import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from small_model import pictures, small_model

from asen_apps.commands import main
from asen_apps.search.items import find_images, image_files
from asen_apps.search.service import Catalogue, application
from asen_tf.data import ImageError, load_image
from asen_tf.embedder import Embedder

FORMATS = {"a.jfif": "JPEG", "b.jpe": "JPEG", "c.avif": "AVIF", "d": "PNG", "E.TIF": "TIFF"}
FOREIGN = os.fsdecode(b"gr\xfcn.png")  # Latin-1: no UTF-8


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
    images, others = find_images(tmp_path)
    assert images == sorted([*FORMATS, *(f"deep/{name}" for name in FORMATS)])
    assert list(others) == ["broken.png", "empty.jpg", "page.jpg"]
    assert others["empty.jpg"] == "empty" and others["page.jpg"] == "not an image"
    assert "No such file" in others["broken.png"]
    for name in images:
        assert load_image(tmp_path / name, 8).shape == (8, 8, 3)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="nowhere: cannot be listed .*check the path"):
        find_images(tmp_path / "nowhere")


def test_a_folder_is_its_images_and_the_rest_is_named(folder: Path) -> None:
    images, broken, notes = image_files([folder / "shop", folder / "no such.png"])
    shop = folder / "shop"
    assert images == [shop / "a", shop / "deep/b.jfif", shop / FOREIGN, folder / "no such.png"]
    assert [str(error) for error in broken] == [
        f"{shop / 'cut.jpg'}: not an image; replace or remove it"
    ]
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
    monkeypatch.setattr(sys, "stdin", Typed(content))
    assert image_files(["-"])[0] == expected


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
    assert main(["embed", str(model), str(shop), "--out", str(out)]) == 2  # cut.jpg
    told = capsys.readouterr()
    assert "cut.jpg: not an image" in told.err and "3 images, 3 attributes; 1 images" in told.out
    with np.load(out) as stored:
        assert stored["paths"].tolist() == [
            str(shop / name) for name in ("a", "deep/b.jfif", FOREIGN)
        ]
        expected = Embedder.load(model).embed(shop / FOREIGN, "sleeve")
        found = stored["vectors"][2, stored["attributes"].tolist().index("sleeve")]
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert main(["index", str(model), str(shop), "--out", str(folder / "index")]) == 2
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
