"""Triplet prediction and the sweep of the fusion weight, against loops and by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asen_study.evaluation import fusion_sweep, triplet_rows
from asen_tf.data import AnnotationError, AttributeTable, Split
from asen_tf.evaluation import average_precision
from asen_tf.evaluation.intervals import wilson_interval
from asen_tf.evaluation.retrieval import PairEmbeddings, validation_map
from asen_tf.evaluation.triplets import held_out_triplets, triplet_accuracy
from asen_tf.models import fuse

TABLE = AttributeTable(("length", "neck", "lone"), (3, 3, 2))


def split(images: int = 30, *, extra: list[tuple[int, int, int]] = ()) -> Split:
    """Return a split of images with values in turn; attribute `lone` has one value only."""
    rows = [(i, 0, i % 3) for i in range(images)] + [(i, 1, i // 2 % 3) for i in range(images)]
    rows += [(i, 2, 0) for i in range(images)] + list(extra)
    labels = np.array(sorted(set(rows)), np.int64)
    queries = labels[::5]
    candidates = np.array([row for row in labels if tuple(row) not in set(map(tuple, queries))])
    files = tuple(f"{i}.png" for i in range(images))
    return Split(Path("."), "Tiny", "valid", TABLE, files, labels, queries, candidates, ())


def embedded(of: Split, seed: int = 0, dimensions: int = 6) -> PairEmbeddings:
    pairs = np.unique(of.labels[:, :2], axis=0)
    rng = np.random.default_rng(seed)
    arrays = {
        name: rng.normal(size=(len(pairs), dimensions)).astype(np.float32)
        for name in ("global", "local")
    }
    return PairEmbeddings(pairs, arrays)


def cosine(left: np.ndarray, right: np.ndarray) -> float:
    return float(left @ right / np.sqrt((left @ left) * (right @ right)))


# === Triplets ===


def test_triplets_are_what_they_are_called() -> None:
    both = [(0, 0, 1), (1, 0, 2)]  # images with two values of one attribute
    of = split(extra=both)
    triplets = held_out_triplets(of, per_attribute=300)
    holds = {tuple(row) for row in of.labels.tolist()}
    assert set(triplets[:, 0]) == {0, 1}  # one value alone gives no triplet
    assert (np.bincount(triplets[:, 0]) == 300).all()
    for attribute, anchor, positive, negative in triplets.tolist():
        assert anchor != positive
        shared = [
            v for v in range(3) if {(anchor, attribute, v), (positive, attribute, v)} <= holds
        ]
        assert any((negative, attribute, value) not in holds for value in shared)


def test_triplets_depend_on_labels_and_seed_alone() -> None:
    first, again = (held_out_triplets(split(), per_attribute=50) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, held_out_triplets(split(), per_attribute=50, seed=1))


def test_accuracy_is_the_share_that_a_loop_counts() -> None:
    of = split()
    pairs = embedded(of)
    rows = triplet_rows(pairs, of, names=("global", "local"), method="m", seed=4)
    found = {(row["embedding"], row["attribute"]): row for row in rows}
    assert list(dict.fromkeys(row["attribute"] for row in rows)) == ["length", "neck", "overall"]
    place = {tuple(pair): at for at, pair in enumerate(pairs.pairs.tolist())}
    right: dict[tuple[str, str], list[bool]] = {}
    for attribute, anchor, positive, negative in held_out_triplets(of).tolist():
        for name in ("global", "local"):
            a, p, n = (
                pairs.arrays[name][place[image, attribute]]
                for image in (anchor, positive, negative)
            )
            for key in (TABLE.names[attribute], "overall"):
                right.setdefault((name, key), []).append(cosine(a, p) > cosine(a, n))
    for key, answers in right.items():
        assert found[key]["accuracy"] == pytest.approx(100 * np.mean(answers))
        assert found[key]["triplets"] == len(answers)
        assert found[key]["ci_low"] < found[key]["accuracy"] < found[key]["ci_high"]
        assert (found[key]["method"], found[key]["seed"]) == ("m", 4)


def test_a_perfect_space_is_always_right_and_a_tie_is_wrong() -> None:
    of = split()
    pairs = np.unique(of.labels[:, :2], axis=0)
    values = {(i, a): v for i, a, v in of.labels.tolist()}
    perfect = np.eye(9)[[3 * a + values[i, a] for i, a in pairs.tolist()]]
    equal = np.ones((len(pairs), 4))
    for vectors, share in ((perfect, 100.0), (equal, 0.0)):
        stored = PairEmbeddings(pairs, {"global": vectors.astype(np.float32)})
        rows = triplet_rows(stored, of, names=("global",), method="m", seed=0)
        assert {row["accuracy"] for row in rows} == {share}


def test_a_random_space_is_right_half_of_the_time() -> None:
    of = split(images=300)
    rows = triplet_rows(embedded(of), of, names=("global",), method="m", seed=0)
    assert rows[-1]["accuracy"] == pytest.approx(50.0, abs=4.0)


def test_labels_without_triplets_give_no_rows() -> None:
    of = split(images=1)
    assert held_out_triplets(of).shape == (0, 4)
    assert triplet_rows(embedded(of), of, names=("global",), method="m", seed=0) == []
    with pytest.raises(AnnotationError, match="valid split needs a triplet .*; add labels"):
        triplet_accuracy(embedded(of), of, "global")


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [
        (1, 2, 0.0945, 0.9055),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (50, 100, 0.4038, 0.5962),
    ],
)
def test_wilsons_interval_by_hand(right: int, total: int, low: float, high: float) -> None:
    assert wilson_interval(right, total) == pytest.approx((low, high), abs=1e-4)


# === Fusion ===


def naive_map(pairs: PairEmbeddings, of: Split, weight: float) -> float:
    place = {tuple(pair): at for at, pair in enumerate(pairs.pairs.tolist())}
    precisions = []
    for image, attribute, value in of.queries.tolist():
        candidates = of.candidates[of.candidates[:, 1] == attribute].tolist()

        def similarity(row, image=image, attribute=attribute) -> float:
            at, other = place[image, attribute], place[row[0], attribute]
            g, l_ = (pairs.arrays[name] for name in ("global", "local"))
            return weight * cosine(g[at], g[other]) + (1 - weight) * cosine(l_[at], l_[other])

        ranked = sorted(candidates, key=similarity, reverse=True)
        precisions.append(average_precision([row[2] == value for row in ranked]))
    return 100.0 * float(np.mean(precisions))


def test_the_sweep_is_a_weighted_mean_of_cosines() -> None:
    of = split()
    pairs = embedded(of)
    rows = fusion_sweep(pairs, of)
    assert [row["weight"] for row in rows] == pytest.approx(np.arange(11) / 10)
    for row in rows:
        assert row["map"] == pytest.approx(naive_map(pairs, of, row["weight"]), abs=1e-4)
    assert len({round(row["map"], 3) for row in rows}) > 3


def test_the_ends_of_the_sweep_are_the_branches_and_its_middle_the_fused_embedding() -> None:
    of = split()
    pairs = embedded(of)
    swept = {row["weight"]: row["map"] for row in fusion_sweep(pairs, of, weights=(0.0, 0.6, 1.0))}
    assert swept[0.0] == pytest.approx(validation_map(pairs, of, "local"), abs=1e-6)
    assert swept[1.0] == pytest.approx(validation_map(pairs, of, "global"), abs=1e-6)
    fused = fuse(pairs.arrays["global"], pairs.arrays["local"], 0.6).numpy()
    alone = PairEmbeddings(pairs.pairs, {"fused": fused})
    assert swept[0.6] == pytest.approx(validation_map(alone, of, "fused"), abs=1e-6)
