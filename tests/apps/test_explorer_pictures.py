"""The pictures of the explorer: maps over images, and regions cut out of them."""

from __future__ import annotations

import numpy as np

from asen_apps.explorer.pictures import cut, words


def test_a_region_is_cut_and_described() -> None:
    image = np.arange(300, dtype=np.uint8).reshape(10, 10, 3)
    assert np.array_equal(cut(image, (0.5, 0.0, 1.0, 0.5)), image[:5, 5:])
    assert cut(image, (1.0, 1.0, 1.0, 1.0)).shape == (1, 1, 3)
    assert words((0, 0, 0.5, 0.5), np.array([[0, 0.1, 0.9], [0, 0, 0]])) == (
        "brightest at the top right; the region covers 25% of the picture"
    )
