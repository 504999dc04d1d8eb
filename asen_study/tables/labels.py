"""What labels buy: MAP by the number of labelled images, and empty cells that votes fill."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from asen_study import experiment
from asen_study.matrix import LABELS, LABELS_NEEDED, in_fold, settings
from asen_study.production import open_dataset
from asen_study.runs import Places, Run, select
from asen_study.tables.collecting import TableError, origin
from asen_study.voting import calibrate, vote
from asen_tf.config import ExperimentConfig
from asen_tf.data import Split
from asen_tf.evaluation.intervals import wilson_interval
from asen_tf.evaluation.ranking import normalise
from asen_tf.evaluation.retrieval import embed_labelled_pairs

FEWER = "labels"  # the folder, in the study's, of the runs on fewer images
THRESHOLD = 0.8  # confidence below which a cell stays empty
TAGGED = ("features", "asen_v2")  # rows whose neighbours vote


# === How many labels does one need? ===


def labels_needed(
    config: ExperimentConfig,
    *,
    sizes: Sequence[int],
    seeds: Sequence[int],
    places: Places,
) -> pd.DataFrame:
    """Train on fewer and fewer labelled images, tested on the same ones; finished runs are read.

    Runs on fewer images are kept in the study's folder `labels/`, those on all in the study itself.
    Beside them stands `features`, which needs no labels.

    Args:
        config: the study's settings; for folds see `asen_study.matrix.in_fold`.
        sizes: numbers of training images; those not below the size of the training split are left
            out, and the whole split always comes last.
        seeds: of the choice of images and of the training; folds, if the study has them.
        places: where the data are, and the study.

    Returns:
        `method, seed, train_images, attribute, map, ci_low, ci_high, queries`; MAP on the test
        split in percent; its origin is in `attrs`.
    """
    fewer = replace(places, study=f"{places.study}/{FEWER}")
    tables, runs = [], []
    for seed in seeds:
        fold = in_fold(config, seed)
        available = _labelled_images(fold, places)
        for row in ("features", *LABELS_NEEDED):
            smaller = [size for size in sizes if size < available and row in LABELS_NEEDED]
            for size in (*smaller, 0):
                chosen = settings(row, fold).override(train_images=size)
                run = experiment.run(chosen, fewer if size else places)
                runs.append((run, row))
                scores = run.table("map")
                scores = scores[scores["method"] != "random"].drop(columns="embedding")
                images = 0 if row == "features" else size or available
                tables.append(scores.assign(method=row, train_images=images))
    found = pd.concat(tables, ignore_index=True)
    numbers = ["attribute", "map", "ci_low", "ci_high", "queries"]
    found = found[["method", "seed", "train_images", *numbers]]
    found.attrs["origin"] = origin(runs, config)
    return found


def _labelled_images(config: ExperimentConfig, places: Places) -> int:
    split = open_dataset(config, places).split("train").split
    return len(np.unique(split.labels[:, 0]))


def labels_in_words(needed: pd.DataFrame, filled: pd.DataFrame) -> list[str]:
    """Say what more labels bring, and how many cells a vote fills, a sentence per row.

    Args:
        needed: of `labels_needed`.
        filled: of `tags`.
    """
    macro = needed[needed["attribute"] == "macro"]
    free = macro.loc[macro["train_images"] == 0, "map"].mean()
    said = [f"Features that need no labels have a macro MAP of {free:.1f}."]
    for row, part in macro[macro["train_images"] > 0].groupby("method", sort=False):
        few = part["train_images"].min()
        every = part[part["train_images"] == part.groupby("seed")["train_images"].transform("max")]
        means = part.groupby("train_images")["map"].mean()
        above = means.index[means > free]
        enough = f"above these from {above[0]:g} on" if len(above) else "never above these"
        said.append(
            f"{LABELS[row]}: {means[few]:.1f} with {few:g} labelled images, "
            f"{every['map'].mean():.1f} with all ({every['train_images'].mean():.0f}); {enough}."
        )
    if filled.empty:
        return [*said, "Which cells a vote would fill cannot be said: the models are not here."]
    for line in filled.query("seed == 'all' and attribute == 'overall'").itertuples():
        said.append(
            f"Voting in the space of {LABELS[line.method]}: {line.coverage:.0f}% of the test "
            f"images' cells are filled, {line.accuracy:.1f}% of these rightly; the most frequent "
            f"value everywhere would be right in {line.majority:.1f}%."
        )
    return said


# === The empty cells ===


def tags(config: ExperimentConfig, places: Places) -> pd.DataFrame:
    """Let the nearest labelled training images vote for the values of the test images.

    For each attribute the vote (`asen_study.voting`) is calibrated on the validation split;
    a cell is filled where its confidence reaches `THRESHOLD`.

    Args:
        config: the study's settings.
        places: where the data are, and the study.

    Returns:
        `method, seed, attribute, images`, then percent: `majority` with its interval
        `majority_low, majority_high`: how often the most frequent value of training is right;
        `every`: how often the vote is, if every cell is filled; `coverage`: cells that are
        filled; `accuracy` with `ci_low, ci_high`: how many of these are right, and
        `majority_filled`: how many the most frequent value would have got right there. Wilson's
        95% intervals, none for `overall`, which counts an image once for each attribute. The rows
        of seed "all" count the test images of all seeds together. Its origin is in `attrs`.

        Runs that have lost their model are left out; empty if all have.

    Raises:
        TableError: none of the rows has a finished run.
    """
    selection = select(places.study_dir, config)
    finished = [(run, row) for run, row in selection.named if row in TAGGED]
    chosen = [(run, row) for run, row in finished if run.holds("model.keras")]
    if finished and not chosen:
        return pd.DataFrame()
    if not chosen:
        raise TableError(
            f"{places.study_dir}: filling cells needs a finished run of {' or '.join(TAGGED)}"
        )
    counted = pd.DataFrame(
        line
        for run, row in tqdm(chosen, desc="filling cells", unit="run")
        for line in _counts(run, row, places)
    )
    counted = _with_sums(counted, ["method", "seed"], attribute="overall")
    counted = _with_sums(counted, ["method", "attribute"], seed="all")
    table = pd.DataFrame([_percent(line) for line in counted.to_dict("records")])
    table.attrs["origin"] = origin(chosen, config)
    return table


def _counts(run: Run, row: str, places: Places) -> Iterable[dict[str, Any]]:
    """Count, for each attribute, the test images and how many each way of filling gets right."""
    dataset = open_dataset(run.config, places)
    model = run.load_model()
    splits = {name: dataset.split(name) for name in ("train", "valid", "test")}
    embedded = {
        name: embed_labelled_pairs(model, images, batch=run.config.embed_batch)
        for name, images in splits.items()
    }
    name = model.embedding_names[-1]

    def known(split: Split, attribute: int) -> tuple[np.ndarray, np.ndarray]:
        pairs = embedded[split.name]
        rows = split.labels_of(attribute)
        return normalise(pairs.arrays[name][pairs.rows(rows)]), rows[:, 2]

    for attribute, title in enumerate(dataset.attributes.names):
        vectors, values = known(splits["train"].split, attribute)
        checked, truth = known(splits["valid"].split, attribute)
        asked, right_values = known(splits["test"].split, attribute)
        if not (len(values) and len(truth) and len(right_values)):
            continue
        voters = {
            "labelled": vectors,
            "values": values,
            "count": dataset.attributes.sizes[attribute],
        }
        curve = calibrate(checked, truth, **voters)
        votes = vote(asked, **voters, neighbours=curve.neighbours)
        filled = curve.confidence(votes.shares) >= THRESHOLD
        right, often = votes.values == right_values, np.bincount(values).argmax() == right_values
        yield {
            "method": row,
            "seed": run.settings["seed"],
            "attribute": title,
            "images": len(right),
            "majority": int(often.sum()),
            "every": int(right.sum()),
            "filled": int(filled.sum()),
            "accuracy": int(right[filled].sum()),
            "majority_filled": int(often[filled].sum()),
        }


def _with_sums(table: pd.DataFrame, keys: Sequence[str], **named: str) -> pd.DataFrame:
    """Append the sums of each group, with a name in the column that they run over."""
    numbers = ["images", "majority", "every", "filled", "accuracy", "majority_filled"]
    sums = table.groupby(list(keys), sort=False)[numbers].sum().reset_index()
    return pd.concat([table, sums.assign(**named)], ignore_index=True)[table.columns]


def _percent(line: dict[str, Any]) -> dict[str, Any]:
    images, filled = line["images"], line["filled"]
    known = line["attribute"] != "overall"
    majority = wilson_interval(line["majority"], images) if known else (np.nan, np.nan)
    interval = wilson_interval(line["accuracy"], filled) if known else (np.nan, np.nan)
    return {
        **{name: line[name] for name in ("method", "seed", "attribute", "images")},
        "majority": 100 * line["majority"] / images,
        "majority_low": 100 * majority[0],
        "majority_high": 100 * majority[1],
        "every": 100 * line["every"] / images,
        "coverage": 100 * filled / images,
        "accuracy": 100 * line["accuracy"] / filled if filled else np.nan,
        "ci_low": 100 * interval[0],
        "ci_high": 100 * interval[1],
        "majority_filled": 100 * line["majority_filled"] / filled if filled else np.nan,
    }
