"""The classification that a backbone may start from: labels, epochs and accuracies by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from asen_study.starts import accuracies, classification_plan, value_matrix
from asen_tf.data import AttributeTable


def test_of_several_labels_the_first_counts_and_none_is_minus_one() -> None:
    labels = np.array([(0, 0, 2), (2, 1, 0), (0, 0, 1), (0, 1, 3), (2, 1, 4)])
    assert value_matrix(labels, 4, 2).tolist() == [[2, 3], [-1, -1], [-1, 0], [-1, -1]]


def test_an_epoch_shows_every_image_with_a_label_once() -> None:
    values = np.full((9, 2), -1, np.int32)
    labelled = [0, 2, 3, 5, 6, 8]
    values[labelled, 1] = [1, 0, 2, 1, 0, 2]
    values[0, 0] = 4
    plan = classification_plan(values, batch=3, seed=1, epoch=0)
    assert plan.images.shape == (2, 3, 1) and plan.values.shape == (2, 3, 2)
    assert sorted(plan.images.ravel().tolist()) == labelled
    for image, shown in zip(plan.images.ravel(), plan.values.reshape(-1, 2), strict=True):
        assert shown.tolist() == values[image].tolist()
    others = [classification_plan(values, batch=3, seed=s, epoch=e) for s, e in ((1, 1), (2, 0))]
    for other in others:
        assert other.images.ravel().tolist() != plan.images.ravel().tolist()
    again = classification_plan(values, batch=3, seed=1, epoch=0)
    np.testing.assert_array_equal(again.images, plan.images)


@pytest.mark.parametrize(("batch", "shape"), [(4, (1, 4, 1)), (99, (1, 6, 1))])
def test_a_smaller_last_step_is_left_out_and_few_images_make_one_step(
    batch: int, shape: tuple[int, ...]
) -> None:
    plan = classification_plan(np.zeros((6, 1), np.int32), batch=batch, seed=0, epoch=0)
    assert plan.images.shape == shape
    assert len(set(plan.images.ravel().tolist())) == shape[1]


@pytest.mark.parametrize("batch", [2, 5])
def test_accuracies_count_labels_alone(batch: int) -> None:
    named = np.array([[0, 1, 0], [1, 1, 0], [2, 0, 0], [0, 1, 0], [2, 0, 0]])  # what is answered
    labels = np.array([(0, 0, 0), (0, 0, 1), (1, 0, 0), (2, 0, 2), (3, 0, 0), (0, 1, 0), (4, 1, 0)])
    table = AttributeTable(("collar", "sleeve", "coat"), (3, 2, 2))
    split = SimpleNamespace(labels=labels, files=[str(i) for i in range(5)], attributes=table)

    def model(inputs: dict[str, np.ndarray], training: bool) -> dict[str, tf.Tensor]:
        assert training is False
        return {"logits": tf.one_hot(named[inputs["view"]], 3)}

    images = SimpleNamespace(split=split, views=np.arange(5))
    assert accuracies(model, images, batch) == pytest.approx(
        # Collar: images 0, 2 and 3 of 0 to 3. Sleeve: 4 of 0 and 4. No coat has a label.
        {"val_accuracy": 4 / 6, "val_accuracy_collar": 3 / 4, "val_accuracy_sleeve": 1 / 2}
    )
