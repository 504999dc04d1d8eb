"""A model that the code saved when all of it was one package still loads, with the same numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asen_tf.models import AsenPlusPlus, load_saved

# Saved by commit 7f972c9, before `asen_tf` was split into three floors: a tiny ASEN++ with random
# weights of few distinct values, packed again with compression so that the file is small; beside
# it the outputs of `embed_pairs` for one image and both attributes.
SAVED = Path(__file__).with_name("saved_before_the_move.keras")
OUTPUTS = SAVED.with_suffix(".npz")


@pytest.fixture(scope="module")
def model() -> AsenPlusPlus:
    return load_saved(SAVED)


def test_its_settings_are_read(model: AsenPlusPlus) -> None:
    config = model.get_config()
    assert type(model) is AsenPlusPlus and model.attribute_names == ("neckline", "sleeve")
    assert (config["global_size"], config["source_size"], config["local_size"]) == (32, 64, 32)
    assert (config["roi_threshold"], config["fusion_weight"]) == (0.9, 0.7)  # not the defaults


def test_it_embeds_as_it_did(model: AsenPlusPlus) -> None:
    with np.load(OUTPUTS, allow_pickle=False) as saved:
        expected = dict(saved)
    found = model.embed_pairs(expected.pop("images"), [0, 0], [0, 1])
    assert set(found) == set(expected) == {"global", "local", "fused", "attention", "boxes"}
    np.testing.assert_array_equal(found["boxes"], expected["boxes"])
    for name, array in expected.items():
        # Crops are filtered since, which changes a little of what the local branch sees.
        near = 1e-3 if name in ("local", "fused") else 1e-6
        np.testing.assert_allclose(found[name], array, rtol=10 * near, atol=near, err_msg=name)
    assert np.abs(found["fused"][0] - found["fused"][1]).max() > 1e-2  # attributes are told apart
