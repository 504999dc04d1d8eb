"""Check a dataset: `python -m data_prep.check DATA_DIR --dataset NAME [--json]`.

It counts image files, and rows per split, attribute and value; gives the exact MAP of a random
ranking; and lists every problem. Split files alone, even without filenames_train.txt, are enough
for everything except the images. Counts and random MAP are those of the split files, whether an
image is there or not. The exit status is 0 when no problem stops training.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from asen_tf.data import (
    SPLITS,
    AnnotationError,
    Split,
    read_meta,
    read_regions,
    read_split,
    read_value_names,
)
from asen_tf.evaluation.metrics import random_maps
from data_prep.command import ended
from data_prep.image_files import equal_contents
from data_prep.problems import Problem, find_problems

_COLUMNS = {
    "files": "images listed",
    "missing": "missing",
    "labels": "labels",
    "queries": "queries",
    "candidates": "candidates",
    "triplets": "triplets",
}  # columns of the table of splits


def check(data_dir: Path | str, dataset: str) -> dict[str, Any]:
    """Return the facts and problems of a dataset, ready for JSON.

    Returns:
        `splits`: see `describe`, by split name; a split that cannot be read is left out.
        `problems`: objects with `split` (null for the dataset as a whole), `kind`, `message`,
        `stops_training` and `count`. `value_names`: as in values.json, or null.
    """
    report: dict[str, Any] = {"splits": {}, "problems": [], "value_names": None}

    def add(split: str | None, problems: list[Problem]) -> None:
        report["problems"] += [{"split": split, **vars(problem)} for problem in problems]

    try:
        read_meta(data_dir, dataset)
    except AnnotationError as error:
        add(None, [_unreadable(error, stops_training=True)])
        return report
    try:
        report["value_names"] = read_value_names(data_dir, dataset)
    except AnnotationError as error:
        add(None, [_unreadable(error, stops_training=False)])
    splits = []
    for name in SPLITS:
        split, missing, problems = check_split(data_dir, dataset, name)
        add(name, problems)
        if split is not None:
            splits.append(split)
            report["splits"][name] = describe(split, missing)
    add(None, _shared_images(splits) + _equal_images(splits))
    return report


def in_words(report: dict[str, Any]) -> str:
    """Say in a sentence how much there is to learn from, and what a blind guess would score.

    Args:
        report: of `check`.
    """
    splits = report["splits"]
    sizes = ", ".join(f"{part['files'] or 0:,} images in {name}" for name, part in splits.items())
    said = f"There are {sizes or 'no images'}"
    labels = splits.get("train", {}).get("labels", 0)
    said += f", and {labels:,} labels to learn from."
    chance = splits.get("test", {}).get("random_map", {}).get("overall")
    if chance is None:
        return said
    return f"{said} A random ranking of the test images has a MAP of {chance:.1f}%."


def check_split(
    data_dir: Path | str, dataset: str, name: str
) -> tuple[Split | None, tuple[int, ...] | None, list[Problem]]:
    """Return a split with all its rows, the indices of missing images, and the problems.

    The split is None when its rows cannot be read; the indices are None when the images cannot be
    looked for. Problems are those of the rows whose images are there, since training uses these;
    if no image is there, those of all rows.
    """
    needed = name != "test"
    problems: list[Problem] = []
    try:
        read_regions(data_dir, dataset, name)
    except AnnotationError as error:
        problems.append(_unreadable(error, stops_training=False))
    try:
        split = read_split(data_dir, dataset, name, missing="ignore")
    except AnnotationError as error:
        return None, None, [*problems, _unreadable(error, stops_training=needed)]
    try:
        present = read_split(data_dir, dataset, name, missing="skip")
    except AnnotationError as error:
        problems.append(_unreadable(error, stops_training=needed))
        return split, None, problems + find_problems(split)
    problems += find_problems(present)
    if present.missing and len(present.missing) == len(present.files):
        problems += find_problems(split)
    return split, present.missing, problems


def describe(split: Split, missing: tuple[int, ...] | None) -> dict[str, Any]:
    """Return the numbers of one split.

    Returns:
        `files` and `missing`, how many image files are listed and absent (null without a list);
        `missing_files`, the paths of the absent ones; the number of `labels`, or of `queries` and
        `candidates`; `values`, for each of these and each attribute, the rows per value in index
        order; and for valid and test `random_map` in percent, by attribute, `overall` and `macro`
        (null where there is no query). For a dataset that lists triplets: `triplets`, how many;
        its labels count the images of each attribute.
    """
    labelled = split.name == "train" or split.triplets is not None
    kinds = ("labels",) if labelled else ("queries", "candidates")
    described: dict[str, Any] = {
        "files": len(split.files) or None,
        "missing": None if missing is None else len(missing),
        "missing_files": [split.files[index] for index in missing or ()],
    }
    described |= {kind: len(getattr(split, kind)) for kind in kinds}
    described["values"] = {kind: _count_values(split, getattr(split, kind)) for kind in kinds}
    if split.triplets is not None:
        described["triplets"] = len(split.triplets)
    elif split.name != "train":
        described["random_map"] = {
            name: None if math.isnan(value) else 100 * value
            for name, value in random_maps(split).items()
        }
    return described


def _count_values(split: Split, rows: np.ndarray) -> dict[str, list[int]]:
    table = split.attributes
    return {
        name: np.bincount(rows[rows[:, 1] == attribute, 2], minlength=size).tolist()
        for attribute, (name, size) in enumerate(zip(table.names, table.sizes, strict=True))
    }


def _unreadable(error: AnnotationError, *, stops_training: bool) -> Problem:
    return Problem("unreadable file", str(error), stops_training, 1)


def _shared_images(splits: list[Split]) -> list[Problem]:
    """Report images that leak from one split into another; they do not stop training."""
    problems = []
    for first, second in combinations(splits, 2):
        shared = len(set(first.files) & set(second.files))
        if shared:
            message = f"{shared} images are in both {first.name} and {second.name}"
            problems.append(Problem("images in two splits", message, False, shared))
    return problems


def _equal_images(splits: list[Split]) -> list[Problem]:
    """Report pictures that are in two splits under different names."""
    owners: dict[str, list[str]] = {}
    for split in splits:
        for name in dict.fromkeys(split.files):
            owners.setdefault(name, []).append(split.name)
    root = splits[0].root if splits else Path()
    groups: dict[str, list[str]] = {}
    for name, first in equal_contents({name: root / name for name in owners}).items():
        groups.setdefault(first, [first]).append(name)
    leaks = [
        group
        for group in groups.values()
        if len({split for name in group for split in owners[name]}) > 1
    ]
    if not leaks:
        return []
    shown = "; ".join(" = ".join(group[:3]) for group in leaks[:3])
    message = f"{len(leaks)} pictures are in two splits under different names: {shown}"
    return [Problem("equal images in two splits", message, False, len(leaks))]


def render(dataset: str, report: dict[str, Any]) -> str:
    """Return the report of `check` as tables for people."""
    parts = []
    if report["splits"]:
        parts = [f"{dataset}: splits", *_tables(report["splits"], report["value_names"] or {})]
    problems = report["problems"]
    stopping = sum(problem["stops_training"] for problem in problems)
    parts.append(f"Problems: {len(problems)}, of which {stopping} stop training")
    parts += [
        f"- {'STOPS TRAINING ' if problem['stops_training'] else ''}"
        f"[{problem['split'] or dataset}] {problem['kind']}: {problem['message']}"
        for problem in problems
    ]
    return "\n".join(parts)


def _tables(splits: dict[str, Any], value_names: dict[str, list[str]]) -> list[str]:
    """Return a table with a row per split, and others per attribute and value with their titles."""

    def laid_out(table: pd.DataFrame, digits: int = 0) -> str:
        written = f"{{: .{digits}f}}".format
        return table.to_string(na_rep="-", float_format=written, sparsify=False) + "\n"

    def row(attribute: str, value: int) -> tuple[str, str]:
        named = value_names.get(attribute)
        return attribute, f"{value} {named[value]}" if named else str(value)

    sizes = {
        name: {title: split[key] for key, title in _COLUMNS.items() if key in split}
        for name, split in splits.items()
    }
    tables = [laid_out(pd.DataFrame.from_dict(sizes, "index", dtype=float))]
    chance = {name: split["random_map"] for name, split in splits.items() if "random_map" in split}
    if chance:
        text = laid_out(pd.DataFrame(chance, dtype=float), digits=2)
        tables += ["MAP of a random ranking, exact, in percent", text]
    counts = {
        f"{name} {kind}": {
            row(attribute, value): count
            for attribute, numbers in of_kind.items()
            for value, count in enumerate(numbers)
        }
        for name, split in splits.items()
        for kind, of_kind in split["values"].items()
    }
    return [*tables, "Rows per value", laid_out(pd.DataFrame(counts))]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 when no problem stops training, else 2."""
    parser = argparse.ArgumentParser(
        prog="python -m data_prep.check",
        description="Count, validate and rate the difficulty of a dataset in split files.",
    )
    parser.add_argument("data_dir", type=Path, help="the folder of meta.json and the datasets")
    parser.add_argument("--dataset", required=True, help="the dataset's name in meta.json")
    parser.add_argument("--json", action="store_true", help="print one JSON object, no tables")
    options = parser.parse_args(arguments)

    def run() -> int:
        report = check(options.data_dir, options.dataset)
        print(json.dumps(report, indent=1) if options.json else render(options.dataset, report))
        return 2 * any(problem["stops_training"] for problem in report["problems"])

    return ended(run)


if __name__ == "__main__":
    sys.exit(main())
