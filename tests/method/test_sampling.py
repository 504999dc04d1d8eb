"""The samplers against their exact laws."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict

import numpy as np
import pytest
from scipy.stats import chisquare

from asen_tf.data.sampling import (
    LabelIndex,
    Plan,
    SamplingError,
    batch_all,
    choose_images,
    random_triplets,
)

NAMES = ("sleeve", "collar")
# attribute -> value -> images; value 5 has one image, so it can give no positive pair.
MEMBERS = {
    0: {0: [10, 11], 3: [12, 13, 14], 5: [15]},
    1: {1: [10, 12], 2: [13, 15], 4: [11, 14, 16, 17]},
}


def labels_of(members: dict[int, dict[int, list[int]]]) -> np.ndarray:
    rows = [(i, a, v) for a, values in members.items() for v, ids in values.items() for i in ids]
    return np.random.default_rng(0).permutation(np.array(rows))


def index_of(members: dict[int, dict[int, list[int]]] = MEMBERS) -> LabelIndex:
    return LabelIndex(labels_of(members), NAMES[: len(members)])


def exact_law() -> dict[tuple[int, int, int, int], float]:
    """Return the probability of each (attribute, anchor, positive, negative), step by step."""
    law: dict[tuple[int, int, int, int], float] = defaultdict(float)
    for attribute, values in MEMBERS.items():
        usable = {value: images for value, images in values.items() if len(images) > 1}
        for first, second in itertools.permutations(usable, 2):
            for anchor, positive in itertools.permutations(usable[first], 2):
                for negative in usable[second]:
                    share = 1.0 / len(MEMBERS) / (len(usable) * (len(usable) - 1))
                    share /= len(usable[first]) * (len(usable[first]) - 1) * len(usable[second])
                    law[attribute, anchor, positive, negative] += share
    return law


def assert_follows(drawn: Counter, law: dict) -> None:
    assert set(drawn) <= set(law), f"{set(drawn) - set(law)} cannot happen"
    total = sum(drawn.values())
    observed, expected = zip(*((drawn[key], total * law[key]) for key in law), strict=True)
    assert min(expected) > 20 and sum(law.values()) == pytest.approx(1.0)
    assert chisquare(observed, expected).pvalue > 1e-3  # the seed is fixed: no flicker


@pytest.fixture(scope="module")
def long_plan() -> Plan:
    return random_triplets(index_of(), steps=1500, triplets=16, seed=1, epoch=0)


# === Random triplets ===


def test_triplets_follow_the_exact_law(long_plan: Plan) -> None:
    law = exact_law()
    assert len(law) == 18 + 72
    triplets = np.concatenate([long_plan.attributes[..., :1], long_plan.images], axis=-1)
    assert_follows(Counter(map(tuple, triplets.reshape(-1, 4).tolist())), law)


@pytest.mark.parametrize("role", [0, 2], ids=["anchor and positive", "negative"])
def test_values_are_uniform_however_many_images_they_have(long_plan: Plan, role: int) -> None:
    drawn = zip(long_plan.attributes[..., 0].flat, long_plan.values[..., role].flat, strict=True)
    law = {(0, 0): 1 / 4, (0, 3): 1 / 4, (1, 1): 1 / 6, (1, 2): 1 / 6, (1, 4): 1 / 6}
    assert_follows(Counter((int(a), int(v)) for a, v in drawn), law)


def test_every_triplet_is_one(long_plan: Plan) -> None:
    labelled = {tuple(row) for row in labels_of(MEMBERS).tolist()}
    anchor, positive, negative = np.moveaxis(long_plan.values, -1, 0)
    assert (anchor == positive).all() and (anchor != negative).all()
    assert (long_plan.images[..., 0] != long_plan.images[..., 1]).all()
    assert (long_plan.attributes == long_plan.attributes[..., :1]).all()
    every = np.stack([long_plan.images, long_plan.attributes, long_plan.values], axis=-1)
    assert {tuple(row) for row in every.reshape(-1, 3).tolist()} <= labelled
    assert 5 not in long_plan.values[long_plan.attributes == 0]


def test_a_plan_has_the_shape_that_was_asked_for() -> None:
    plan = random_triplets(index_of(), steps=4, triplets=5, seed=0, epoch=0)
    assert len(plan) == 4
    for array in (plan.images, plan.attributes, plan.values):
        assert array.shape == (4, 5, 3) and array.dtype == np.int32


SAMPLERS = {
    "triplets": lambda **key: random_triplets(index_of(), steps=6, triplets=8, **key),
    "batch": lambda **key: batch_all(index_of(), steps=6, attributes=2, values=2, images=2, **key),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_plan_depends_on_seed_and_epoch_and_on_nothing_else(name: str) -> None:
    draw = SAMPLERS[name]
    plans = {}
    for seed, epoch in itertools.product(range(3), repeat=2):
        plan = draw(seed=seed, epoch=epoch)
        np.random.seed(99)  # the global generator has no part in it
        again = draw(seed=seed, epoch=epoch)
        for field in ("images", "attributes", "values"):
            np.testing.assert_array_equal(getattr(plan, field), getattr(again, field))
        plans[seed, epoch] = plan.images.tobytes()
    assert len(set(plans.values())) == 9  # also (0, 1) and (1, 0) differ


def test_two_values_with_two_images_each_are_enough() -> None:
    index = index_of({0: {4: [0, 1], 9: [2, 3]}})
    plan = random_triplets(index, steps=50, triplets=4, seed=0, epoch=0)
    possible = {(0, 1, 2), (0, 1, 3), (1, 0, 2), (1, 0, 3)}
    possible |= {(2, 3, 0), (2, 3, 1), (3, 2, 0), (3, 2, 1)}
    assert {tuple(row) for row in plan.images.reshape(-1, 3).tolist()} == possible


# === Batch all ===


def test_a_group_holds_one_attribute_and_the_values_and_images_asked_for() -> None:
    plan = batch_all(index_of(), steps=40, attributes=2, values=2, images=2, seed=0, epoch=0)
    assert plan.images.shape == plan.attributes.shape == plan.values.shape == (40, 2, 4)
    for images, attributes, values in zip(plan.images, plan.attributes, plan.values, strict=True):
        assert {tuple(set(group)) for group in attributes.tolist()} == {(0,), (1,)}
        for group in range(2):
            members = MEMBERS[attributes[group, 0]]
            assert sorted(Counter(values[group].tolist()).values()) == [2, 2]
            assert len(set(zip(images[group], values[group], strict=True))) == 4
            for image, value in zip(images[group], values[group], strict=True):
                assert image in members[value] and len(members[value]) > 1


def test_batch_all_draws_attributes_pairs_of_values_and_images_uniformly() -> None:
    plan = batch_all(index_of(), steps=4000, attributes=1, values=2, images=2, seed=2, epoch=0)
    drawn = Counter()
    for attribute, values in zip(plan.attributes[:, 0, 0], plan.values[:, 0], strict=True):
        drawn[int(attribute), tuple(sorted(set(values.tolist())))] += 1
    law = {(0, (0, 3)): 1 / 2, (1, (1, 2)): 1 / 6, (1, (1, 4)): 1 / 6, (1, (2, 4)): 1 / 6}
    assert_follows(drawn, law)
    largest = (plan.attributes == 1) & (plan.values == 4)
    images = Counter(plan.images[largest].tolist())
    assert_follows(images, dict.fromkeys([11, 14, 16, 17], 1 / 4))


def test_what_is_scarce_is_drawn_again_so_that_the_group_keeps_its_size() -> None:
    index = index_of({0: {4: [0, 1], 9: [2, 3, 5]}})
    plan = batch_all(index, steps=20, attributes=3, values=3, images=4, seed=0, epoch=0)
    assert plan.images.shape == (20, 1, 12)  # there is one attribute, not three
    for images, values in zip(plan.images[:, 0], plan.values[:, 0], strict=True):
        assert sorted(Counter(values.tolist()).values()) == [4, 8]  # both, and one of them again
        for block in range(0, 12, 4):
            value = values[block]
            assert (values[block : block + 4] == value).all()
            times = Counter(images[block : block + 4].tolist())
            assert set(times) == ({0, 1} if value == 4 else {2, 3, 5})
            assert max(times.values()) == 2  # none a third time before all have come twice


# === Labels ===


def test_a_value_with_one_image_is_left_out_and_repeated_rows_are_one_image() -> None:
    rows = [(0, 0, 1), (1, 0, 1), (2, 0, 2), (3, 0, 2), (4, 0, 3), (4, 0, 3)]
    index = LabelIndex(np.array(rows), ("sleeve",))
    assert {value: images.tolist() for value, images in index.members[0].items()} == {
        1: [0, 1],
        2: [2, 3],
    }


@pytest.mark.parametrize(
    ("values", "usable"),
    [({}, 0), ({1: [5, 6, 7]}, 1), ({1: [5, 6], 2: [7]}, 1), ({1: [5], 2: [6], 3: [7]}, 0)],
    ids=["no label", "one value", "one value with a pair", "no pair"],
)
def test_an_attribute_without_two_pairs_is_refused_by_name(
    values: dict[int, list[int]], usable: int
) -> None:
    labels = labels_of({0: MEMBERS[0], 1: values})
    with pytest.raises(SamplingError, match=f"'collar' needs at least two .*got {usable} such"):
        LabelIndex(labels, NAMES)


# === Fewer images ===


def many_labels() -> np.ndarray:
    """Label 200 images: two attributes of all, one of few; two values of each are frequent."""
    rng = np.random.default_rng(0)
    rows = [
        (image, a, rng.choice(4, p=(0.5, 0.4, 0.07, 0.03))) for image in range(200) for a in (0, 1)
    ]
    rows += [(image, 2, image % 2) for image in range(90, 100)]
    return np.array(rows)


@pytest.mark.parametrize("seed", range(5))
def test_a_choice_of_images_keeps_every_attribute_and_holds_smaller_ones(seed: int) -> None:
    labels = many_labels()
    choices = [choose_images(labels, count, seed=seed) for count in (12, 50, 120, 10**6)]
    assert [len(choice) for choice in choices] == [12, 50, 120, 200]
    for smaller, larger in itertools.pairwise(choices):
        assert set(smaller) < set(larger)
    for choice in choices:
        assert (np.diff(choice) > 0).all()
        kept = labels[np.isin(labels[:, 0], choice)]
        assert LabelIndex(kept, ("a", "b", "c")).sampled == [0, 1, 2]
    assert set(choices[1]) != set(choose_images(labels, 50, seed=seed + 1))


def test_attributes_without_triplets_are_left_out_where_that_is_allowed() -> None:
    labels = np.array([(image, a, image % 2 if a else 0) for image in range(8) for a in (0, 1)])
    with pytest.raises(SamplingError, match="'a' needs at least two values"):
        LabelIndex(labels, ("a", "b"))
    index = LabelIndex(labels, ("a", "b"), partial=True)
    assert index.sampled == [1]
    plan = batch_all(index, steps=3, attributes=2, values=2, images=2, seed=0, epoch=0)
    assert plan.images.shape == (3, 1, 4) and (plan.attributes == 1).all()
    plan = random_triplets(index, steps=3, triplets=4, seed=0, epoch=0)
    assert (plan.attributes == 1).all()
    with pytest.raises(SamplingError, match="no attribute has two values"):
        LabelIndex(labels[labels[:, 1] == 0], ("a", "b"), partial=True)
