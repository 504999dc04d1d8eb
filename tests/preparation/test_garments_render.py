"""Drawing: boxes hold the parts, hems follow their values, hidden parts leave no box."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest
import skia

from data_prep.garments import camera
from data_prep.garments.body import ARM, arm_line
from data_prep.garments.cloth import Brush
from data_prep.garments.limb import resample, tube
from data_prep.garments.pen import Warp, both, flipped, mirrored
from data_prep.garments.render import HEM, draw_clothes, render, sample
from data_prep.garments.sleeves import draw_sleeves
from data_prep.garments.values import COAT_HEMS, NECK_ATTRIBUTES, SKIRT_HEMS, TROUSER_HEMS

COUNT, SIZE = 150, 320
LENGTHS = {
    "skirt_length": ("skirt_hem", SKIRT_HEMS),
    "pant_length": ("trouser_hem", TROUSER_HEMS),
    "coat_length": ("coat_hem", COAT_HEMS),
}


@pytest.fixture(scope="module")
def rendered():
    return [(sample(5, index), render(5, index, SIZE)) for index in range(COUNT)]


def brush() -> Brush:
    return Brush(skia.Surface(8, 8).getCanvas(), random.Random(0))


def test_same_image_twice(rendered):
    again = render(5, 3, SIZE)
    assert np.array_equal(again.pixels, rendered[3][1].pixels)
    assert again.boxes == rendered[3][1].boxes


def test_boxes_are_inside_the_frame_and_missing_only_for_invisible(rendered):
    for (outfit, _), result in rendered:
        assert set(result.boxes) == {n for n, v in outfit.labels.items() if v > 0}
        for left, top, right, bottom in result.boxes.values():
            assert 0 <= left < right <= SIZE and 0 <= top < bottom <= SIZE


def test_parts_are_small(rendered):
    sides = {True: [], False: []}
    for (outfit, _), result in rendered:
        for name, (left, top, right, bottom) in result.boxes.items():
            if outfit.kind != "detail":
                sides[name in NECK_ATTRIBUTES].append(max(right - left, bottom - top) / SIZE)
    for part in sides.values():
        assert 0.10 < np.mean(part) < 0.30
        assert np.quantile(part, 0.9) < 0.45


def test_box_of_a_length_is_around_its_hem(rendered):
    """Where the hem is follows from camera, body and hem alone, worked out here by hand."""
    checked = 0
    for (outfit, scene), result in rendered:
        matrix = camera.frame(outfit, scene, SIZE)
        for name, (field, _) in LENGTHS.items():
            if name not in result.boxes:
                continue
            at = matrix.mapXY(*scene.warp(0.0, getattr(outfit, field)))
            left, top, right, bottom = result.boxes[name]
            assert at.y() < SIZE and left < at.x() < right
            half = matrix.mapRadius(HEM)
            tilt = (right - left) * abs(np.tan(np.radians(scene.camera.rotation)))
            assert top == pytest.approx(at.y() - half, abs=tilt + 1.0)
            assert bottom == pytest.approx(min(at.y() + half, SIZE), abs=tilt + 1.0)
            checked += 1
    assert checked > 80


def test_box_of_a_sleeve_is_around_one_cuff_or_the_hand_that_it_covers(rendered):
    checked = 0
    for (outfit, scene), result in rendered:
        if "sleeve_length" not in result.boxes:
            continue
        matrix, found = camera.frame(outfit, scene, SIZE), []
        left, top, right, bottom = result.boxes["sleeve_length"]
        for side in (-1, 1):
            cuff = min(outfit.sleeve_end, 1.18) * ARM  # the fingertips are at 1.18
            at = matrix.mapXY(*resample(arm_line(scene, side), 0.0, cuff, 2)[-1])
            found.append(left < at.x() < right and top < at.y() < bottom)
        assert any(found)
        assert max(right - left, bottom - top) < 0.5 * SIZE
        checked += 1
    assert checked > 60


def test_hem_cut_off_by_the_frame_lies_outside_it(rendered):
    cut = 0
    for (outfit, scene), _ in rendered:
        for name, (field, _) in LENGTHS.items():
            if outfit.hidden.get(name) == "frame":
                x, y = scene.warp(0.0, getattr(outfit, field))
                assert camera.frame(outfit, scene, SIZE).mapXY(x, y).y() > SIZE + 10
                cut += 1
    assert cut > 5


@pytest.mark.parametrize("name", LENGTHS)
def test_drawn_hem_sinks_with_the_value(name, rendered):
    field, hems = LENGTHS[name]
    outfit, scene = next(s for s, r in rendered if s[0].labels.get(name, 0) > 0)
    matrix, bottoms = camera.frame(outfit, scene, SIZE), []
    for low, high in hems.values():
        for hem in (low, high):
            changed = dataclasses.replace(outfit, **{field: hem})
            paths = draw_clothes(brush(), changed, scene)[name]
            edge = max(path.computeTightBounds().bottom() for path in paths)
            bottoms.append(matrix.mapXY(0.0, edge).y())
    assert (np.diff(bottoms) > 0).all()


def test_sleeve_grows_with_the_value(rendered):
    outfit, scene = next(s for s, _ in rendered if s[0].neck[0] == "collar_design")
    scene = dataclasses.replace(scene, arms=((10.0, 5.0), (10.0, 5.0)))
    ends = [0.13, 0.3, 0.48, 0.67, 0.84, 1.01, 1.3]
    drawn = [dataclasses.replace(outfit, sleeve_end=end) for end in ends]
    bottoms = [
        max(p.getBounds().bottom() for p in draw_sleeves(brush(), o, scene, scene.upper))
        for o in drawn
    ]
    assert (np.diff(bottoms) > 0.2).all()


def test_mirrored_outline_is_symmetric_and_both_gives_the_halves():
    shape = [(1.0, 0.2), (1.4, 0.6, 0.0, 1.0)]
    whole = mirrored(Warp(), (0.0, 0.0), shape).computeTightBounds()
    assert whole.left() == pytest.approx(-whole.right())
    right, left = both(Warp(), (0.0, 0.0), shape)
    assert right.getBounds().left() == pytest.approx(-left.getBounds().right())
    assert flipped([(1.0, 2.0, 3.0, 4.0)]) == [(-1.0, 2.0, -3.0, 4.0)]


def test_resample_walks_the_polyline_and_goes_straight_on():
    line = np.array([[0.0, 0.0], [0.0, 2.0], [2.0, 2.0]])
    points = resample(line, 1.0, 5.0, 3)
    assert points == pytest.approx(np.array([[0.0, 1.0], [1.0, 2.0], [3.0, 2.0]]))


def test_tube_has_the_width_asked_for():
    box = tube(np.array([[0.0, 0.0], [0.0, 1.0]]), np.array([0.3, 0.3])).getBounds()
    assert (box.left(), box.right()) == pytest.approx((-0.3, 0.3))
