"""Sampling of outfits and scenes: values, and their independence of everything else."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from data_prep.garments.outfit import CROPPED, SHORT, SLEEVELESS, STRAPLESS, sample_outfit
from data_prep.garments.render import sample
from data_prep.garments.values import (
    ATTRIBUTES,
    COAT_HEMS,
    NECK_ATTRIBUTES,
    SKIRT_HEMS,
    SLEEVE_ENDS,
    TROUSER_HEMS,
    VALUES,
)

COUNT = 4000


@pytest.fixture(scope="module")
def scenes():
    return [sample(11, index) for index in range(COUNT)]


@pytest.fixture(scope="module")
def outfits(scenes):
    return [outfit for outfit, _ in scenes]


def test_all_54_values_occur_about_equally_often(outfits):
    assert sum(len(values) for values in VALUES.values()) == 54
    for name, values in VALUES.items():
        counts = np.bincount(
            [o.labels[name] for o in outfits if name in o.labels], minlength=len(values)
        )
        assert counts.min() > 0.6 * counts.mean(), (name, counts)
        assert counts.max() < 1.6 * counts.mean(), (name, counts)


def test_an_image_has_two_or_three_labels_and_every_attribute_is_common(outfits):
    assert 2.0 < np.mean([len(o.labels) for o in outfits]) < 2.6
    for name in ATTRIBUTES:
        assert sum(name in o.labels for o in outfits) > 0.15 * COUNT, name


def test_a_garment_has_at_most_one_neck_construction(outfits):
    for outfit in outfits:
        assert sum(name in outfit.labels for name in NECK_ATTRIBUTES) <= 1
        sleeves_in_the_frame = bool(outfit.neck[0]) and outfit.kind != "detail"
        assert ("sleeve_length" in outfit.labels) == sleeves_in_the_frame


def test_a_cropped_image_names_nothing_below_its_frame(outfits):
    lengths = {"skirt_length", "pant_length", "coat_length"}
    for outfit in outfits:
        if outfit.kind in CROPPED:
            assert not lengths & set(outfit.labels)
        if outfit.kind == "bust":  # a longer sleeve would end below the frame
            assert outfit.labels["sleeve_length"] <= SHORT


def test_every_invisible_part_is_hidden_by_something(outfits):
    for outfit in outfits:
        assert {n for n, v in outfit.labels.items() if v == 0} == set(outfit.hidden)


def test_strapless_garments_have_no_sleeves():
    rng = np.random.default_rng(0)
    found = [o for o in (sample_outfit(rng) for _ in range(3000)) if "neckline_design" in o.labels]
    strapless = [o for o in found if o.labels["neckline_design"] == STRAPLESS]
    assert strapless
    assert all(o.labels.get("sleeve_length", SLEEVELESS) == SLEEVELESS for o in strapless)


@pytest.mark.parametrize("hems", [SKIRT_HEMS, COAT_HEMS, TROUSER_HEMS, SLEEVE_ENDS])
def test_length_intervals_are_ordered_and_apart(hems):
    assert sorted(hems) == list(hems)
    for (_, high), (low, _) in itertools.pairwise(hems.values()):
        assert low - high > 0.1


FACTORS = {
    "pattern": lambda s: s.upper.pattern,
    "lower pattern": lambda s: s.lower.pattern,
    "hue": lambda s: int(np.argmax(s.upper.colour)),
    "brightness": lambda s: sum(s.upper.colour) // 150,
    "trim": lambda s: s.trim is None,
    "background": lambda s: s.background,
    "wall": lambda s: sum(s.wall) // 200,
    "ease": lambda s: int(s.ease * 30),
    "flare": lambda s: int(s.flare * 25),
    "blur": lambda s: s.camera.blur > 0,
    "quality": lambda s: s.camera.quality // 10,
    "rotation": lambda s: int(s.camera.rotation // 4),
    "bag": lambda s: "bag" in s.extras,
    "scarf": lambda s: "scarf" in s.extras,
}


def independence(pairs: list[tuple]) -> float:
    """Return the p-value of the chi-square test that two columns are independent."""
    _, rows = np.unique([str(a) for a, _ in pairs], return_inverse=True)
    _, columns = np.unique([str(b) for _, b in pairs], return_inverse=True)
    counts = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(counts, (rows, columns), 1)
    return float(chi2_contingency(counts).pvalue)


def test_no_nuisance_tells_a_value(scenes):
    """112 tests: the smallest p-value of independent ones is below 1e-5 once in 900 tries."""
    for name, (label, factor) in itertools.product(ATTRIBUTES, FACTORS.items()):
        pairs = [(o.labels[name], factor(s)) for o, s in scenes if name in o.labels]
        assert independence(pairs) > 1e-5, (name, label)


def test_the_independence_test_finds_a_dependence(scenes):
    pairs = [(o.labels["skirt_length"], s.skin) for o, s in scenes if "skirt_length" in o.labels]
    tilted = [(value, skin if value != 2 else scenes[0][1].skin) for value, skin in pairs]
    assert independence(tilted) < 1e-9


def test_lengths_are_independent_of_each_other(scenes):
    """Skirt against sleeve and neckline against skirt; strapless and its kin excepted."""
    labels = [o.labels for o, _ in scenes]
    both = [x for x in labels if "skirt_length" in x and "sleeve_length" in x]
    dress = [x for x in both if "coat_length" not in x]
    pairs = [(x["skirt_length"], x["sleeve_length"]) for x in dress]
    assert independence(pairs) > 1e-4
    pairs = [(x["skirt_length"], x["neckline_design"]) for x in dress if "neckline_design" in x]
    assert independence(pairs) > 1e-4
