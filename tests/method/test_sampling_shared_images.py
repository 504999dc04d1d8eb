"""Samplers where an image holds several values of one attribute, as in DeepFashion."""

from __future__ import annotations

import numpy as np
import pytest

from asen_tf.data.sampling import LabelIndex, Plan, SamplingError, batch_all, random_triplets

# Image 0 holds values 4 and 9: it is alike to every image of either, and a negative of none.
VALUES = {4: [0, 1, 2], 9: [0, 3, 4]}


def index_of(values: dict[int, list[int]]) -> LabelIndex:
    rows = [(image, 0, value) for value, images in values.items() for image in images]
    return LabelIndex(np.array(rows), ("sleeve",))


def triplets(index: LabelIndex) -> Plan:
    return random_triplets(index, steps=50, triplets=8, seed=0, epoch=0)


def groups(index: LabelIndex) -> Plan:
    return batch_all(index, steps=100, attributes=1, values=2, images=2, seed=0, epoch=0)


@pytest.mark.parametrize("draw", [triplets, groups])
def test_an_image_with_both_drawn_values_is_left_out(draw) -> None:
    plan = draw(index_of(VALUES))
    assert set(plan.images.ravel().tolist()) == {1, 2, 3, 4}
    expected = {1: 4, 2: 4, 3: 9, 4: 9}
    for image, value in zip(plan.images.flat, plan.values.flat, strict=True):
        assert expected[int(image)] == value


@pytest.mark.parametrize("draw", [triplets, groups])
def test_an_image_with_two_values_stays_where_only_one_of_them_is_drawn(draw) -> None:
    plan = draw(index_of(VALUES | {11: [5, 6]}))
    size = plan.images.shape[-1]
    drawn = {
        tuple(sorted(set(values)))
        for images, values in zip(
            plan.images.reshape(-1, size).tolist(),
            plan.values.reshape(-1, size).tolist(),
            strict=True,
        )
        if 0 in images
    }
    assert drawn == {(4, 11), (9, 11)}


@pytest.mark.parametrize("draw", [triplets, groups])
def test_values_that_the_same_images_hold_are_refused(draw) -> None:
    message = "attribute 'sleeve' needs values .* got none in 1000 draws; .*, or leave it out"
    with pytest.raises(SamplingError, match=message):
        draw(index_of({4: [0, 1], 9: [0, 1]}))


def test_where_fewer_values_could_be_drawn_the_error_says_so() -> None:
    index = index_of({4: [0, 1], 9: [0, 1], 11: [0, 1]})
    given = {"steps": 1, "attributes": 1, "images": 2, "seed": 0, "epoch": 0}
    for values, remedy in ((3, "lower values_per_attribute"), (2, "leave it out")):
        with pytest.raises(SamplingError, match=f"label_train.txt, or {remedy}"):
            batch_all(index, values=values, **given)


def test_one_image_left_is_no_pair_and_the_values_are_drawn_anew() -> None:
    # Without what 4 and 9 share, 4 has one image: too few for anchor and positive.
    plan = triplets(index_of({4: [0, 1, 2], 9: [0, 1, 3, 4], 11: [5, 6]}))
    pairs = {tuple(values) for values in plan.values.reshape(-1, 3)[:, [0, 2]].tolist()}
    assert pairs == {(4, 11), (11, 4), (9, 11), (11, 9)}
