"""Which test images a search compares, and what a reader has to know of that."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from asen_tf.explorer.answers import Query
from asen_tf.explorer.catalogue import Catalogue

_LISTED = 5  # numbers of lost images in a sentence


@dataclass(frozen=True)
class Pool:
    """The images that are compared with a query.

    Attributes:
        size: how many, the query itself not counted.
        filters: what finds them in an index; None when all of it is compared.
        notes: sentences for the reader.
    """

    size: int
    filters: dict[str, bool] | None
    notes: tuple[str, ...]


def pool_of(
    catalogue: Catalogue,
    indexed: Collection[int],
    query: Query,
    names: Collection[str],
    *,
    labelled_only: bool,
) -> Pool:
    """Choose the images of an index that are compared with a query.

    Args:
        catalogue: knows which labels there are.
        indexed: the images of the index; unreadable ones are not among them.
        query: what is searched with.
        names: the chosen attributes.
        labelled_only: take images with a label for every one of them, if there are any.
    """
    indexed, notes = set(indexed), []
    pool = indexed & set(catalogue.labelled(tuple(names))) if labelled_only else indexed
    if labelled_only and not pool - {query.image}:
        notes.append("No other image has a label for every chosen attribute: all are searched.")
        pool = indexed
    lost = [image for image in catalogue.ids if image not in indexed]
    if lost:
        notes.append(_sentence(lost))
    filters = dict.fromkeys(names, True) if len(pool) < len(indexed) else None
    return Pool(len(pool - {query.image}), filters, tuple(notes))


def _sentence(lost: list[int]) -> str:
    numbers = ", ".join(map(str, lost[:_LISTED])) + (", ..." if len(lost) > _LISTED else "")
    if len(lost) == 1:
        return f"1 test image cannot be read and is left out (number {numbers})."
    return f"{len(lost)} test images cannot be read and are left out (numbers {numbers})."
