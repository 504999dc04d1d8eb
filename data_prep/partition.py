"""Partition a data set: images into train, valid and test, label rows into query and candidate."""

from __future__ import annotations

import numpy as np


def split_images(count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return the sorted image numbers of train, valid and test, 8:1:1 by a random permutation."""
    order = rng.permutation(count)
    tenth = count // 10
    return {
        "train": np.sort(order[2 * tenth :]),
        "valid": np.sort(order[:tenth]),
        "test": np.sort(order[tenth : 2 * tenth]),
    }


def split_rows(rows: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return queries and candidates, 1:4 per attribute and, as far as numbers permit, per value.

    Args:
        rows: (n, 3) int64: file index, attribute index, value index.
        rng: the source of the random choice.

    Each attribute gets a fifth of its rows as queries, rounded. The fifth is spread over the values
    by largest remainder, and a value with one row alone gives no query, so that a query finds a
    relevant candidate.
    """
    is_query = np.zeros(len(rows), bool)
    for attribute in np.unique(rows[:, 1]):
        members = [
            np.flatnonzero((rows[:, 1] == attribute) & (rows[:, 2] == value))
            for value in np.unique(rows[rows[:, 1] == attribute, 2])
        ]
        sizes = np.array([len(m) for m in members])
        share = sizes / 5.0
        take = np.floor(share).astype(int)
        spare = round(sizes.sum() / 5.0) - take.sum()
        remainder = np.where(sizes > 1, share - take, -1.0)
        for k in np.argsort(-remainder, kind="stable")[: max(spare, 0)]:
            take[k] += sizes[k] > take[k] + 1
        for chosen, count in zip(members, take, strict=True):
            is_query[rng.permutation(chosen)[:count]] = True
    return rows[is_query], rows[~is_query]
