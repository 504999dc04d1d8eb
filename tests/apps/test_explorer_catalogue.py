"""The test images that the explorer searches: each is found at once, and no others are."""

from __future__ import annotations

import pytest

from asen_apps.explorer import ExplorerError
from asen_apps.explorer.catalogue import Catalogue
from data_prep.synthetic import make_dataset


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    folder = tmp_path_factory.mktemp("data")
    make_dataset(folder, images=120, size=96)
    files = (folder / "Garments" / "filenames_test.txt").read_text().split()
    (folder / "Garments" / files[1]).unlink()
    return Catalogue(folder, "Garments")


class Compared(int):
    """Counts how often it is compared."""

    times = 0

    def __eq__(self, other: object) -> bool:
        Compared.times += 1
        return int(self) == other

    __hash__ = int.__hash__


def test_finding_an_image_does_not_take_longer_where_there_are_more(catalogue: Catalogue) -> None:
    last = catalogue.ids[-1]
    assert len(catalogue.ids) > 10
    assert catalogue.path(Compared(last)) == catalogue.path(last)
    assert 1 <= Compared.times <= 2


def test_an_image_that_is_not_there_is_told(catalogue: Catalogue) -> None:
    assert 1 not in catalogue.ids and catalogue.path(catalogue.ids[1]).is_file()
    for image in (1, -1, catalogue.ids[-1] + 1):
        with pytest.raises(ExplorerError, match=f"no test image number {image}"):
            catalogue.path(image)
