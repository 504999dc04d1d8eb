from __future__ import annotations

from typing import Any

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from naive_regions import Box, naive_box

from asen_tf.layers import RegionOfInterest, jittered, region_boxes


def box_of(attention: np.ndarray, map_size: int, threshold: float = 0.1) -> Box:
    return tuple(region_boxes(attention[None], map_size=map_size, threshold=threshold)[0].numpy())


def drawn(*rows: str) -> np.ndarray:
    """Return a map from its picture: `#` is 1."""
    return np.array([[cell == "#" for cell in row] for row in rows], np.float32)


@given(
    attention=arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 6), st.integers(1, 6)),
        elements=st.sampled_from([0.0, 0.03125, 0.125, 0.375, 1.0]),
    ),
    map_size=st.integers(1, 20),
    threshold=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 0.99]),
)
@settings(max_examples=80, deadline=None)
def test_boxes_follow_the_steps_redone_naively(
    attention: np.ndarray, map_size: int, threshold: float
) -> None:
    expected = naive_box(attention, map_size, threshold)
    assume(expected is not None)
    assert box_of(attention, map_size, threshold) == expected


# Where maps of other readings lie on the frame: of equal padding, of TensorFlow's, a part of it.
EXTENTS = ((0.0, 1.0), (-0.15, 0.85), (0.1, 1.1), (0.25, 0.75))


@given(
    attention=arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 6), st.integers(1, 6)),
        elements=st.sampled_from([0.0, 0.03125, 0.125, 0.375, 0.8125, 1.0]),
    ),
    map_size=st.integers(1, 20),
    extent=st.sampled_from(EXTENTS),
    rule=st.sampled_from(["threshold", "mass", "peak"]),
    share=st.sampled_from([0.01, 0.4, 0.7, 1.0]),
    least=st.sampled_from([0.0, 0.07, 0.3, 0.55, 1.0]),
)
@settings(max_examples=120, deadline=None)
def test_boxes_of_other_rules_and_readings_follow_naive_ones(
    attention: np.ndarray, map_size: int, **others: Any
) -> None:
    expected = naive_box(attention, map_size, 0.3, **others)
    assume(expected is not None)
    found = region_boxes(attention[None], map_size=map_size, threshold=0.3, **others)
    assert tuple(found[0].numpy()) == expected


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ({}, (1, 1, 5, 5)),
        ({"rule": "peak"}, (0, 1, 2, 3)),  # cells that touch at a corner are not connected
        ({"rule": "mass", "share": 0.3}, (1, 1, 2, 2)),  # 8 of 25
        ({"rule": "mass", "share": 0.5}, (1, 1, 5, 5)),  # 8 + 7
        ({"rule": "mass", "share": 0.3, "least": 0.5}, (0, 0, 3, 3)),
    ],
)
def test_rules_by_example(others: dict[str, Any], expected: Box) -> None:
    attention = np.zeros((5, 5), np.float32)
    attention[[1, 1, 2, 4], [1, 2, 3, 4]] = 8, 5, 5, 7
    found = region_boxes(attention[None], map_size=5, threshold=0.3, **others)
    assert tuple(found[0].numpy()) == expected


def test_a_least_side_is_rounded_up_as_its_decimals_say() -> None:
    attention = np.zeros((1, 100, 100), np.float32)
    attention[0, 50, 50] = 1.0
    for side in range(1, 101):  # of 7, 14, 28, 55 and 56 the product is a little more
        box = region_boxes(attention, map_size=100, threshold=0.1, least=side / 100)[0].numpy()
        assert box[2] - box[0] == box[3] - box[1] == side


@pytest.mark.parametrize("rule", ["threshold", "mass", "peak"])
@pytest.mark.parametrize("attention", [np.full((3, 4), 1 / 12), np.zeros((2, 2)), np.ones((1, 1))])
def test_flat_maps_give_the_whole_frame_by_every_rule(rule: str, attention: np.ndarray) -> None:
    for extent in EXTENTS:
        boxes = region_boxes(attention[None], map_size=9, threshold=0.1, rule=rule, extent=extent)
        assert boxes.numpy().tolist() == [[0, 0, 9, 9]]


def test_all_rules_compile_with_xla() -> None:
    maps = np.random.default_rng(4).random((3, 5, 6)).astype(np.float32) ** 6
    for rule in ("threshold", "mass", "peak"):
        given = {"map_size": 24, "threshold": 0.3, "rule": rule, "extent": (-0.1, 0.9)}
        compiled = tf.function(
            lambda maps, given=given: region_boxes(maps, **given), jit_compile=True
        )
        np.testing.assert_array_equal(compiled(maps), region_boxes(maps, **given))


