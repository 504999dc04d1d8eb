"""The local branch of ASEN++ and the fused embedding, and what region the local branch sees."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from naive_models import attended, build, compare, features, gated, projected, zoomed_features
from naive_regions import Box, naive_box, naive_crop
from small_model import NAMES, THRESHOLD, VIEW, pictures, training_batch

from asen_tf.embedder import Embedder
from asen_tf.layers import global_view
from asen_tf.models import AsenPlusPlus, PairInputs

MIDDLE = (VIEW // 4, VIEW // 4, 3 * VIEW // 4, 3 * VIEW // 4)  # the middle half of each side
# True boxes of (image, attribute): in a corner, along an edge, small, large, the whole frame.
TRUE = [(0, 0, 8, 8), (20, 4, 32, 16), (9, 17, 13, 21), (3, 5, 30, 32), (0, 0, 32, 32)]
TRUE += [(8, 24, 16, 32), (1, 0, 12, 11), (24, 24, 32, 32), (15, 15, 17, 17)]
PAIRS = [(row, attribute) for row in range(3) for attribute in range(len(NAMES))]


def region_model(region: str = "attended", **changes) -> AsenPlusPlus:
    """Build a model whose branches and attributes all differ, and whose crops have another size."""
    changes = {"map_reading": "cells", "local_size": 24, **changes}
    changes = {"roi_threshold": THRESHOLD, "fusion_weight": 0.7, **changes}
    return build(method="asen_pp", region=region, **changes)


def vectors(table) -> np.ndarray:
    return table.embeddings.numpy().astype(np.float64)


def naive(
    model: AsenPlusPlus, images: np.ndarray, box_of, weight: float = 0.7
) -> tuple[np.ndarray, np.ndarray, list[Box]]:
    """Return local and fused embeddings and boxes of all pairs: DESIGN's formulas, step by step.

    `box_of(pair number, attention map)` gives the region in the frame of the global input.
    """
    found = []
    every = features(model, images)
    side = model.region.crop_size
    for number, (row, attribute) in enumerate(PAIRS):
        vector = vectors(model.attribute_table)[attribute]
        pooled, attention = attended(model, every[row], vector)
        whole = projected(model, gated(model, pooled, vector))
        box = box_of(number, attention)
        assert box is not None, "rounding decides this region: choose other pictures"
        crop = naive_crop(images[row].astype(np.float64), box, VIEW, side)
        vector = vectors(model.local_table)[attribute]
        pooled, _ = attended(model, zoomed_features(model, crop[None])[0], vector, branch="local")
        zoomed = projected(model, gated(model, pooled, vector, "local"), "local")
        parts = [
            share**0.5 * part / np.linalg.norm(part)
            for share, part in ((weight, whole), (1 - weight, zoomed))
        ]
        found.append((zoomed, np.concatenate(parts), box))
    zoomed, fused, boxes = zip(*found, strict=True)
    return np.array(zoomed), np.array(fused), list(boxes)


def attended_box(number: int, attention: np.ndarray) -> Box | None:
    # Cells of 8 px, the first around pixel 0.
    return naive_box(attention, VIEW, THRESHOLD, ((0.5 - 4) / VIEW, (0.5 - 4) / VIEW + 1))


REGIONS = {
    "attended": attended_box,
    "centre": lambda number, attention: MIDDLE,
    "whole": lambda number, attention: (0, 0, VIEW, VIEW),
    "true": lambda number, attention: TRUE[number],
}


@pytest.mark.parametrize(
    ("region", "tables"),
    [("attended", "shared"), ("attended", "separate"), ("centre", "shared"), ("true", "shared")]
    + [("whole", "shared")],
)
def test_local_and_fused_embeddings_are_what_the_formulas_say(region: str, tables: str) -> None:
    model, images = region_model(region, attribute_tables=tables), pictures()
    zoomed, fused, boxes = naive(model, images, REGIONS[region])
    given = np.array(TRUE) if region == "true" else None
    outputs = model.embed_pairs(images, *np.transpose(PAIRS), given)
    assert [tuple(box) for box in outputs["boxes"].tolist()] == boxes
    compare(outputs["local"], zoomed)
    compare(outputs["fused"], fused)
    # Pairs are told apart, and not by their fused embedding's length.
    assert np.abs(zoomed[0] - zoomed[1]).max() > 1e-3 and np.abs(zoomed[0] - zoomed[3]).max() > 1e-3
    if region == "attended":
        assert len(set(boxes)) > 3  # maps that differ
    if given is None:
        compare(model.embed_all(images).reshape(len(PAIRS), -1), fused)


def test_an_embedder_says_where_the_map_that_it_shows_lies() -> None:
    model, (picture, *_) = region_model(), pictures()
    for name in NAMES:
        seen = Embedder(model).attend(picture, name)
        start = (0.5 - 4) / VIEW  # the first cell is around pixel 0
        assert seen.extent == pytest.approx((start, start + 1))
        # The region that it shows is that of the map there, in the picture's 64 px, and not
        # that of a map that fills the picture.
        top, left, bottom, right = naive_box(seen.map, VIEW, THRESHOLD, seen.extent)
        assert seen.region == pytest.approx([2 * edge for edge in (left, top, right, bottom)])
        assert naive_box(seen.map, VIEW, THRESHOLD) != (top, left, bottom, right)


def test_training_moves_regions_as_it_is_told_and_embedding_does_not() -> None:
    images, draws = pictures(), tf.constant([[-1.0, 0.5, -0.5], [0.3, 1.0, 1.0], [0.0, -1.0, 0.0]])
    model = region_model("centre", region_jitter=0.25)
    batch = {**training_batch(images, [1, 2, 0]), "draws": draws}
    # Of squares of 16 px at 8..24: 12 px at 12, 8; 17 px at 12, 12 (11.5 and 12.5 are even at 12);
    boxes = [(12, 8, 24, 20), (12, 12, 29, 29), (4, 8, 20, 24)]
    chosen = [1, 5, 6]
    zoomed, _, _ = naive(
        model, images, lambda number, _: boxes[chosen.index(number)] if number in chosen else MIDDLE
    )
    still, _, _ = naive(model, images, REGIONS["centre"])
    for layer in model.local_branch.submodules:  # as in inference, so that only regions differ
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    compare(model(batch, training=True)["local"].numpy(), zoomed[chosen])
    compare(model(batch, training=False)["local"].numpy(), still[chosen])


def test_the_whole_frame_is_not_moved() -> None:
    model, seen = region_model("whole", region_jitter=0.5), []
    cut = model.region.call
    model.region.call = lambda inputs: seen.append(inputs[2].numpy().tolist()) or cut(inputs)
    model({**training_batch(pictures(), [1, 2, 0]), "draws": -tf.ones((3, 3))}, training=True)
    assert seen == [[[0, 0, VIEW, VIEW]] * 3]


@pytest.mark.parametrize("region", ["centre", "true"])
def test_training_sees_the_same_region(region: str) -> None:
    model, images = region_model(region), pictures()
    chosen = [1, 5, 6]  # a pair of each image
    batch = training_batch(images, [PAIRS[number][1] for number in chosen])
    if region == "true":
        batch["box"] = tf.constant([TRUE[number] for number in chosen])
    zoomed, _, _ = naive(model, images, REGIONS[region])
    compare(model(batch, training=False)["local"].numpy(), zoomed[chosen])


@pytest.mark.parametrize(
    ("region", "edges"), [("centre", (16, 16, 48, 48)), ("true", (18, 34, 26, 42))]
)
def test_the_local_branch_sees_exactly_the_region(region: str, edges: Box) -> None:
    """Every ring of source pixels but those of the region, and of its samples' border, is unseen.

    A source of 64 px is twice the frame. Samples lie within half a pixel of the region's edge, so
    that bilinear ones touch one pixel beyond it, never two.
    """
    model, source = region_model(region, local_size=32), pictures(1)
    given = tf.constant([[9, 17, 13, 21]] if region == "true" else [[0, 0, 0, 0]])
    # The global branch gets the view of the picture as it was: what changes is the crop alone.
    view = global_view(tf.constant(source), VIEW)

    def look(pixels: np.ndarray) -> dict[str, np.ndarray]:
        inputs = PairInputs(view, tf.constant(pixels), tf.constant([0]), tf.constant([1]), given)
        return {name: value.numpy() for name, value in model.pair_outputs(inputs).items()}

    def inside(by: int) -> np.ndarray:
        """Flag the pixels of the region grown by some pixels on each side."""
        flags = np.zeros((1, 64, 64, 1), bool)
        top, left, bottom, right = edges
        flags[:, top - by : bottom + by, left - by : right + by] = True
        return flags

    before, opposite = look(source), 255 - source
    np.testing.assert_array_equal(2 * before["boxes"], [edges])
    after = look(np.where(inside(1), source, opposite))
    np.testing.assert_array_equal(after["local"], before["local"])
    np.testing.assert_array_equal(after["fused"], before["fused"])
    # Its outermost pixels are seen, on each of the four sides.
    ring = inside(0) & ~inside(-1)
    for axis, first in ((1, True), (1, False), (2, True), (2, False)):
        places = np.argwhere(ring)
        edge = places[:, axis].min() if first else places[:, axis].max()
        one_side = ring & (np.indices(ring.shape)[axis] == edge)
        seen = look(np.where(one_side, opposite, source))
        assert np.abs(seen["local"] - before["local"]).max() > 1e-4, (axis, first)
        np.testing.assert_array_equal(seen["global"], before["global"])


def test_the_middle_half_does_not_depend_on_the_attention_nor_on_the_attribute() -> None:
    model, images = region_model("centre"), pictures()
    boxes = model.embed_pairs(images, *np.transpose(PAIRS))["boxes"]
    np.testing.assert_array_equal(boxes, [[8, 8, 24, 24]] * len(PAIRS))


def test_the_local_branch_can_start_from_the_global_one() -> None:
    model = region_model(local_attention_dim=4)
    own = model.local_branch.get_layer("local_spatial_attention").get_weights()
    whole = [array.copy() for array in model.global_branch.get_weights()]
    model.start_local_from_global()
    for part in ("backbone", "channel_attention", "embedding"):
        ours = model.local_branch.get_layer(f"local_{part}").get_weights()
        theirs = model.global_branch.get_layer(f"global_{part}").get_weights()
        assert len(ours) and all(map(np.array_equal, ours, theirs))
    kept = model.local_branch.get_layer("local_spatial_attention").get_weights()
    assert all(map(np.array_equal, kept, own)), "of another size: it keeps its own start"
    assert all(map(np.array_equal, model.global_branch.get_weights(), whole))
