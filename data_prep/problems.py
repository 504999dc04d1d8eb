"""What is wrong with a split that can be read: found and counted, never repaired.

A line that breaks the format, or a path that leads out of the data folder, stops the reading with
an AnnotationError. What is found here is tolerable, or leaves nothing to train on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asen_tf.data import AttributeTable, Split, images_by_value

_SHOWN = 8  # examples listed in a message


@dataclass(frozen=True)
class Problem:
    """One finding.

    Args:
        kind: a short fixed name.
        message: what it is, and what follows from it.
        stops_training: whether training cannot run, or not as intended, until it is solved.
        count: how many rows, values, queries or files it concerns.
    """

    kind: str
    message: str
    stops_training: bool
    count: int


def find_problems(split: Split) -> list[Problem]:
    """Return the problems of a split.

    | kind | stops training |
    |---|---|
    | missing images | when all of train or valid are missing |
    | duplicate rows | no: they are kept and count twice |
    | scarce values (train: fewer than two images) | no: they give no anchors |
    | scarce attributes (train: fewer than two usable values) | yes: they give no triplets |
    | no queries, no candidates | valid: yes, no epoch can be chosen |
    | attributes without queries | no: left out of the means |
    | queries among candidates | no: each finds itself first, so MAP is too high |
    | queries without relevant candidate | no: kept, they score 0 |
    """
    needed = split.name != "test"
    problems = []
    if split.missing:
        count, total = len(split.missing), len(split.files)
        message = f"{count} of {total} image files are missing, among them " + _examples(
            [split.files[index] for index in split.missing[:3]], count
        )
        problems.append(Problem("missing images", message, needed and count == total, count))
        if count == total:
            return problems  # no rows are left to look at
    if split.triplets is not None:
        return problems  # only images can be missing: parsing has checked everything else
    return problems + (
        _train_problems(split) if split.name == "train" else _ranking_problems(split)
    )


def usable_values(labels: np.ndarray, attributes: AttributeTable) -> dict[int, list[int]]:
    """Return, by attribute index, the values that can give an anchor and a positive.

    These are the values of at least two different images.

    Args:
        labels: (n, 3) rows of the training split.
        attributes: the dataset's attributes; each is a key, even when no value is usable.
    """
    return {
        attribute: [
            value for value, images in images_by_value(labels, attribute).items() if len(images) > 1
        ]
        for attribute in range(len(attributes))
    }


def _train_problems(split: Split) -> list[Problem]:
    problems = _duplicates("labels", split.labels)
    names, sizes = split.attributes.names, split.attributes.sizes
    usable = usable_values(split.labels, split.attributes)
    scarce = [
        f"{names[attribute]} {value}"
        for attribute, values in usable.items()
        for value in sorted(set(range(sizes[attribute])) - set(values))
    ]
    if scarce:
        message = (
            f"{len(scarce)} values have fewer than two training images, so no anchor and "
            f"positive can be drawn from them: {_examples(scarce)}"
        )
        problems.append(Problem("scarce values", message, False, len(scarce)))
    empty = [names[attribute] for attribute, values in usable.items() if len(values) < 2]
    if empty:
        message = (
            f"{len(empty)} attributes have fewer than two values with two training images, so "
            f"no triplet can be drawn for them: {_examples(empty)}"
        )
        problems.append(Problem("scarce attributes", message, True, len(empty)))
    return problems


def _ranking_problems(split: Split) -> list[Problem]:
    problems = []
    for role, rows in (("queries", split.queries), ("candidates", split.candidates)):
        problems += _duplicates(role, rows)
        if not len(rows):
            message = f"there are no {role}, so MAP cannot be computed"
            problems.append(Problem(f"no {role}", message, split.name == "valid", 1))
    if problems and not (len(split.queries) and len(split.candidates)):
        return problems
    asked = set(split.queries[:, 1].tolist())
    unasked = [name for index, name in enumerate(split.attributes.names) if index not in asked]
    if unasked:
        message = f"{len(unasked)} attributes have no query: {_examples(unasked)}"
        problems.append(Problem("attributes without queries", message, False, len(unasked)))
    both = _count_in(split.queries, split.candidates)
    if both:
        message = f"{both} queries are among their own candidates, which raises MAP"
        problems.append(Problem("queries among candidates", message, False, both))
    alone = len(split.queries) - _count_in(split.queries[:, 1:], split.candidates[:, 1:])
    if alone:
        message = f"{alone} queries have no candidate of their value; they are kept and score 0"
        problems.append(Problem("queries without relevant candidate", message, False, alone))
    return problems


def _duplicates(role: str, rows: np.ndarray) -> list[Problem]:
    different, times = np.unique(rows, axis=0, return_counts=True)
    again = np.repeat(different, times - 1, axis=0)
    repeated = len(again)
    if not repeated:
        return []
    examples = _examples([" ".join(map(str, row)) for row in again[:_SHOWN].tolist()], repeated)
    message = f"{repeated} of {len(rows)} {role} repeat an earlier row: {examples}"
    return [Problem("duplicate rows", message, False, repeated)]


def _count_in(rows: np.ndarray, others: np.ndarray) -> int:
    """Return how many rows occur among the others."""
    known = set(map(tuple, others.tolist()))
    return sum(row in known for row in map(tuple, rows.tolist()))


def _examples(items: list[str], total: int | None = None) -> str:
    total = len(items) if total is None else total
    return ", ".join(items[:_SHOWN]) + (", ..." if total > _SHOWN else "")
