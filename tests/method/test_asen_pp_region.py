"""The two branches of ASEN++ together: what passes from one to the other, and what does not."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from small_model import THRESHOLD, VIEW, pictures, small_model, training_batch

from asen_tf.layers import global_view, region_boxes
from asen_tf.models import AsenPlusPlus, PairInputs


@pytest.fixture(scope="module")
def model() -> AsenPlusPlus:
    """Return a model that the tests leave as it is."""
    return small_model()


def test_each_attribute_has_the_region_of_its_own_map(model: AsenPlusPlus) -> None:
    outputs = model.embed_pairs(pictures()[2:], [0, 0, 0], [0, 1, 2])
    given = {"map_size": VIEW, "threshold": THRESHOLD, "extent": model.map_extent}
    expected = region_boxes(outputs["attention"], **given)
    np.testing.assert_array_equal(outputs["boxes"], expected)
    assert len({tuple(box) for box in outputs["boxes"].tolist()}) == 3
    np.testing.assert_allclose(outputs["attention"].sum(axis=(1, 2)), 1.0, atol=1e-5)


def test_the_local_branch_sees_the_source_inside_the_box_alone(model: AsenPlusPlus) -> None:
    source, rows = pictures()[2:], tf.constant([0])
    view, no_boxes = global_view(tf.constant(source), VIEW), tf.zeros((1, 4), tf.int32)

    def look(pixels: np.ndarray, attribute: int) -> dict[str, tf.Tensor]:
        inputs = PairInputs(view, tf.constant(pixels), rows, tf.constant([attribute]), no_boxes)
        return model.pair_outputs(inputs)

    for attribute in range(3):
        before = look(source, attribute)
        top, left, bottom, right = 2 * before["boxes"][0].numpy()  # 64 source px to 32
        outside = np.ones((1, 64, 64, 1), bool)
        outside[:, max(top - 1, 0) : bottom + 1, max(left - 1, 0) : right + 1] = False
        assert outside.mean() > 0.3  # a box that is the whole frame would show nothing
        after = look(np.where(outside, 255 - source, source), attribute)
        np.testing.assert_array_equal(after["local"], before["local"])
        inside = look(np.where(outside, source, 255 - source), attribute)
        assert np.abs(inside["local"] - before["local"]).max() > 1e-3
        np.testing.assert_array_equal(inside["global"], before["global"])


def test_the_box_carries_no_gradient(model: AsenPlusPlus) -> None:
    table = model.attribute_table.embeddings
    batch = training_batch(pictures(), [0, 1, 2])
    with tf.GradientTape(persistent=True) as tape:
        outputs = model(batch, training=True)
        whole, zoomed = (tf.reduce_sum(outputs[name] ** 2) for name in ("global", "local"))
    parts = model.global_branch.trainable_variables, model.local_branch.trainable_variables
    assert all(gradient is None for gradient in tape.gradient(zoomed, parts[0]))
    assert all(gradient is None for gradient in tape.gradient(whole, parts[1]))
    for loss, variables in ((whole, parts[0]), (zoomed, parts[1])):
        gradients = tape.gradient(loss, variables)
        assert all(np.abs(gradient).max() > 0 for gradient in gradients)
        shared = tf.convert_to_tensor(tape.gradient(loss, table))
        assert (np.abs(shared).max(axis=1) > 0).all()  # both branches teach the table


def test_the_global_backbone_runs_once_per_image(
    model: AsenPlusPlus, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {}
    for name, branch in (("global", model.global_branch), ("local", model.local_branch)):
        backbone = branch.get_layer(f"{name}_backbone")

        def counting(inputs, *args, call=backbone.call, name=name, **kwargs):
            rows.setdefault(name, []).append(len(inputs))
            return call(inputs, *args, **kwargs)

        monkeypatch.setattr(backbone, "call", counting)
    images = tf.constant(pictures(2))
    pairs = tf.repeat(tf.range(2), 3), tf.tile(tf.range(3), [2])
    boxes = tf.zeros((6, 4), tf.int32)
    model.pair_outputs(PairInputs(global_view(images, VIEW), images, *pairs, boxes))
    assert rows == {"global": [2], "local": [6]}  # two images, three attributes each
