"""The index with a real model: what is embedded when, queries in every form, changes, bad files."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_model import save_catalogue, small_model

from asen_apps.search import AttributeIndex, model_fingerprint
from asen_tf.embedder import Embedder
from asen_tf.models import AsenPlusPlus, load_saved

COUNT = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("catalogue")
    save_catalogue(path, COUNT, side=90)
    shutil.copy(path / "2.png", path / "copy of 2.png")
    return path


@pytest.fixture(scope="module")
def embedder(folder: Path) -> Embedder:
    return Embedder.load(folder / "model.keras")


@pytest.fixture
def images(folder: Path) -> list[Path]:
    return [folder / f"{number}.png" for number in range(COUNT)]


class Counting(Embedder):
    """Writes down what it is asked to embed."""

    def batches(self, paths, names, *options):
        self.asked.append((len(paths), tuple(names)))
        return super().batches(paths, names, *options)


def test_nothing_is_embedded_before_it_is_asked_for(embedder: Embedder, images) -> None:
    counting = Counting(embedder.model)
    counting.asked = []
    index = AttributeIndex.build(counting, images)
    assert len(index) == COUNT and index.images == images and counting.asked == []
    index.search(images[0], "sleeve")
    assert counting.asked == [(1, ("sleeve",)), (COUNT, ("sleeve",))]
    index.search(images[0], "sleeve")  # the catalogue is not embedded again
    assert counting.asked[2:] == [(1, ("sleeve",))]
    index.prepare(["buttons", "sleeve", "neckline"])  # the others, in one pass
    assert counting.asked[3:] == [(COUNT, ("buttons", "neckline"))]
    index.prepare()
    assert len(counting.asked) == 4


@pytest.mark.parametrize("embedding", [None, "global"])
def test_hits_are_those_of_the_embedders_own_vectors(embedder, images, embedding) -> None:
    index = AttributeIndex.build(embedder, images, embedding=embedding)
    vectors = embedder.embed_all(images, attributes=["buttons"], embedding=embedding)[:, 0]
    np.testing.assert_allclose(index.vectors("buttons"), vectors, atol=1e-6)
    query = embedder.embed(images[5], "buttons", embedding=embedding)
    cosines = vectors @ query
    hits = index.search(images[5], "buttons", k=COUNT)
    ids = [hit.id for hit in hits]  # a batch of another size rounds otherwise: near ties may swap
    assert sorted(ids) == list(range(COUNT))
    np.testing.assert_allclose(cosines[ids], np.sort(cosines)[::-1], atol=1e-6)
    np.testing.assert_allclose([hit.score for hit in hits], np.sort(cosines)[::-1], atol=1e-6)
    assert hits[0].image == images[5] and hits[0].parts == {"buttons": hits[0].score}


def test_a_query_is_a_path_a_file_or_pixels(embedder: Embedder, images, tmp_path: Path) -> None:
    index = AttributeIndex.build(embedder, images)
    expected = index.search(images[3], "sleeve", k=4)
    assert index.search(str(images[3]), "sleeve", k=4) == expected
    with open(images[3], "rb") as stream:
        assert index.search(stream, "sleeve", k=4) == expected
        assert not stream.closed
    with Image.open(images[3]) as image:
        assert index.search(np.asarray(image), "sleeve", k=4) == expected
    with open(images[3], "rb") as stream:  # the embedder reads open files by itself, too
        assert np.array_equal(embedder.embed(stream, "sleeve"), embedder.embed(images[3], "sleeve"))
        assert np.array_equal(
            embedder.attend(stream, "sleeve").map, embedder.attend(images[3], "sleeve").map
        )


def test_equal_images_tie_and_the_lower_id_comes_first(embedder, folder: Path, images) -> None:
    paths = [*images[:2], images[2], folder / "copy of 2.png"]
    index = AttributeIndex.build(embedder, paths, ids=[5, 6, 9, 3])
    first, second = index.search(images[2], "neckline", k=2)
    assert (first.id, second.id) == (3, 9) and first.score == second.score
    assert [hit.id for hit in index.search(images[2], "neckline", k=1)] == [3]


def test_added_and_removed_items_are_as_if_built_so(embedder: Embedder, images) -> None:
    index = AttributeIndex.build(embedder, images[:4], [{"n": n} for n in range(4)])
    index.prepare(["sleeve"])
    assert index.add(images[4:6], [{"n": 4}, {"n": 5}]).tolist() == [4, 5]
    index.remove([1, 5])
    assert index.add([images[6]], [{"n": 6}]).tolist() == [6]  # 5 is not given out again
    index.prepare(["buttons"])  # lazily, of what is there by now
    kept = [0, 2, 3, 4, 6]
    fresh = AttributeIndex.build(
        embedder, [images[n] for n in kept], [{"n": n} for n in kept], ids=kept
    )
    assert index.ids.tolist() == kept and index.images == fresh.images
    assert index.metadata == fresh.metadata
    for name in ("sleeve", "buttons"):
        np.testing.assert_allclose(index.vectors(name), fresh.vectors(name), atol=1e-6)
    found, expected = (
        each.search(images[1], {"sleeve": 1, "buttons": 1}, filters={"n": [0, 1, 2, 3]})
        for each in (index, fresh)
    )
    assert [hit.id for hit in found] == [hit.id for hit in expected] and len(found) == 3


def test_a_models_fingerprint_is_of_its_weights_and_settings(embedder: Embedder) -> None:
    model = small_model()  # the same numbers as in the file, in layers of other names
    found = model_fingerprint(embedder.model)
    assert model_fingerprint(model) == found and len(found) == 64
    settings = model.settings
    model.settings = dataclasses.replace(settings, source_size=settings.source_size + 1)
    assert model_fingerprint(model) != found
    model.settings = settings
    assert model_fingerprint(model) == found
    table = model.attribute_table.embeddings
    table[0, 0].assign(np.nextafter(table[0, 0].numpy(), np.float32(9)))
    assert model_fingerprint(model) != found


def test_a_fingerprint_from_before_there_was_a_choice_of_fit_is_the_same() -> None:
    saved = Path(__file__).parents[1] / "method" / "saved_before_the_move.keras"
    model = load_saved(saved)
    found = "f12432a584fdd5b6cb8f3418bdf8a661e7af38da8fcc5d77d5dc3985b80a6391"  # of then
    assert model_fingerprint(model) == found
    whole = AsenPlusPlus(**{**model.get_config(), "fit": "whole_edge"})
    whole.set_weights(model.get_weights())
    assert model_fingerprint(whole) != found


def test_an_empty_index_finds_nothing_and_can_grow(embedder: Embedder, images) -> None:
    index = AttributeIndex.build(embedder, [])
    assert index.search(images[0], "sleeve", filters={"brand": 1}) == []
    assert len(index.vectors("sleeve")) == 0
    index.add(images[:2])
    assert [hit.id for hit in index.search(images[1], "sleeve", k=1)] == [1]
    index.remove(index.ids)
    assert index.search(images[0], "sleeve") == [] and len(index) == 0
    index.add(images[:1])
    assert [hit.id for hit in index.search(images[1], "sleeve")] == [2]
