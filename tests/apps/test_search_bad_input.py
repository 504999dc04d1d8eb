"""Unusable images, queries, items and names: a sentence says so, and nothing is left half-done."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from known_vectors import KnownEmbedder, paths, random_vectors
from PIL import Image
from small_model import save_catalogue

from asen_apps.search import AttributeIndex, SearchIndexError
from asen_tf.data.images import ImageError
from asen_tf.embedder import Embedder

COUNT = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("catalogue")
    save_catalogue(path, COUNT, side=90)
    (path / "broken.png").write_bytes(b"not an image")
    return path


@pytest.fixture(scope="module")
def embedder(folder: Path) -> Embedder:
    return Embedder.load(folder / "model.keras")


@pytest.fixture
def images(folder: Path) -> list[Path]:
    return [folder / f"{number}.png" for number in range(COUNT)]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (np.zeros((4, 4, 4), np.uint8), r"must be \(height, width, 3\).*got shape \(4, 4, 4\)"),
        (np.zeros((4, 4, 3)), "dtype uint8; got .* float64"),
        (np.zeros((0, 4, 3), np.uint8), r"got shape \(0, 4, 3\)"),
        (7, "must be the path of an image, a file opened with mode 'rb'.*got int$"),
    ],
    ids=str,
)
def test_other_queries_are_refused(embedder: Embedder, images, query, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        AttributeIndex.build(embedder, images[:2]).search(query, "sleeve")
    with pytest.raises(ImageError, match=message):
        embedder.embed(query, "sleeve")


def test_path_file_picture_and_pixels_are_one_image(embedder: Embedder, images) -> None:
    index = AttributeIndex.build(embedder, images[:4])
    opened = Image.open(images[2])
    with open(images[2], "rb") as stream:
        forms = [images[2], str(images[2]), stream, opened, np.asarray(opened)]
        found = [index.search(form, "sleeve", k=4) for form in forms]
    assert all(hits == found[0] for hits in found) and found[0][0].id == 2
    vectors = embedder.embed_all([images[2], opened, np.asarray(opened)])
    np.testing.assert_allclose(vectors[1:], vectors[[0, 0]], atol=1e-5)
    grey = embedder.embed(np.asarray(opened.convert("L")), "sleeve")
    np.testing.assert_allclose(grey, embedder.embed(opened.convert("L"), "sleeve"), atol=1e-5)


def test_one_image_is_not_taken_for_several(embedder: Embedder, images) -> None:
    opened = Image.open(images[0])
    pixels = np.asarray(opened)
    for one in (images[0], str(images[0]), opened, pixels, pixels[..., 0]):
        kind = type(one).__name__
        with pytest.raises(ImageError, match=f"must be several; got one {kind}; write "):
            embedder.embed_all(one)
    assert len(embedder.embed_all(pixels[None], attributes=["sleeve"])) == 1


def test_a_query_that_is_no_image_is_named(embedder: Embedder, folder: Path, images) -> None:
    index = AttributeIndex.build(embedder, images[:2])
    with open(folder / "broken.png", "rb") as stream:
        with pytest.raises(ImageError, match="^the query image: not a readable image"):
            index.search(stream, "sleeve")
    with pytest.raises(ImageError, match="broken.png: not a readable image"):
        index.search(folder / "broken.png", "sleeve")
    assert index.store.backends == {}  # the query is read first: nobody waits for the catalogue


def test_unfit_items_are_refused_and_nothing_changes(embedder: Embedder, folder, images) -> None:
    index = AttributeIndex.build(embedder, images[:3])
    index.prepare(["sleeve"])
    with pytest.raises(ImageError, match="broken.png"):
        index.add([images[4], folder / "broken.png"])
    with pytest.raises(SearchIndexError, match="id 2 is in the index already"):
        index.add(images[4:6], ids=[9, 2])
    with pytest.raises(
        SearchIndexError, match="metadata must have one entry per image; got 1 for 2"
    ):
        index.add(images[4:6], [{}])
    with pytest.raises(SearchIndexError, match=r"metadata of .*4.png cannot be stored as JSON"):
        index.add([images[4]], [{"when": np.float32(3)}])
    with pytest.raises(SearchIndexError, match="not an object with text as names"):
        index.add([images[4]], [{1: 2}])
    with pytest.raises(SearchIndexError, match="id 7 is not in the index"):
        index.remove([0, 7])
    assert index.ids.tolist() == [0, 1, 2] and index.vectors("sleeve").shape[0] == 3
    with pytest.raises(SearchIndexError, match="no embedding .*; there are global, local, fused"):
        AttributeIndex.build(embedder, images, embedding="best")
    with pytest.raises(
        SearchIndexError, match="backend must be one of auto, exact, hnsw, a Milvus"
    ):
        AttributeIndex.build(embedder, images, backend="faiss")
    with pytest.raises(SearchIndexError, match="dtype must be one of float32, float16; got 'int8'"):
        AttributeIndex.build(embedder, images, dtype="int8")
    with pytest.raises(SearchIndexError, match="images must be a sequence of paths"):
        AttributeIndex.build(embedder, "photo.png")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ids": 5}, "ids must be a row of integers; got 5"),
        ({"ids": [[1], [2, 3]]}, "ids must be a row of integers"),
        ({"ids": (n / 2 for n in range(2))}, "ids must be a row of integers"),
        ({"ids": (n for n in range(3))}, "ids must have one entry per image; got 3 for 2 images"),
        ({"metadata": 7}, "metadata must have one entry per image; got 7"),
        ({"images": 7}, "images must have one entry per image; got 7"),
        ({"images": [7]}, "images must be paths, which hits name; got int; save pictures"),
    ],
    ids=lambda part: part if isinstance(part, str) else next(iter(part)),
)
def test_what_is_no_sequence_is_refused(embedder: Embedder, images, arguments, message) -> None:
    with pytest.raises(SearchIndexError, match=message):
        AttributeIndex.build(embedder, **{"images": images[:2], **arguments})


def test_an_index_takes_paths_alone_and_prints_no_pixels(embedder: Embedder, images) -> None:
    index = AttributeIndex.build(embedder, images[:1])
    pixels = np.asarray(Image.open(images[1]))
    for wrong, kind in (
        ([pixels], "ndarray"),
        (np.stack([pixels, pixels]), "ndarray"),
        ([Image.fromarray(pixels)], "Image"),
        ([io.BytesIO(b"x")], "BytesIO"),
    ):
        for take in (index.add, lambda one: AttributeIndex.build(embedder, one)):
            with pytest.raises(SearchIndexError, match=f"; got {kind}; save .* first") as raised:
                take(wrong)
            assert "[" not in str(raised.value) and "\n" not in str(raised.value)
    assert len(index) == 1


def test_generators_are_sequences(embedder: Embedder, images) -> None:
    index = AttributeIndex.build(
        embedder, (path for path in images[:3]), ({"n": n} for n in "abc"), ids=iter([5, 9, 7])
    )
    index.prepare(name for name in ("sleeve", "buttons"))
    assert list(index.store.backends) == ["sleeve", "buttons"]
    index.remove(iter([9]))
    assert index.add(iter(images[3:4]), iter([{"n": "d"}])).tolist() == [10]
    assert index.ids.tolist() == [5, 7, 10] and index.images == [images[0], *images[2:4]]
    assert [fields["n"] for fields in index.metadata] == ["a", "c", "d"]
    with pytest.raises(SearchIndexError, match="ids must be a row of integers; got 5"):
        index.remove(5)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("backend", ["exact", "hnsw"])
def test_a_preparation_that_fails_is_forgotten(backend: str, dtype: str) -> None:
    vectors = random_vectors(9, 8)
    index = AttributeIndex.build(
        KnownEmbedder(neck=vectors, sleeve=2 * vectors), paths(9), backend=backend, dtype=dtype
    )
    with pytest.raises(SearchIndexError, match="vectors must have length 1; row 0 has 2"):
        index.prepare(["neck", "sleeve"])
    assert index.store.backends == {}
    assert index.search("4.png", "neck", 1)[0].id == 4


def test_without_the_extra_its_installation_is_told(
    embedder: Embedder, images, monkeypatch
) -> None:
    monkeypatch.setitem(sys.modules, "pymilvus", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "asen_apps.search.milvus_backend", raising=False)
    index = AttributeIndex.build(embedder, images[:1], backend="vectors.db")
    with pytest.raises(SearchIndexError, match=r"run \.venv/bin/pip install -e '\.\[milvus\]'"):
        index.prepare()


def test_a_broken_image_raises_or_leaves_the_index(embedder, folder: Path, images) -> None:
    paths = [images[0], folder / "broken.png", images[1], folder / "missing.png"]
    index = AttributeIndex.build(embedder, paths)
    with pytest.raises(ImageError, match="broken.png: not a readable image"):
        index.prepare(["sleeve"])
    assert len(index) == 4 and not index.store.backends
    told: list[ImageError] = []
    index = AttributeIndex.build(embedder, paths, skip=told.append)
    assert len(index.search(images[0], "sleeve")) == 2
    assert index.ids.tolist() == [0, 2] and [str(e).split(":")[0][-11:] for e in told] == [
        "/broken.png",
        "missing.png",
    ]
    assert index.add(paths[1:2]).tolist() == [] and len(told) == 3
    assert index.add([paths[1], images[5]]).tolist() == [6]
    nothing = AttributeIndex.build(embedder, paths[1:2], skip=told.append)
    assert nothing.search(images[0], "sleeve") == [] and len(nothing) == 0
