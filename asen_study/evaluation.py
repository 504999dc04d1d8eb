"""Measuring a model: on the validation split during training, on the test split afterwards.

`evaluate` writes what a run keeps of it. The formulas are in `asen_tf.evaluation`; here they become
the rows of a run's tables. For datasets whose images hold several values of an attribute there is a
second MAP beside the papers': every image counts once, and is relevant when it shares any value
with the query image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf

from asen_tf.config import ExperimentConfig
from asen_tf.data import AnnotationError, Split
from asen_tf.data.dataset import Dataset, SplitImages
from asen_tf.evaluation.intervals import bootstrap_interval, macro_interval, wilson_interval
from asen_tf.evaluation.localisation import attention_entropy, pointing_and_overlap, region_side
from asen_tf.evaluation.metrics import (
    queries_and_candidates,
    random_shared_value_precisions,
    random_split_precisions,
    summarise,
)
from asen_tf.evaluation.ranking import normalise, shared_value_precisions
from asen_tf.evaluation.retrieval import (
    PairEmbeddings,
    embed_labelled_pairs,
    query_metrics,
    validation_map,
)
from asen_tf.evaluation.triplets import (
    no_triplets,
    ranked_correctly,
    triplet_accuracy,
    triplets_of,
)
from asen_tf.files import write_json
from asen_tf.models import SimilarityModel, fuse

WEIGHTS = tuple(step / 10 for step in range(11))  # of the global branch, in the fusion sweep


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


def check_content(split: Split) -> None:
    """Raise AnnotationError if a split has neither queries nor listed triplets.

    Labels of a training split are not checked: what they must give depends on the sampler.
    """
    if split.triplets is not None:
        if not len(split.triplets):
            raise no_triplets(split)
    elif split.name != "train" and not len(split.queries):
        raise AnnotationError(
            f"the {split.name} split needs at least one query, or nothing can be measured",
            path=split.root / f"query_{split.name}.txt",
            got="none",
            remedy="add images to the split; in a catalogue's CSV, the column `split` says "
            "which images are train, valid and test",
        )


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

    Raises:
        asen_tf.data.AnnotationError: see `check_content`.
    """
    images = dataset.split("test")
    split = images.split
    check_content(split)
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
        check_content(valid.split)
        sweep = fusion_sweep(
            embed_labelled_pairs(model, valid, batch=config.embed_batch), valid.split
        )
        pd.DataFrame([{**named, **row} for row in sweep]).to_csv(output / "fusion.csv", index=False)
    if "boxes" in embedded.arrays and (truths := dataset.true_boxes("test")):
        scores = pointing_and_overlap(
            pairs=embedded.pairs,
            attention=embedded.arrays["attention"],
            boxes=embedded.arrays["boxes"],
            map_size=model.global_size,
            regions=truths,
            attributes=dataset.attributes.names,
            extent=model.map_extent,
        )
        table = localisation_rows(scores, **named)
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
    random = random_precisions(split)
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


# === Rows of tables ===


def map_rows(
    average_precision: Mapping[str, np.ndarray],
    *,
    method: str,
    embedding: str,
    seed: int,
    resamples: int,
    intervals: bool = True,
) -> list[dict[str, Any]]:
    """Turn per-query average precisions into rows of `map.csv`.

    Args:
        average_precision: `(Q,)` fractions by attribute.
        method: the method's name.
        embedding: "global", "local", "fused", or "-" for random.
        seed: the run's seed; it also seeds the bootstrap.
        resamples: bootstrap resamples over queries.
        intervals: False for exact expectations, whose interval is the value itself.

    Returns:
        One row per attribute, then `overall` (weighted by queries) and `macro` (unweighted):
        `method, embedding, seed, attribute, map, ci_low, ci_high, queries`; percent.
    """
    everything = np.concatenate(list(average_precision.values()))
    rows = []
    for name, value in summarise(average_precision).items():
        values = average_precision.get(name, everything)
        low = high = value
        if intervals and name == "macro":
            low, high = macro_interval(
                list(average_precision.values()), resamples=resamples, seed=seed
            )
        elif intervals:
            low, high = bootstrap_interval(values, resamples=resamples, seed=seed)
        rows.append(
            {
                "method": method,
                "embedding": embedding,
                "seed": seed,
                "attribute": name,
                "map": 100.0 * value,
                "ci_low": 100.0 * low,
                "ci_high": 100.0 * high,
                "queries": len(values),
            }
        )
    return rows


