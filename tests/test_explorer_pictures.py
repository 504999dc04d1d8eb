"""The pictures of the explorer: maps over images, and regions cut out of them."""

from __future__ import annotations

import numpy as np

from asen_tf.explorer.pictures import cut, with_attention, words


def test_a_flat_map_leaves_the_picture_as_it_is() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    assert np.array_equal(with_attention(image, np.full((4, 4), 1 / 16), None), image)
    peak = np.zeros((4, 4))
    peak[0, 3] = 1.0
    drawn = with_attention(image, peak, None)
    changed = (drawn != image).any(-1)
    assert changed[:8, 32:].mean() > 0.9 and not changed[25:, :15].any()


def test_a_region_is_cut_and_described() -> None:
    image = np.arange(300, dtype=np.uint8).reshape(10, 10, 3)
    assert np.array_equal(cut(image, (0.5, 0.0, 1.0, 0.5)), image[:5, 5:])
    assert cut(image, (1.0, 1.0, 1.0, 1.0)).shape == (1, 1, 3)
    assert words((0, 0, 0.5, 0.5), np.array([[0, 0.1, 0.9], [0, 0, 0]])) == (
        "brightest at the top right; the region covers 25% of the picture"
    )
