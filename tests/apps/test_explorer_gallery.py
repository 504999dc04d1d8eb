"""The test images that the explorer searches: each is found at once, and no others are."""

from __future__ import annotations

import pytest

from asen_apps.explorer import ExplorerError
from asen_apps.explorer.gallery import Gallery
from data_prep.synthetic import make_dataset


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    folder = tmp_path_factory.mktemp("data")
    make_dataset(folder, images=120, size=96)
    files = (folder / "Garments" / "filenames_test.txt").read_text().split()
    (folder / "Garments" / files[1]).unlink()
    return Gallery(folder, "Garments")


class Compared(int):
    """Counts how often it is compared."""

    times = 0

    def __eq__(self, other: object) -> bool:
        Compared.times += 1
        return int(self) == other

    __hash__ = int.__hash__


def test_finding_an_image_does_not_take_longer_where_there_are_more(gallery: Gallery) -> None:
    last = gallery.ids[-1]
    assert len(gallery.ids) > 10
    assert gallery.path(Compared(last)) == gallery.path(last)
    assert 1 <= Compared.times <= 2


def test_an_image_that_is_not_there_is_told(gallery: Gallery) -> None:
    assert 1 not in gallery.ids and gallery.path(gallery.ids[1]).is_file()
    for image in (1, -1, gallery.ids[-1] + 1):
        with pytest.raises(ExplorerError, match=f"no test image number {image}"):
            gallery.path(image)