@given(
    start=st.tuples(st.integers(0, 20), st.integers(0, 20)),
    side=st.integers(1, 20),
    draws=arrays.arrays(np.float32, 3, elements=st.floats(-1, 1, width=16)),
    amount=st.sampled_from([0.0, 0.2, 0.5]),
)
@settings(max_examples=60, deadline=None)
def test_jittered_boxes_follow_the_formula_and_stay_inside(
    start: tuple[int, int], side: int, draws: np.ndarray, amount: float
) -> None:
    top, left = (min(edge, 20 - side) for edge in start)
    box = np.array([[top, left, top + side, left + side]], np.int32)
    found = jittered(box, draws[None], amount=amount, map_size=20).numpy()[0]
    new = min(max(round(side * (1 + amount * float(draws[0]))), 1), 20)
    assert found[2] - found[0] == found[3] - found[1] == pytest.approx(new, abs=1)
    for edge, old, draw in zip(found[:2], (top, left), draws[1:], strict=True):
        wanted = old + side / 2 + amount * side * float(draw) - (found[2] - found[0]) / 2
        assert abs(edge - min(max(wanted, 0), 20 - (found[2] - found[0]))) <= 0.5 + 1e-4
    assert found.min() >= 0 and found.max() <= 20
    if amount == 0.0:
        assert found.tolist() == box[0].tolist()


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (("#....", ".....", ".....", ".....", "....."), (0, 0, 1, 1)),  # a corner's pixel
        (("....#", ".....", ".....", ".....", "....."), (0, 4, 1, 5)),
        ((".....", ".....", ".....", ".....", "#...."), (4, 0, 5, 1)),
        ((".....", ".....", ".....", ".....", "....#"), (4, 4, 5, 5)),
        ((".....", ".....", "..#..", ".....", "....."), (2, 2, 3, 3)),
        ((".....", ".....", ".###.", ".....", "....."), (1, 1, 4, 4)),  # grows on both sides
        ((".....", ".....", ".##..", ".....", "....."), (1, 1, 3, 3)),  # odd: upwards
        ((".....", "..#..", "..#..", ".....", "....."), (1, 1, 3, 3)),  # odd: to the left
        ((".###.", ".....", ".....", ".....", "....."), (0, 1, 3, 4)),  # shifted at each edge
        ((".....", ".....", ".....", ".....", ".###."), (2, 1, 5, 4)),
        ((".....", "#....", "#....", "#....", "....."), (1, 0, 4, 3)),
        ((".....", "....#", "....#", "....#", "....."), (1, 2, 4, 5)),
        ((".....", "#.#..", ".....", ".....", "....."), (0, 0, 3, 3)),  # one box over two peaks
        (("#....", ".....", ".....", ".....", "....#"), (0, 0, 5, 5)),
        ((".....", "#####", ".....", ".....", "....."), (0, 0, 5, 5)),
    ],
)
def test_hand_drawn_maps(picture: tuple[str, ...], expected: Box) -> None:
    assert box_of(drawn(*picture), 5) == expected


def test_an_odd_side_beside_an_even_one_starts_where_the_release_starts() -> None:
    middle = drawn("....", ".##.", "....", "....")
    assert box_of(9 * middle, 4) == (0, 1, 2, 3)
    attention = np.zeros((14, 14), np.float32)
    attention[4, 9], attention[7, 0] = 1.0, 0.33
    assert box_of(attention, 224) == (11, 0, 177, 166)


def test_one_cell_of_a_coarse_map_gives_its_tent() -> None:
    # A cell takes 16 px; the tent is 32 px wide, and above 26/255 within 14.4 px of the centre 104.
    attention = np.zeros((14, 14), np.float32)
    attention[6, 6] = 1.0
    assert box_of(attention, 224) == (90, 90, 118, 118)


@pytest.mark.parametrize("value", [0.0, 1.0, 1 / 49, 1 / 3])
@pytest.mark.parametrize("shape", [(7, 7), (3, 5), (1, 1)])
def test_a_flat_map_gives_the_whole_frame(shape: tuple[int, int], value: float) -> None:
    assert box_of(np.full(shape, value, np.float32), 24) == (0, 0, 24, 24)