def triplet_rows(
    embedded: PairEmbeddings, split: Split, *, names: Sequence[str], method: str, seed: int
) -> list[dict[str, Any]]:
    """Turn the shares of triplets that are ranked correctly into rows of `triplets.csv`.

    Args:
        embedded: embeddings of the split's pairs.
        split: the labelled images, or listed triplets.
        names: the embeddings to measure.
        method: the method's name.
        seed: the run's seed.

    Returns:
        One row per embedding and attribute, then `overall` over all triplets: `method, embedding,
        seed, attribute, accuracy, ci_low, ci_high, triplets`; percent, with the 95% score interval
        of Wilson (1927) over triplets. Empty where there are no triplets.
    """
    rows, triplets = [], triplets_of(split)
    for name in names:
        for attribute, right in ranked_correctly(embedded, triplets, split, name).items():
            low, high = wilson_interval(int(right.sum()), len(right))
            rows.append(
                {
                    "method": method,
                    "embedding": name,
                    "seed": seed,
                    "attribute": attribute,
                    "accuracy": 100.0 * float(right.mean()),
                    "ci_low": 100.0 * low,
                    "ci_high": 100.0 * high,
                    "triplets": len(right),
                }
            )
    return rows


def localisation_rows(
    scores: Mapping[str, np.ndarray], *, method: str, seed: int
) -> list[dict[str, Any]]:
    """Turn the scores of `pointing_and_overlap` into rows of `localisation.csv`.

    Args:
        scores: `(n, 4)` by attribute, then `overall`.
        method: the method's name.
        seed: the run's seed.

    Returns:
        One row per entry, percent:
        `method, seed, attribute, pointing, iou, centre_pointing, centre_iou`.
    """
    columns = ("pointing", "iou", "centre_pointing", "centre_iou")
    return [
        {
            "method": method,
            "seed": seed,
            "attribute": name,
            **dict(zip(columns, (100.0 * part.mean(axis=0)).tolist(), strict=True)),
        }
        for name, part in scores.items()
    ]


def fusion_sweep(
    embedded: PairEmbeddings, split: Split, *, weights: Sequence[float] = WEIGHTS
) -> list[dict[str, float]]:
    """Measure the fused embedding at several weights of the global branch.

    Args:
        embedded: embeddings of the split's pairs, including `global` and `local`.
        split: queries and candidates; the validation split, where weights are chosen.
        weights: `b`, from 0 (local alone) to 1 (global alone).

    Returns:
        One row per weight: `weight`, and `map` over all queries in percent.
    """
    parts = [tf.constant(embedded.arrays[name]) for name in ("global", "local")]
    rows = []
    for weight in weights:
        fused = PairEmbeddings(embedded.pairs, {"fused": fuse(*parts, weight).numpy()})
        rows.append({"weight": weight, "map": validation_map(fused, split, "fused")})
    return rows


def random_precisions(split: Split) -> dict[str, np.ndarray]:
    """Return the exact expectation of each query's average precision under a random ranking.

    By attribute name, as `query_metrics`: attributes without queries are absent.
    """
    return {name: each for name, each in random_split_precisions(split).items() if len(each)}


# === Any shared value ===


def has_several_values(split: Split) -> bool:
    """Return whether some image of a split holds more than one value of an attribute."""
    return len(np.unique(split.labels[:, :2], axis=0)) < len(np.unique(split.labels, axis=0))


def shared_value_metrics(
    embedded: PairEmbeddings, split: Split, embedding: str
) -> dict[str, np.ndarray]:
    """Rank the candidate images of each attribute for each of its query images, by cosine.

    Args:
        embedded: embeddings of the split's pairs.
        split: the images of its query and candidate rows; an image holds the values of both.
        embedding: which embedding to rank by.

    Returns:
        `(Q,)` average precisions, fractions, by attribute; each query image counts once.
    """
    vectors = normalise(embedded.arrays[embedding])

    def vectors_of(images: np.ndarray, attribute: int) -> np.ndarray:
        return vectors[embedded.rows(np.stack([images, np.full_like(images, attribute)], axis=1))]

    return {
        name: shared_value_precisions(
            query_embeddings=vectors_of(images["query_images"], attribute),
            candidate_embeddings=vectors_of(images["candidate_images"], attribute),
            **images,
        )
        for attribute, name, images in _images_with_values(split)
    }


def random_shared_value_metrics(split: Split) -> dict[str, np.ndarray]:
    """Return the exact expectations of `shared_value_metrics` under a random ranking."""
    return {
        name: random_shared_value_precisions(**images)
        for _, name, images in _images_with_values(split)
    }


def _images_with_values(split: Split) -> Iterator[tuple[int, str, dict[str, np.ndarray]]]:
    """Yield index, name, images and their values of each attribute that has queries."""
    for index, (name, *both) in enumerate(queries_and_candidates(split)):
        queries, candidates = (np.unique(rows[:, 0]) for rows in both)
        if len(queries):
            holds = split.holds(index)
            yield (
                index,
                name,
                {
                    "query_images": queries,
                    "query_holds": holds[queries],
                    "candidate_images": candidates,
                    "candidate_holds": holds[candidates],
                },
            )
