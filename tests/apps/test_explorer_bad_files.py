"""The explorer on test images whose files cannot be read."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from bs4 import BeautifulSoup
from explorer_study import make

from asen_apps.explorer import App, Explorer, ExplorerError
from asen_apps.explorer.gallery import Gallery
from asen_apps.explorer.indexes import FOLDER, ReportingEmbedder
from asen_apps.explorer.rendering import PER_PAGE
from asen_tf import Embedder

COUNT = 16  # test images


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make(tmp_path_factory.mktemp("bad"), images=10 * COUNT)


@pytest.fixture
def places(origin: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path]:
    """Copy the study and its data, without what other tests have kept."""
    ignored = shutil.ignore_patterns(FOLDER)
    shutil.copytree(origin[0], tmp_path / "study", ignore=ignored)
    shutil.copytree(origin[1], tmp_path / "data")
    return tmp_path / "study", tmp_path / "data"


def file_of(data: Path, image: int) -> Path:
    names = (data / "Garments" / "filenames_test.txt").read_text().split()
    return data / "Garments" / names[image]


def damage(data: Path, image: int) -> bytes:
    """Fill a file with what is no image, as long as before: nothing but its content tells."""
    path = file_of(data, image)
    content = path.read_bytes()
    path.write_bytes(b"x" * len(content))
    return content


def all_of(explorer: Explorer, query: int, reports: list | None = None):
    """Search all images by the triplet network, which is the quickest."""
    return explorer.search(
        explorer.methods[0],
        explorer.test_image(query),
        {"sleeve_length": 1.0},
        labelled_only=False,
        on_progress=None if reports is None else lambda *numbers: reports.append(numbers),
    )


def test_an_unreadable_image_is_left_out_until_it_is_repaired(places: tuple[Path, Path]) -> None:
    full = all_of(Explorer(*places, count=COUNT), 2)
    assert len(full.neighbours) == full.searched == COUNT - 1 and full.notes == ()
    shutil.rmtree(places[0] / FOLDER)
    content, reports = damage(places[1], 7), []
    expected = [one for one in full.neighbours if one.image != 7]
    for embedded in (True, False):  # the second start takes what the first has kept
        answer = all_of(Explorer(*places, count=COUNT), 2, reports)
        assert bool(reports) is embedded
        assert [one.image for one in answer.neighbours] == [one.image for one in expected]
        scores = [one.score for one in expected]
        assert [one.score for one in answer.neighbours] == pytest.approx(scores, abs=1e-6)
        assert answer.searched == COUNT - 2
        assert answer.notes == ("1 test image cannot be read and is left out (number 7).",)
        reports.clear()
    file_of(places[1], 7).write_bytes(content)
    for embedded in (True, False):  # the data are others again, and so is the index
        answer = all_of(Explorer(*places, count=COUNT), 2, reports)
        assert bool(reports) is embedded and answer.notes == ()
        reports.clear()
        assert [one.image for one in answer.neighbours] == [one.image for one in full.neighbours]


@pytest.mark.parametrize("first", [True, False], ids=["its query", "another"])
def test_a_page_with_an_unreadable_image_begins_with_a_result(
    places: tuple[Path, Path], first: bool
) -> None:
    explorer = Explorer(*places, count=4)
    chosen, query = explorer.first_question()
    labelled = explorer.gallery.labelled(chosen)
    bad = next(image for image in labelled if (image == query.image) is first)
    damage(places[1], bad)
    app = App(Explorer(*places, count=4))
    app.update()
    assert app.answer is not None and app.answer.query.image != bad
    assert bad not in [one.image for one in app.answer.neighbours]
    assert f"cannot be read and is left out (number {bad})" in app._status.value
    assert f"Test image {bad} cannot be read" in app._thumbnails._where.value


def test_without_a_readable_image_a_sentence_says_so_until_there_is_one(
    places: tuple[Path, Path],
) -> None:
    explorer = Explorer(*places)
    contents = {image: damage(places[1], image) for image in range(COUNT)}
    for _ in range(2):
        with pytest.raises(ExplorerError, match="None of the 16 test images of Garments can be"):
            all_of(explorer, 0)
    for image in (3, 5, 6):
        file_of(places[1], image).write_bytes(contents[image])
    answer = all_of(explorer, 5)
    assert {one.image for one in answer.neighbours} == {3, 6}
    assert answer.notes == (
        "13 test images cannot be read and are left out (numbers 0, 1, 2, 4, 7, ...).",
    )


def test_a_chunk_of_unreadable_images_alone_gives_nan_as_in_one_go(
    places: tuple[Path, Path], tmp_path: Path
) -> None:
    bad = [tmp_path / f"{number}.jpg" for number in range(32)]
    for path in bad:
        path.write_bytes(b"x")
    model = Explorer(*places).methods[0].run.path / "model.keras"
    for paths in ([*bad, file_of(places[1], 0)], [file_of(places[1], 1), *bad, *bad], bad):
        errors, others = [], []
        found = ReportingEmbedder.load(model).embed_all(paths, skip=errors.append)
        expected = Embedder.load(model).embed_all(paths, skip=others.append)
        np.testing.assert_allclose(found, expected, atol=1e-6, equal_nan=True)
        assert found.shape == expected.shape and len(errors) == len(others) >= 32


def test_a_link_out_of_the_data_folder_is_never_followed(
    places: tuple[Path, Path], tmp_path: Path
) -> None:
    explorer, gallery = Explorer(*places), Gallery(places[1], "Garments")
    outside, inside = file_of(places[1], 4), file_of(places[1], 5)
    shutil.move(outside, tmp_path / "private.jpg")
    outside.symlink_to(tmp_path / "private.jpg")
    inside.unlink()
    inside.symlink_to(file_of(places[1], 6))
    # Of a page that was open before:
    for read in (gallery.path, gallery.picture, lambda image: gallery.pixels(image, 8)):
        with pytest.raises(ExplorerError, match="The file of image 4 is outside the data folder"):
            read(4)
    assert explorer.picture(4) == ""
    assert gallery.pixels(5, 8).tolist() == gallery.pixels(6, 8).tolist()
    with pytest.raises(ExplorerError, match="can no longer be read.* through a symbolic link"):
        all_of(explorer, 6)
    # And of one that is opened now:
    with pytest.raises(ExplorerError, match="The data cannot be read.* through a symbolic link"):
        Explorer(*places)


def test_pages_are_turned_past_an_unreadable_image(places: tuple[Path, Path]) -> None:
    app = App(Explorer(*places, count=COUNT))
    app.update()
    damage(places[1], 10)  # which the index holds
    for name, (tick, _) in app._attributes._rows.items():
        tick.value = name in ("collar_design", "neck_design")  # none has both: all are offered
    app.wait()
    shown = app._thumbnails

    def descriptions() -> list[str]:
        return [one.description.strip("✓ ") for one in shown._buttons if not one.layout.display]

    first = [str(image) for image in range(PER_PAGE)]
    second = [str(image).replace("10", "✗ 10") for image in range(PER_PAGE, COUNT)]
    assert descriptions() == first and shown._back.disabled and not shown._next.disabled
    for _ in range(2):  # the second click finds no page
        shown._next.click()
        assert descriptions() == second and shown._next.disabled and not shown._back.disabled
        words = BeautifulSoup(shown._where.value, "html.parser").get_text(" ")
        assert "9 to 16 of 16" in words and "Test image 10 cannot be read" in words
        assert shown._style.value.count("background-image") == PER_PAGE - 1
    assert [one.disabled for one in shown._buttons] == [image == 10 for image in range(8, 16)]
    shown._buttons[3].click()
    app.wait()
    assert app.answer.query.image == 11  # and its answer has a card for the image all the same
    assert "Test image 10 can no longer be read" in app._result.value
    shown._back.click()
    assert descriptions() == first and not any(one.disabled for one in shown._buttons)
