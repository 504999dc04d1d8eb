"""Attention maps over pictures: colours and frames, pixel by pixel."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from naive_regions import naive_map

from asen_study.figures.style import enlarged, with_attention

GREY = np.full((70, 70, 3), 100, np.uint8)
FLAT = np.full((2, 2), 0.25)
CORNER = np.full((4, 4), 0.1)
CORNER[3, 3] = 0.7  # the model looks at the bottom right
BLACK, YELLOW = (0, 0, 0), (0xF0, 0xE4, 0x42)


def mixed(heat: float, share: float) -> np.ndarray:
    """Return grey 100 under a colour of the map."""
    return 100 * (1 - share) + 255 * np.array(matplotlib.colormaps["inferno"](heat)[:3]) * share


@pytest.mark.parametrize("opacity", [(0.0, 0.75), (0.15, 0.7)])
def test_lowest_and_highest_places_have_the_colours_of_the_map(opacity: tuple) -> None:
    drawn = with_attention(GREY, CORNER, None, opacity=opacity)
    assert drawn.dtype == np.uint8 and drawn.shape == GREY.shape
    np.testing.assert_allclose(drawn[0, 0], mixed(0.0, opacity[0]), atol=1)
    np.testing.assert_allclose(drawn[-1, -1], mixed(1.0, opacity[1]), atol=1)


def test_a_flat_map_shows_no_place() -> None:
    assert np.array_equal(with_attention(GREY, FLAT, None), GREY)
    drawn = with_attention(GREY, FLAT, None, opacity=(0.2, 0.9))
    np.testing.assert_allclose(drawn, np.broadcast_to(mixed(0.0, 0.2), GREY.shape), atol=1)


def test_a_region_has_a_yellow_frame_between_black_ones() -> None:
    drawn = with_attention(GREY, FLAT, (0.25, 0.1, 0.75, 0.6))
    # 0.25 of 69 px is 17, 0.75 is 52; 0.1 is 7, 0.6 is 41.
    row, column = drawn[20, :, :].tolist(), drawn[:, 30, :].tolist()
    for line, first, last in ((row, 17, 52), (column, 7, 41)):
        frame = [BLACK, YELLOW, BLACK]
        assert [tuple(pixel) for pixel in line[first : first + 3]] == frame
        assert [tuple(pixel) for pixel in line[last - 2 : last + 1]] == frame
        rest = [*line[:first], *line[first + 3 : last - 2], *line[last + 1 :]]
        assert all(pixel == [100, 100, 100] for pixel in rest)


def test_a_region_beyond_the_picture_is_framed_at_its_edge() -> None:
    drawn = with_attention(GREY, FLAT, (-0.2, -0.1, 1.3, 1.2))
    assert tuple(drawn[35, 0]) == tuple(drawn[35, 69]) == BLACK
    assert tuple(drawn[35, 1]) == tuple(drawn[35, 68]) == YELLOW


@pytest.mark.parametrize("edge", [0.0, 0.5, 1.0])
def test_a_region_without_extent_is_still_marked(edge: float) -> None:
    drawn = with_attention(GREY, FLAT, (edge,) * 4)
    changed = np.argwhere((drawn != GREY).any(axis=-1))
    assert 1 <= len(changed) <= 40
    assert np.abs(changed - edge * 69).max() <= 3


def test_the_picture_given_stays_as_it_is() -> None:
    before = GREY.copy()
    with_attention(GREY, CORNER, (0.0, 0.0, 0.5, 0.5))
    assert np.array_equal(GREY, before)


@pytest.mark.parametrize("extent", [(0.0, 1.0), (-0.2, 0.8), (0.1, 1.1), (0.3, 0.6)])
def test_a_map_is_drawn_where_its_cells_lie(extent: tuple[float, float]) -> None:
    heat = np.random.default_rng(0).random((3, 4)).astype(np.float32)
    found = enlarged(heat, 20, extent)
    np.testing.assert_allclose(found, naive_map(heat, 20, extent), atol=1e-3)
    drawn = with_attention(GREY, CORNER, None, extent=extent)
    assert np.array_equal(drawn, with_attention(GREY, CORNER, None)) == (extent == (0.0, 1.0))