def test_the_cut_is_strict_and_comes_after_quantisation() -> None:
    # At threshold 0.1 the level must exceed 25.5, so the first that stays is 26.
    def kept(level: float) -> Box:
        return box_of(np.array([[255, 0, level], [0, 0, 0], [0, 0, 0]], np.float32), 3)

    assert kept(25.9) == (0, 0, 1, 1)
    assert kept(26.1) == (0, 0, 3, 3)


def test_extreme_thresholds() -> None:
    ramp = np.array([[0.0, 0.5, 2.0, 255.0]] * 4, np.float32)
    assert box_of(ramp, 4, threshold=0.0) == (0, 0, 4, 4)
    assert box_of(np.eye(4, dtype=np.float32) * [1, 0.98, 0.98, 0.98], 4, 0.99) == (0, 0, 1, 1)


def test_images_of_a_batch_do_not_touch_each_other() -> None:
    maps = np.random.default_rng(1).random((6, 3, 4)).astype(np.float32) ** 8
    maps[2] = 0.5
    together = region_boxes(maps, map_size=16, threshold=0.1).numpy()
    assert [tuple(box) for box in together] == [box_of(attention, 16) for attention in maps]
    assert region_boxes(maps[:0], map_size=16, threshold=0.1).shape == (0, 4)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
def test_half_precision_maps_are_computed_in_float32(dtype: tf.DType) -> None:
    maps = tf.cast(np.random.default_rng(2).random((8, 5, 5)) ** 6, dtype)
    boxes = region_boxes(maps, map_size=32, threshold=0.1)
    exact = region_boxes(tf.cast(maps, tf.float32), map_size=32, threshold=0.1)
    np.testing.assert_array_equal(boxes, exact)


def test_the_layer_joins_boxes_and_crops_under_mixed_precision() -> None:
    attention = np.zeros((1, 4, 4), np.float32)
    attention[0, 1, 1] = 1.0
    image = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(1, 16, 16, 3)
    layer = RegionOfInterest(map_size=4, crop_size=2, dtype="mixed_bfloat16")
    crops, boxes = layer([tf.cast(attention, tf.bfloat16), image])
    assert boxes.numpy().tolist() == [[1, 1, 2, 2]] and boxes.dtype == tf.int32
    # The box is source pixels 4..8; the weights of a crop pixel reach one pixel beyond its own two.
    weights = np.array([[1, 3, 3, 1, 0, 0], [0, 0, 1, 3, 3, 1]]) / 8
    expected = np.einsum("iy,yxc,jx->ijc", weights, image[0, 3:9, 3:9] * 1.0, weights)
    assert crops.dtype == tf.float32
    np.testing.assert_allclose(crops[0], expected, atol=1e-3)


def test_no_gradient_flows_to_the_map_or_the_images() -> None:
    attention = tf.Variable(np.random.default_rng(0).random((2, 3, 3)), dtype=tf.float32)
    images = tf.Variable(tf.ones((2, 8, 8, 3)))
    with tf.GradientTape() as tape:
        crops, _ = RegionOfInterest(6, 4)([attention, images])
        loss = tf.reduce_sum(crops**2)
    assert tape.gradient(loss, [attention, images]) == [None, None]


@pytest.mark.parametrize(
    "wrong",
    [{"map_size": 0}, {"crop_size": 0}, {"threshold": 1.0}, {"threshold": -0.1}],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    (value,) = wrong.values()
    with pytest.raises(ValueError, match=f"must be positive and threshold in .*{value}"):
        RegionOfInterest(**{"map_size": 8, "crop_size": 4, **wrong})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rule": "treshold"}, "region_rule must be one of threshold, mass, peak; got 'treshold'"),
        ({"share": 0.0}, "region_share must lie in"),
        ({"share": "0.7"}, "region_share must be of type float; got '0.7' of type str"),
        ({"least": 1.5}, "least_region must lie in"),
    ],
)
def test_what_no_configuration_can_have_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RegionOfInterest(8, 4, **wrong)


def test_an_unknown_rule_or_kind_of_boxes_is_refused() -> None:
    maps = np.ones((1, 2, 2), np.float32)
    with pytest.raises(ValueError, match="rule must be one of threshold, mass, peak; got 'tresh"):
        region_boxes(maps, map_size=8, threshold=0.1, rule="treshold")
    for kind in ("atended", "true"):  # true boxes come with the images
        with pytest.raises(ValueError, match=f"kind must be one of .*whole; got '{kind}'"):
            RegionOfInterest(8, 4).boxes(maps, kind)
