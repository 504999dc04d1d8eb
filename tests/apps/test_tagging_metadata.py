"""What the metadata of an index count for, and which of many labelled images are compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from known_vectors import KnownEmbedder, paths

from asen_apps.explorer.gallery import CatalogueGallery, Verdict
from asen_apps.search import AttributeIndex, votes
from asen_apps.search.tagging import tag
from asen_tf.data.images import ImageError

ANGLES = (0, 1, 2, 3, 4, 90, 91, 92, 93, 94, 47)  # V below 5 and round from there, but for the last


def at(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def known_index(metadata: list[dict]) -> AttributeIndex:
    return AttributeIndex.build(KnownEmbedder(neckline=at(*ANGLES)), paths(11), metadata)


def test_what_an_indexed_table_says_beside_a_confidence_neither_votes_nor_fills(
    tmp_path: Path,
) -> None:
    """An index of a table that was tagged holds guesses as metadata."""
    known = [{"neckline": "V" if i < 5 else "round"} for i in range(11)]
    for place in (3, 4, 8):
        known[place] = {"neckline": "guessed", "neckline_confidence": 0.9}
    cells = [f"{i}.png,{known[i]['neckline'] if i not in (3, 4, 8) else ''}" for i in range(11)]
    (tmp_path / "shop.csv").write_text("\n".join(["image,neckline", *cells]))
    table, (filling,) = tag(known_index(known), tmp_path / "shop.csv")
    assert filling.labelled == 8 and filling.majority != "guessed"
    assert [table.rows[place][1] for place in (3, 4, 8)] == ["V", "V", "round"]
    alone, (filling,) = tag(known_index(known))
    assert filling.labelled == 8 and (filling.filled, filling.left_empty) == (0, 0)
    assert alone.rows[4][1:] == ("guessed", "0.9")  # its cell is as a previous run left it


def test_an_index_alone_is_tagged_without_the_images_that_it_leaves_out() -> None:
    class Broken(KnownEmbedder):
        def batches(self, paths, names, embedding=None, skip=None):
            for places, vectors in super().batches(paths, names, embedding, skip):
                kept = [place for place in places if paths[place].stem != "2"]
                if len(kept) < len(places):
                    skip(ImageError("2.png: broken"))
                yield kept, vectors[[place in kept for place in places]]

    metadata = [{"neckline": "V" if i < 5 else "round"} if i < 10 else {} for i in range(11)]
    metadata[2]["note"] = "a field of this one alone"
    told: list[ImageError] = []
    embedder = Broken(neckline=at(*ANGLES))
    index = AttributeIndex.build(embedder, paths(11), metadata, skip=told.append)
    table, (filling,) = tag(index, confidence=0.5)
    assert [Path(row[0]).stem for row in table.rows] == [str(i) for i in range(11) if i != 2]
    assert filling.labelled == 9 and len(told) == 1
    assert {len(row) for row in table.rows} == {len(table.columns)}


def test_what_counts_as_missing_in_a_table_is_no_value_in_the_explorer() -> None:
    known = [{"neckline": None}, {"Neckline": None}, {"neckline": "n/a"}, {"Neckline": " V "}, {}]
    index = known_index([*known, {"": "V"}, *[{}] * 5])
    gallery = CatalogueGallery(index)
    assert gallery.labelled(("neckline",)) == (3,) and gallery.value(3, "neckline") == "V"
    assert gallery.compare(0, 1, "neckline") == Verdict("", None)
    index = known_index([{"note": None, "size": 3, "neckline": "V"}, *[{}] * 10])
    assert CatalogueGallery(index).details(0) == ("size: 3",)


def test_many_labelled_images_are_calibrated_on_a_sample(monkeypatch) -> None:
    rng = np.random.default_rng(0)
    turned = np.repeat([0, 90], 30) + rng.normal(0, 30, 60)
    embedder = KnownEmbedder(neckline=at(*turned))
    metadata = [{"neckline": "V" if i < 30 else "round"} for i in range(59)] + [{}]
    index = AttributeIndex.build(embedder, paths(60), metadata)
    monkeypatch.setattr(votes, "_MOST_KNOWN", 25)
    (filling,) = tag(index)[1]
    assert filling.calibration.images == 25 and filling.labelled == 59
    assert tag(index)[1] == [filling]  # the same sample


@pytest.mark.parametrize(("count", "images"), [(80, 80), (81, 40), (99, 49), (200, 80)])
def test_one_label_more_than_are_compared_leaves_enough_to_vote(
    monkeypatch, count: int, images: int
) -> None:
    monkeypatch.setattr(votes, "_MOST_KNOWN", 80)
    rng = np.random.default_rng(0)
    turned = np.arange(count) % 4 * 90 + rng.normal(0, 1, count)
    known = votes.Voters("neckline", at(*turned), ["NESW"[place % 4] for place in range(count)])
    fitted = known.calibrated()
    assert fitted.images == images
    assert fitted.confidence(np.ones(1))[0] > 0.9  # of a vote in which all agree: all are right
