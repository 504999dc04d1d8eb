"""Which images a training step sees: pure functions of seed and epoch.

A *plan* is the list of grouped batches of one epoch. It depends only on labels (or on the triplets
that a dataset lists), settings, seed and epoch, so an interrupted run resumes with exactly the
triplets it would have seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from asen_tf.data.records import images_by_value

_TRIES = 1000  # draws of values before a sampler gives up


class SamplingError(ValueError):
    """The labels do not hold what a sampler needs."""


@dataclass(frozen=True)
class Plan:
    """The batches of one epoch, as indices.

    Attributes:
        images: `(steps, G, M)` int32, image indices; G groups of M images a step.
        attributes: `(steps, G, M)` int32, the attribute each image is embedded for.
        values: `(steps, G, M)` int32, the image's value of that attribute.
    """

    images: np.ndarray
    attributes: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        """Return the number of steps."""
        return len(self.images)


class LabelIndex:
    """Training labels arranged for sampling: attribute -> value -> images.

    Values with fewer than two images are left out, since they give no positive pair.

    Args:
        labels: `(n, 3)` integers: image index, attribute index, value index.
        attributes: names of the attributes, in index order.
        partial: leave out attributes that cannot form triplets, as long as one can.

    Attributes:
        names: of the attributes, in index order.
        sampled: indices of the attributes that triplets are drawn from.

    Raises:
        SamplingError: an attribute has fewer than two values with two images each.
    """

    def __init__(
        self, labels: np.ndarray, attributes: tuple[str, ...], *, partial: bool = False
    ) -> None:
        self.names = attributes
        self.members: list[dict[int, np.ndarray]] = []
        self.several_values: list[bool] = []  # whether some image holds several of the attribute
        self.sampled: list[int] = []
        for attribute, name in enumerate(attributes):
            groups = images_by_value(labels, attribute)
            usable = {value: images for value, images in groups.items() if len(images) >= 2}
            if len(usable) < 2 and partial:
                self.members.append({})
                self.several_values.append(False)
                continue
            if len(usable) < 2:
                raise SamplingError(
                    f"attribute {name!r} needs at least two values with at least two training "
                    f"images each, to form triplets; got {len(usable)} such values in "
                    "label_train.txt; add labels, or leave it out (a catalogue: --attributes)"
                )
            self.members.append(usable)
            held = np.concatenate(list(usable.values()))
            self.several_values.append(len(np.unique(held)) < len(held))
            self.sampled.append(attribute)
        if not self.sampled:
            raise SamplingError(
                "no attribute has two values with at least two training images each, to form "
                "triplets; use more images: train_images"
            )

    def pools(self, attribute: int, values: Sequence[int]) -> list[np.ndarray]:
        """Return, for each of some values, the images that hold none of the others."""
        members = self.members[attribute]
        if not self.several_values[attribute]:
            return [members[value] for value in values]
        held = np.concatenate([members[value] for value in set(values)])
        images, counts = np.unique(held, return_counts=True)
        return [np.setdiff1d(members[value], images[counts > 1]) for value in values]


def choose_images(labels: np.ndarray, count: int, *, seed: int) -> np.ndarray:
    """Choose some of the labelled images, as if only these had been labelled.

    Images come in a random order. First, for each attribute, the two values whose second image
    comes earliest contribute their first two images, so that the attribute can form triplets; then
    all others follow. With the same seed, a larger choice holds every smaller one.

    Args:
        labels: `(n, 3)` integers: image index, attribute index, value index.
        count: how many images to choose; all, if there are fewer. With fewer than four for each
            attribute, the last attributes may stay without triplets.
        seed: of the order.

    Returns:
        Image indices, ascending.
    """
    order = np.random.default_rng(seed).permutation(np.unique(labels[:, 0]))
    place = dict(zip(order.tolist(), range(len(order)), strict=True))
    first: list[int] = []
    for attribute in np.unique(labels[:, 1]):
        groups = [
            sorted(images.tolist(), key=place.__getitem__)[:2]
            for images in images_by_value(labels, attribute).values()
            if len(images) >= 2
        ]
        groups.sort(key=lambda pair: place[pair[1]])
        first += [image for pair in groups[:2] for image in pair]
    chosen = list(dict.fromkeys([*first, *order.tolist()]))[:count]
    return np.sort(np.array(chosen, np.int64))


def random_triplets(index: LabelIndex, *, steps: int, triplets: int, seed: int, epoch: int) -> Plan:
    """Plan an epoch of random triplets.

    An attribute is drawn uniformly, then two distinct values of it uniformly; anchor and positive
    are different images of the first value, the negative is an image of the second. An image that
    holds both values is left out; values that then have too few images are drawn anew.

    Args:
        index: the training labels.
        steps: steps of the epoch.
        triplets: triplets (groups) per step.
        seed: the run's seed.
        epoch: 0-based; every epoch has fresh triplets.

    Returns:
        A plan with `M = 3`: anchor, positive, negative. The negative's value differs.

    Raises:
        SamplingError: an attribute's values are almost never held by different images.

    Source: Dong et al., IEEE TIP 2021 (arXiv 2104.02429), training triplets as released.
    """
    rng = np.random.default_rng([seed, epoch])
    plan = _empty_plan(steps, triplets, 3)
    for position in np.ndindex(steps, triplets):
        attribute = index.sampled[rng.integers(len(index.sampled))]
        draw = partial(_two_distinct, rng)
        (first, second), (positives, negatives) = _draw_values(index, attribute, draw, fewest=2)
        anchor, positive = (positives[i] for i in _two_distinct(rng, len(positives)))
        negative = negatives[rng.integers(len(negatives))]
        plan.images[position] = anchor, positive, negative
        plan.attributes[position] = attribute
        plan.values[position] = first, first, second
    return plan


def batch_all(
    index: LabelIndex,
    *,
    steps: int,
    attributes: int,
    values: int,
    images: int,
    seed: int,
    epoch: int,
) -> Plan:
    """Plan an epoch of groups whose valid triplets are all used.

    A step draws distinct attributes uniformly; each forms a group of `values` distinct values
    drawn uniformly and `images` distinct images of each. Where an attribute has fewer values, or
    a value fewer images, than asked for, the draw starts over for the rest of the group, so that
    the group's size stays fixed; repeated images are then possible. An image that holds two of the
    drawn values is left out; values that then have no image are drawn anew.

    Args:
        index: the training labels.
        steps: steps of the epoch.
        attributes: attributes (groups) per step; at most the number of attributes.
        values: values per attribute.
        images: images per value.
        seed: the run's seed.
        epoch: 0-based.

    Returns:
        A plan with `G = attributes` and `M = values * images`.

    Raises:
        SamplingError: an attribute's values are almost never held by different images.
    """
    rng = np.random.default_rng([seed, epoch])
    groups = min(attributes, len(index.sampled))
    plan = _empty_plan(steps, groups, values * images)
    for step in range(steps):
        for group, at in enumerate(_cycled(rng, len(index.sampled), groups)):
            attribute = index.sampled[at]
            draw = partial(_cycled, rng, count=values)
            chosen, pools = _draw_values(index, attribute, draw, fewest=1)
            drawn = [pool[_cycled(rng, len(pool), images)] for pool in pools]
            plan.images[step, group] = np.concatenate(drawn)
            plan.attributes[step, group] = attribute
            plan.values[step, group] = np.repeat(chosen, images)
    return plan


def _empty_plan(steps: int, groups: int, size: int) -> Plan:
    return Plan(*(np.zeros((steps, groups, size), np.int32) for _ in range(3)))


def _draw_values(
    index: LabelIndex, attribute: int, draw: Callable[[int], Sequence[int]], *, fewest: int
) -> tuple[list[int], list[np.ndarray]]:
    """Draw values until every one has `fewest` images that hold none of the others.

    Every value has two images, so where no image holds several values the first draw stands.
    """
    values, chosen = list(index.members[attribute]), []
    for _ in range(_TRIES):
        chosen = [values[at] for at in draw(len(values))]
        pools = index.pools(attribute, chosen)
        if min(len(pool) for pool in pools) >= fewest:
            return chosen, pools
    several = len(set(chosen)) > 2  # of two, none can be spared
    remedy = "lower values_per_attribute" if several else "leave it out (a catalogue: --attributes)"
    raise SamplingError(
        f"attribute {index.names[attribute]!r} needs values that different images hold; got none "
        f"in {_TRIES} draws; correct label_train.txt, or {remedy}"
    )


def _two_distinct(rng: np.random.Generator, population: int) -> tuple[int, int]:
    first = int(rng.integers(population))
    return first, (first + 1 + int(rng.integers(population - 1))) % population


def _cycled(rng: np.random.Generator, population: int, count: int) -> np.ndarray:
    """Draw without replacement, starting over whenever everything has been drawn once."""
    rounds = [rng.permutation(population) for _ in range(-(-count // population))]
    return np.concatenate(rounds)[:count]


def listed_triplets(
    triplets: np.ndarray, *, steps: int, triplets_per_step: int, seed: int, epoch: int
) -> Plan:
    """Plan an epoch of listed triplets, in random order; the list starts over when it ends.

    Args:
        triplets: `(T, 4)` integers: attribute, anchor, positive, negative.
        steps: steps of the epoch.
        triplets_per_step: triplets (groups) per step.
        seed: the run's seed.
        epoch: 0-based; every epoch has an order of its own.

    Returns:
        A plan with `M = 3`: anchor, positive, negative. Lists have no values: those of the plan
        only say that the negative's differs.

    Raises:
        SamplingError: the list is empty.

    Source: Veit et al., CVPR 2017 (Conditional Similarity Networks), triplets of Zappos50k.
    """
    if not len(triplets):
        raise SamplingError(
            "training needs at least one listed triplet; got none in triplets_train.txt; add some"
        )
    rng = np.random.default_rng([seed, epoch])
    wanted = steps * triplets_per_step
    rounds = [rng.permutation(len(triplets)) for _ in range(-(-wanted // len(triplets)))]
    chosen = triplets[np.concatenate(rounds)[:wanted]].astype(np.int32)
    shape = (steps, triplets_per_step, 3)
    return Plan(
        images=chosen[:, 1:].reshape(shape),
        attributes=np.repeat(chosen[:, :1], 3, axis=1).reshape(shape),
        values=np.broadcast_to(np.array([0, 0, 1], np.int32), shape).copy(),
    )
