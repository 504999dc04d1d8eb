"""Embeddings of a split's pairs, and what retrieval and the report do with them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from small_model import NAMES, pictures, small_model

from asen_study.evaluation import evaluate, map_rows, random_precisions, validate
from asen_tf.data import AttributeTable, Split
from asen_tf.data.dataset import SplitImages
from asen_tf.evaluation.intervals import bootstrap_interval, macro_interval
from asen_tf.evaluation.localisation import attention_entropy
from asen_tf.evaluation.retrieval import (
    PairEmbeddings,
    embed_labelled_pairs,
    query_metrics,
    validation_map,
)
from asen_tf.presets import smoke

QUERIES = [[4, 2, 1], [0, 0, 0], [4, 0, 1], [2, 0, 0]]  # image, attribute, value: not sorted
CANDIDATES = [[1, 0, 0], [3, 0, 1], [4, 2, 1], [6, 0, 0], [1, 2, 0], [6, 2, 1]]
TABLE = AttributeTable(NAMES, (2, 2, 2))


class Pictures:
    """Images in memory; keeps which ones were asked for."""

    def __init__(self) -> None:
        self.array, self.side, self.asked = pictures(7), 64, []

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        self.asked.append(np.asarray(indices).tolist())
        return self.array[indices]


def split_images(name: str = "test") -> SplitImages:
    rows = np.array(QUERIES), np.array(CANDIDATES)
    labels, files = np.unique(np.concatenate(rows), axis=0), tuple(f"{i}.jpg" for i in range(7))
    split = Split(Path("."), "Tiny", name, TABLE, files, labels, *rows, ())
    return SplitImages(split, Pictures(), Pictures())


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture(scope="module")
def embedded(model) -> PairEmbeddings:
    return embed_labelled_pairs(model, split_images(), batch=3)


# === Embeddings ===


def test_every_pair_is_embedded_as_it_is_alone(model, embedded: PairEmbeddings) -> None:
    wanted = sorted({(image, attribute) for image, attribute, _ in QUERIES + CANDIDATES})
    assert embedded.pairs.tolist() == [list(pair) for pair in wanted]
    assert set(embedded.arrays) == {"global", "local", "fused", "attention", "boxes"}
    for name in model.embedding_names:
        for (image, attribute), row in zip(wanted, embedded.arrays[name], strict=True):
            alone = model.embed(pictures(7)[[image]], [attribute], embedding=name)[0]
            np.testing.assert_allclose(row, alone, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 4, 5, 100])
def test_the_batch_changes_nothing_and_no_image_is_read_twice(model, embedded, batch: int) -> None:
    images = split_images()
    other = embed_labelled_pairs(model, images, batch=batch)
    np.testing.assert_array_equal(other.pairs, embedded.pairs)
    for name, array in embedded.arrays.items():
        np.testing.assert_allclose(other.arrays[name], array, atol=1e-5, err_msg=name)
    asked = [index for indices in images.sources.asked for index in indices]
    assert asked == [0, 1, 2, 3, 4, 6]  # 5 has no label
    assert max(map(len, images.sources.asked)) <= batch


def test_rows_finds_each_label_and_refuses_others(embedded: PairEmbeddings) -> None:
    places = {tuple(pair): row for row, pair in enumerate(embedded.pairs.tolist())}
    labels = np.array(CANDIDATES[::-1] + QUERIES)
    assert embedded.rows(labels).tolist() == [places[i, a] for i, a, _ in labels.tolist()]
    assert embedded.rows(np.zeros((0, 3), np.int64)).tolist() == []
    # (0, 9) and (3, 0) would share a key if the width came from the pairs alone.
    for stranger in ([0, 1, 0], [5, 0, 0], [6, 3, 0], [0, 9, 0], [99, 0, 0]):
        with pytest.raises(ValueError, match="among the pairs that were embedded"):
            embedded.rows(np.array([QUERIES[0], stranger]))


# === Metrics ===


def naive_metrics(embedded: PairEmbeddings, embedding: str) -> dict[str, dict[str, list[float]]]:
    """One query at a time, from definitions."""
    vectors = {
        tuple(pair): vector.astype(np.float64)
        for pair, vector in zip(embedded.pairs.tolist(), embedded.arrays[embedding], strict=True)
    }
    found: dict[str, dict[str, list[float]]] = {}
    for image, attribute, value in QUERIES:
        query, scored = vectors[image, attribute], []
        for other, of, its in CANDIDATES:
            if of == attribute:
                vector = vectors[other, of]
                cosine = query @ vector / math.sqrt((query @ query) * (vector @ vector))
                scored.append((-cosine, len(scored), its == value))
        hits = [relevant for _, _, relevant in sorted(scored)]
        precisions = [sum(hits[: k + 1]) / (k + 1) for k, hit in enumerate(hits) if hit]
        numbers = {"average_precision": sum(precisions) / max(len(precisions), 1)}
        for k in (1, 5, 10):
            numbers[f"recall@{k}"] = float(any(hits[:k]))
            numbers[f"precision@{k}"] = sum(hits[:k]) / k
        for name, number in numbers.items():
            found.setdefault(name, {}).setdefault(NAMES[attribute], []).append(number)
    return found


@pytest.mark.parametrize("embedding", ["global", "local", "fused"])
def test_metrics_equal_a_loop_over_queries(embedded: PairEmbeddings, embedding: str) -> None:
    split, expected = split_images().split, naive_metrics(embedded, embedding)
    found = query_metrics(embedded, split, embedding)
    assert set(found) == set(expected)
    for metric, by_attribute in expected.items():
        assert list(found[metric]) == ["neckline", "buttons"]  # no query asks for the sleeve
        for attribute, numbers in by_attribute.items():
            np.testing.assert_allclose(found[metric][attribute], numbers, atol=1e-12)
    everything = [n for numbers in expected["average_precision"].values() for n in numbers]
    overall = validation_map(embedded, split, embedding)
    assert overall == pytest.approx(100 * sum(everything) / 4)


def test_chance_is_the_mean_over_all_orders() -> None:
    found = random_precisions(split_images().split)
    # Two relevant of three: hits at ranks 1 and 2, 1 and 3, or 2 and 3.
    two = (1 + (1 + 2 / 3) / 2 + (1 / 2 + 2 / 3) / 2) / 3
    one = (1 + 1 / 2 + 1 / 3) / 3
    np.testing.assert_allclose(found["neckline"], [two, one, two])
    np.testing.assert_allclose(found["buttons"], [two])


# === Tables ===


def test_rows_of_the_table_hold_means_intervals_and_numbers_of_queries() -> None:
    values = {"neckline": np.array([1.0, 0.5, 0.0]), "buttons": np.array([0.25])}
    shared = {"method": "asen_pp", "embedding": "fused", "seed": 3, "resamples": 200}
    rows = {row["attribute"]: row for row in map_rows(values, **shared)}
    assert list(rows) == ["neckline", "buttons", "overall", "macro"]
    assert [row["map"] for row in rows.values()] == pytest.approx([50.0, 25.0, 43.75, 37.5])
    assert [row["queries"] for row in rows.values()] == [3, 1, 4, 4]
    low, high = bootstrap_interval([1.0, 0.5, 0.0, 0.25], resamples=200, seed=3)
    assert (rows["overall"]["ci_low"], rows["overall"]["ci_high"]) == (100 * low, 100 * high)
    low, high = macro_interval([[1.0, 0.5, 0.0], [0.25]], resamples=200, seed=3)
    assert (rows["macro"]["ci_low"], rows["macro"]["ci_high"]) == (100 * low, 100 * high)
    assert math.isnan(rows["buttons"]["ci_low"])  # nothing can be said of one query
    exact = map_rows(values, **shared, intervals=False)
    assert all(row["ci_low"] == row["map"] == row["ci_high"] for row in exact)


def test_validation_measures_every_embedding_and_the_attention(model, embedded) -> None:
    images = split_images("valid")
    measured = validate(images, batch=4)(model)
    for name in ("global", "local", "fused"):
        expected = validation_map(embedded, images.split, name)
        assert measured[f"val_map_{name}"] == pytest.approx(expected)
    assert measured["val_map"] == measured["val_map_fused"]
    boxes = embedded.arrays["boxes"].astype(np.float64)
    side = np.mean([box[2] - box[0] for box in boxes]) / model.global_size
    assert measured["val_region_side"] == pytest.approx(side)
    entropy = attention_entropy(embedded.arrays["attention"]).mean()
    assert measured["val_entropy"] == pytest.approx(entropy, abs=1e-5)


def test_the_files_of_a_run_agree_with_each_other(model, embedded, tmp_path: Path) -> None:
    output = tmp_path / "Tiny"  # both the dataset's folder and the run's
    output.mkdir()
    parts = {"data_dir": tmp_path, "name": "Tiny", "attributes": TABLE, "split": split_images}
    parts["true_boxes"] = lambda name: None
    evaluate(model, smoke().override(seed=7), SimpleNamespace(**parts), output)
    assert not (output / "localisation.csv").exists()  # no true boxes are known
    table = pd.read_csv(output / "map.csv")
    named = table.set_index(["embedding", "attribute"])["map"]
    metrics = json.loads((output / "metrics.json").read_text())
    with np.load(output / "queries.npz") as queries:
        for embedding in ("global", "local", "fused"):
            expected = naive_metrics(embedded, embedding)["average_precision"]
            for attribute, numbers in expected.items():
                np.testing.assert_allclose(queries[f"{embedding}/{attribute}"], numbers)
                assert named[embedding, attribute] == pytest.approx(100 * np.mean(numbers))
                assert metrics[embedding]["average_precision"][attribute] == np.mean(numbers)
    assert set(table.loc[table["method"] == "random", "embedding"]) == {"-"}
    assert set(table["seed"]) == {7} and len(table) == 4 * 4
    with np.load(output / "test_pairs.npz") as stored:
        np.testing.assert_array_equal(stored["pairs"], embedded.pairs)
        np.testing.assert_allclose(stored["fused"], embedded.arrays["fused"], atol=1e-5)
