"""Measuring a model: on the validation split during training, on the test split afterwards.

Also by triplets: is an image with the same value closer than one with another value?
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from asen_tf.config import ExperimentConfig
from asen_tf.data import Split, images_by_value
from asen_tf.data.dataset import Dataset, SplitImages
from asen_tf.evaluation.intervals import wilson_interval
from asen_tf.evaluation.localisation import attention_entropy, localisation_rows, region_side
from asen_tf.evaluation.metrics import summarise
from asen_tf.evaluation.ranking import normalise
from asen_tf.evaluation.retrieval import (
    PairEmbeddings,
    embed_labelled_pairs,
    fusion_sweep,
    has_several_values,
    map_rows,
    query_metrics,
    random_metrics,
    random_shared_value_metrics,
    shared_value_metrics,
    validation_map,
)
from asen_tf.files import write_json
from asen_tf.models import SimilarityModel

_TRIES = 20  # draws per triplet wanted, before giving up on the rest


def validate(images: SplitImages, *, batch: int) -> Callable[[SimilarityModel], dict[str, float]]:
    """Return a function that measures a model on the validation split.

    The function returns, in percent over all queries, `val_map_<embedding>` for each embedding of
    the model and `val_map` for the last of them; for listed triplets it is
    `val_accuracy_<embedding>` and `val_accuracy`, the share that is ranked correctly. For methods
    with attention it adds `val_region_side` (mean side of the region, as a share of the frame) and
    `val_entropy` (mean entropy of the map, as a share of the maximum): as long as these are close
    to 1, the local branch sees nothing that the global one does not.

    Args:
        images: the validation split, with its images.
        batch: images per step.
    """

    def measure(model: SimilarityModel) -> dict[str, float]:
        embedded = embed_labelled_pairs(model, images, batch=batch)
        score = "val_map" if images.split.triplets is None else "val_accuracy"
        measured = {
            f"{score}_{name}": validation_map(embedded, images.split, name)
            if score == "val_map"
            else triplet_accuracy(embedded, images.split, name)
            for name in model.embedding_names
        }
        measured[score] = measured[f"{score}_{model.embedding_names[-1]}"]
        return {**measured, **_attention(embedded, model.global_size, "val_")}

    return measure


def evaluate(
    model: SimilarityModel,
    config: ExperimentConfig,
    dataset: Dataset,
    output: Path,
) -> None:
    """Evaluate a trained model on the test split and write the results.

    Always written: `metrics.json` and `test_pairs.npz` (the embeddings). Where they apply:
    `map.csv` and `queries.npz` (with queries), `map_any_value.csv` (images with several values),
    `triplets.csv`, `fusion.csv` (with both branches), `localisation.csv` (with true boxes).

    Args:
        model: the trained model.
        config: the run's settings.
        dataset: images and labels.
        output: the directory to write to.
    """
    images = dataset.split("test")
    split = images.split
    embedded = embed_labelled_pairs(model, images, batch=config.embed_batch, progress=True)
    metrics: dict[str, Any] = {}
    if split.triplets is None:
        metrics |= _evaluate_retrieval(embedded, config, split, model.embedding_names, output)
    metrics["attention"] = _attention(embedded, model.global_size, "")
    write_json(output / "metrics.json", metrics)
    np.savez(output / "test_pairs.npz", pairs=embedded.pairs, **embedded.arrays)
    named = {"method": config.method, "seed": config.seed}
    asked = triplet_rows(embedded, split, names=model.embedding_names, **named)
    if asked:
        pd.DataFrame(asked).to_csv(output / "triplets.csv", index=False)
    if "fused" in model.embedding_names and split.triplets is None:
        valid = dataset.split("valid")
        sweep = fusion_sweep(
            embed_labelled_pairs(model, valid, batch=config.embed_batch), valid.split
        )
        pd.DataFrame([{**named, **row} for row in sweep]).to_csv(output / "fusion.csv", index=False)
    if "boxes" in embedded.arrays and (truths := dataset.true_boxes("test")):
        table = localisation_rows(
            pairs=embedded.pairs,
            attention=embedded.arrays["attention"],
            boxes=embedded.arrays["boxes"],
            map_size=model.global_size,
            regions=truths,
            attributes=dataset.attributes.names,
            extent=model.map_extent,
            **named,
        )
        pd.DataFrame(table).to_csv(output / "localisation.csv", index=False)


def _evaluate_retrieval(
    embedded: PairEmbeddings,
    config: ExperimentConfig,
    split: Split,
    names: Sequence[str],
    output: Path,
) -> dict[str, Any]:
    """Write `map.csv`, `queries.npz` and, if it applies, `map_any_value.csv`; return metrics."""
    shared = {"seed": config.seed, "resamples": config.bootstrap_resamples}
    exact = {"method": "random", "embedding": "-", "intervals": False, **shared}
    random = random_metrics(split)["average_precision"]
    rows = map_rows(random, **exact)
    queries = {f"random/{attribute}": values for attribute, values in random.items()}
    metrics: dict[str, Any] = {}
    for name in names:
        measured = query_metrics(embedded, split, name)
        rows += map_rows(
            measured["average_precision"], method=config.method, embedding=name, **shared
        )
        metrics[name] = {metric: summarise(values) for metric, values in measured.items()}
        for attribute, values in measured["average_precision"].items():
            queries[f"{name}/{attribute}"] = values
    pd.DataFrame(rows).to_csv(output / "map.csv", index=False)
    np.savez(output / "queries.npz", **queries)
    if has_several_values(split):
        rows = map_rows(random_shared_value_metrics(split), **exact)
        for name in names:
            found = shared_value_metrics(embedded, split, name)
            rows += map_rows(found, method=config.method, embedding=name, **shared)
        pd.DataFrame(rows).to_csv(output / "map_any_value.csv", index=False)
    return metrics


def _attention(embedded: PairEmbeddings, map_size: int, prefix: str) -> Mapping[str, float]:
    """Return the region's mean side and the map's mean entropy; empty without attention."""
    if "boxes" not in embedded.arrays:
        return {}
    return {
        f"{prefix}region_side": float(region_side(embedded.arrays["boxes"], map_size).mean()),
        f"{prefix}entropy": float(attention_entropy(embedded.arrays["attention"]).mean()),
    }


# === Triplet prediction ===


def held_out_triplets(split: Split, *, per_attribute: int = 2000, seed: int = 0) -> np.ndarray:
    """Draw triplets from a split's labels: the same for every method.

    Two distinct values of an attribute are drawn uniformly. Anchor and positive are different
    images with the first value; the negative is an image with the second value that does not also
    have the first.

    Args:
        split: the labelled images.
        per_attribute: triplets of each attribute.
        seed: of the draw; independent of any run's seed.

    Returns:
        `(T, 4)` int64: attribute, anchor, positive, negative. Attributes without any possible
        triplet are absent; those where triplets are rare may have fewer.
    """
    found: list[tuple[int, int, int, int]] = []
    for attribute in range(len(split.attributes)):
        rng = np.random.default_rng([seed, attribute])
        held = images_by_value(split.labels, attribute)
        values = list(held)
        if len(values) < 2 or all(len(images) < 2 for images in held.values()):
            continue
        enough = len(found) + per_attribute
        for _ in range(_TRIES * per_attribute):
            first, second = (values[at] for at in rng.permutation(len(values))[:2])
            if len(held[first]) < 2:
                continue
            anchor, positive = held[first][rng.permutation(len(held[first]))[:2]]
            negative = held[second][rng.integers(len(held[second]))]
            if negative in held[first]:
                continue
            found.append((attribute, int(anchor), int(positive), int(negative)))
            if len(found) == enough:
                break
    return np.array(found, np.int64).reshape(-1, 4)


def triplet_rows(
    embedded: PairEmbeddings,
    split: Split,
    *,
    names: Sequence[str],
    method: str,
    seed: int,
    per_attribute: int = 2000,
) -> list[dict[str, Any]]:
    """Measure the share of triplets with cos(anchor, positive) > cos(anchor, negative).

    The triplets are the ones that the dataset lists, or else are drawn from its labels.

    Args:
        embedded: embeddings of the split's pairs.
        split: the labelled images, or listed triplets.
        names: the embeddings to measure.
        method: the method's name.
        seed: the run's seed.
        per_attribute: triplets of each attribute, where they are drawn.

    Returns:
        One row per embedding and attribute, then `overall` over all triplets: `method, embedding,
        seed, attribute, accuracy, ci_low, ci_high, triplets`; percent, with the 95% score interval
        of Wilson (1927) over triplets. A tie is wrong. Empty where there are no triplets.

    References:
        Ma et al., AAAI 2020 (arXiv 2002.02814), triplet prediction.
    """
    asked = split.triplets
    if asked is None:
        asked = held_out_triplets(split, per_attribute=per_attribute)
    rows = []
    for name in names if len(asked) else ():
        vectors = normalise(embedded.arrays[name])
        anchor, positive, negative = (
            vectors[embedded.rows(asked[:, [column, 0]])] for column in (1, 2, 3)
        )
        near, far = ((anchor * other).sum(axis=1) for other in (positive, negative))
        right = near > far
        parts = {
            split.attributes.names[attribute]: right[asked[:, 0] == attribute]
            for attribute in np.unique(asked[:, 0])
        }
        for attribute, answers in {**parts, "overall": right}.items():
            low, high = wilson_interval(int(answers.sum()), len(answers))
            rows.append(
                {
                    "method": method,
                    "embedding": name,
                    "seed": seed,
                    "attribute": attribute,
                    "accuracy": 100.0 * float(answers.mean()),
                    "ci_low": 100.0 * low,
                    "ci_high": 100.0 * high,
                    "triplets": len(answers),
                }
            )
    return rows


def triplet_accuracy(embedded: PairEmbeddings, split: Split, name: str) -> float:
    """Return the percentage of a split's triplets that one embedding ranks correctly."""
    return triplet_rows(embedded, split, names=[name], method="", seed=0)[-1]["accuracy"]
