"""What the explorer finds, against rankings and labels worked out another way."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from explorer_study import make

from asen_apps.explorer import Explorer, ExplorerError
from asen_apps.explorer.answer import Answer
from asen_apps.explorer.indexes import FOLDER
from asen_tf import Embedder

WEIGHTS = {"sleeve_length": 3.0, "neckline_design": 1.0}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make(tmp_path_factory.mktemp("explorer"))


@pytest.fixture(scope="module")
def explorer(places: tuple[Path, Path]) -> Explorer:
    return Explorer(*places, count=5)


def files(data: Path) -> list[Path]:
    root = data / "Garments"
    return [root / name for name in (root / "filenames_test.txt").read_text().split()]


def labels(data: Path, attribute: str) -> dict[int, set[int]]:
    """Read the values of the test images from the split files, line by line."""
    known = "skirt_length sleeve_length coat_length pant_length collar_design lapel_design"
    number = (known.split() + ["neckline_design", "neck_design"]).index(attribute)
    found: dict[int, set[int]] = {}
    for role in ("query", "candidate"):
        for line in (data / "Garments" / f"{role}_test.txt").read_text().splitlines():
            image, column, value = map(int, line.split())
            if column == number:
                found.setdefault(image, set()).add(value)
    return found


def test_methods_have_names_and_the_page_begins_with_asen_pp(explorer: Explorer) -> None:
    assert [method.label for method in explorer.methods] == ["Triplet network", "ASEN++"]
    assert explorer.first.label == "ASEN++"


def test_without_a_study_a_sentence_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ExplorerError, match="Run `make study` first"):
        Explorer(tmp_path / "quick", tmp_path)


def test_without_data_a_sentence_says_so(places: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ExplorerError, match=r"The data cannot be read.*meta\.json"):
        Explorer(places[0], tmp_path)


@pytest.mark.parametrize("labelled_only", [True, False])
@pytest.mark.parametrize("place", [0, 1], ids=["triplet", "asen_pp"])
def test_the_ranking_is_that_of_plain_dot_products(
    explorer: Explorer, places: tuple[Path, Path], place: int, labelled_only: bool
) -> None:
    method, data = explorer.methods[place], places[1]
    known = [labels(data, name) for name in WEIGHTS]
    pool = [i for i in range(len(files(data))) if all(i in one for one in known)]
    query = pool[0]
    if not labelled_only:
        pool = list(range(len(files(data))))
    vectors = Embedder.load(method.run.path / "model.keras").embed_all(
        files(data), attributes=list(WEIGHTS)
    )
    cosines = np.einsum("nad,ad->na", vectors, vectors[query])
    scores = cosines @ np.array([0.75, 0.25])
    expected = sorted((i for i in pool if i != query), key=lambda i: (-scores[i], i))[:5]
    answer = explorer.search(
        method, explorer.test_image(query), WEIGHTS, labelled_only=labelled_only
    )
    assert len(answer.neighbours) > 2 and answer.searched == len(pool) - 1
    assert [one.score for one in answer.neighbours] == pytest.approx(scores[expected], abs=1e-5)
    assert [one.image for one in answer.neighbours] == expected
    for one in answer.neighbours:
        parts = [one.parts[name] for name in WEIGHTS]
        assert parts == pytest.approx(cosines[one.image], abs=1e-5)


def test_right_and_wrong_are_those_of_the_split_files(
    explorer: Explorer, places: tuple[Path, Path]
) -> None:
    known, kinds = labels(places[1], "sleeve_length"), set()
    for query in range(len(files(places[1]))):
        answer = explorer.search(
            explorer.first,
            explorer.test_image(query),
            {"sleeve_length": 1.0},
            labelled_only=query % 2 == 0,
        )
        for one in answer.neighbours:
            both = query in known and one.image in known
            right = bool(known[query] & known[one.image]) if both else None
            assert one.verdicts["sleeve_length"].right is right
            kinds.add(right)
    assert kinds == {True, False, None}


def first_answer(explorer: Explorer, on_progress=None) -> Answer:
    return explorer.search(explorer.first, explorer.test_image(0), WEIGHTS, on_progress=on_progress)


def test_an_index_is_made_once_and_kept_for_the_next_start(
    places: tuple[Path, Path], tmp_path: Path
) -> None:
    place = tmp_path / "study"
    shutil.copytree(places[0], place, ignore=shutil.ignore_patterns(FOLDER))
    reports: list[tuple[int, int]] = []
    first = first_answer(Explorer(place, places[1]), lambda *numbers: reports.append(numbers))
    assert reports[-1] == (24, 24)
    reports.clear()
    again = first_answer(Explorer(place, places[1]), lambda *numbers: reports.append(numbers))
    assert not reports and again.neighbours == first.neighbours
    # A damaged one is made anew.
    for path in (place / FOLDER).rglob("*"):
        if path.is_file() and path.stat().st_size > 1000:
            path.write_bytes(path.read_bytes()[:-100])
    third = first_answer(Explorer(place, places[1]), lambda *numbers: reports.append(numbers))
    assert reports and third.neighbours == first.neighbours


def test_an_uploaded_copy_of_a_test_image_finds_that_image_with_the_same_attention(
    explorer: Explorer, places: tuple[Path, Path]
) -> None:
    content = files(places[1])[3].read_bytes()
    uploaded = explorer.upload("photo.jpg", content)
    for method in explorer.methods:
        answer = explorer.search(method, uploaded, WEIGHTS, labelled_only=False)
        own = explorer.search(method, explorer.test_image(3), WEIGHTS, labelled_only=False)
        assert answer.neighbours[0].image == 3 and answer.neighbours[0].score == pytest.approx(
            1, abs=1e-5
        )
        assert all(verdict.right is None for verdict in answer.neighbours[0].verdicts.values())
        assert np.array_equal(answer.pixels, own.pixels)
        for one, other in zip(answer.attention, own.attention, strict=True):
            assert one.region == other.region and one.value == ""


def test_the_attention_is_that_of_the_embedder(
    explorer: Explorer, places: tuple[Path, Path]
) -> None:
    answer = explorer.search(explorer.first, explorer.test_image(2), {"neck_design": 1.0})
    attention = answer.attention[0]
    model = Embedder.load(explorer.first.run.path / "model.keras")
    seen = model.attend(files(places[1])[2], "neck_design")
    assert np.allclose(attention.map, seen.map, atol=1e-6)
    assert np.allclose(np.array(attention.region) * 96, seen.region)  # these images are square
    plain = explorer.search(explorer.methods[0], explorer.test_image(2), {"neck_design": 1.0})
    assert plain.attention[0].map is None and plain.attention[0].region is None


def test_an_answer_says_where_the_models_map_lies(
    explorer: Explorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explorer.embedder(explorer.first).model, "map_extent", (-0.1, 0.9))
    assert [one.extent for one in first_answer(explorer).attention] == 2 * [(-0.1, 0.9)]


def test_without_an_attribute_or_a_weight_there_is_a_sentence(explorer: Explorer) -> None:
    for weights in ({}, {"neck_design": 0.0}):
        with pytest.raises(ExplorerError, match="Choose at least one attribute"):
            explorer.search(explorer.first, explorer.test_image(0), weights)


def test_attributes_that_no_image_has_together_search_all_images(explorer: Explorer) -> None:
    weights = {"collar_design": 1.0, "neck_design": 1.0}  # a garment has a label for one of them
    answer = explorer.search(explorer.first, explorer.test_image(0), weights)
    assert answer.searched == 23 and "all images are searched" in answer.notes[0]


def test_a_second_search_takes_less_than_three_tenths_of_a_second(explorer: Explorer) -> None:
    first_answer(explorer)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        first_answer(explorer)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.3  # the least of five: other processes may have the cores
