"""Datasets that list triplets instead of values: reading, training, evaluation."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from asen_study import experiment
from asen_study.evaluation import triplet_rows
from asen_study.measurement import measure
from asen_study.runs import Places
from asen_tf.data import AnnotationError, AttributeTable, fingerprint, read_split
from asen_tf.data.dataset import Dataset
from asen_tf.data.parsing import parse_triplets
from asen_tf.data.sampling import SamplingError, listed_triplets
from asen_tf.evaluation.retrieval import PairEmbeddings
from asen_tf.evaluation.triplets import triplet_accuracy
from asen_tf.models import build_model
from asen_tf.presets import smoke
from asen_tf.training.similarity import epoch_planner
from data_prep.check import check
from data_prep.writing import write_listed_split, write_meta

TABLE = AttributeTable(("colour", "shape"), (1, 1))
IMAGES = 12  # of each split; colour is i % 2, shape is i // 6


def triplets(seed: int, count: int = 40) -> np.ndarray:
    rng, rows = np.random.default_rng(seed), []
    while len(rows) < count:
        attribute, (a, b, c) = int(rng.integers(2)), rng.permutation(IMAGES)[:3].tolist()
        value = (lambda i: i % 2) if attribute == 0 else (lambda i: i // 6)
        if value(a) == value(b) != value(c):
            rows.append((attribute, a, b, c))
    return np.array(rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("listed")
    write_meta(path, "Shoes", TABLE)
    for seed, split in enumerate(("train", "valid", "test")):
        names = [f"{split}/{number} a.jpg" for number in range(IMAGES)]
        for number, name in enumerate(names):
            pixels = np.full((48, 64, 3), 40, np.uint8)
            pixels[8:40, 8 : 56 if number // 6 else 24] = (220, 30, 30) if number % 2 else 200
            noise = np.random.default_rng(number + 100 * seed).integers(0, 30, pixels.shape)
            (path / "Shoes" / split).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels + noise.astype(np.uint8)).save(path / "Shoes" / name)
        write_listed_split(path, "Shoes", split, files=names, triplets=triplets(seed))
    return path


def test_what_is_written_is_read(folder: Path) -> None:
    split = read_split(folder, "Shoes", "valid")
    np.testing.assert_array_equal(split.triplets, triplets(1))
    named = {(i, row[0], 0) for row in triplets(1).tolist() for i in row[1:]}
    assert {tuple(row) for row in split.labels.tolist()} == named
    assert len(split.queries) == len(split.candidates) == 0
    assert check(folder, "Shoes")["problems"] == []


def test_triplets_of_missing_images_are_left_out(folder: Path, tmp_path: Path) -> None:
    write_meta(tmp_path, "Shoes", TABLE)
    names = [f"{number}.jpg" for number in range(IMAGES)]
    write_listed_split(tmp_path, "Shoes", "train", files=names, triplets=triplets(0))
    for name in names[1:]:
        Image.new("RGB", (8, 8)).save(tmp_path / "Shoes" / name)
    with pytest.raises(AnnotationError, match=r"filenames_train.txt:1: 1 of 12 image files"):
        read_split(tmp_path, "Shoes", "train")
    split = read_split(tmp_path, "Shoes", "train", missing="skip")
    kept = [row for row in triplets(0).tolist() if 0 not in row[1:]]
    np.testing.assert_array_equal(split.triplets, kept)
    assert 0 < len(kept) < 40 and 0 not in split.labels[:, 0]


def test_lists_and_names_of_values_are_part_of_the_fingerprint(tmp_path: Path) -> None:
    write_meta(tmp_path, "Shoes", TABLE)
    names = [f"{number}.jpg" for number in range(IMAGES)]
    for seed, split in enumerate(("train", "valid", "test")):
        write_listed_split(tmp_path, "Shoes", split, files=names, triplets=triplets(seed))
    seen = {fingerprint(tmp_path, "Shoes")}
    (tmp_path / "Shoes" / "values.json").write_text("{}")
    seen.add(fingerprint(tmp_path, "Shoes"))
    for split in ("train", "valid", "test"):
        path = tmp_path / "Shoes" / f"triplets_{split}.txt"
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
        seen.add(fingerprint(tmp_path, "Shoes"))
    assert len(seen) == 5  # each change gives another one
    assert fingerprint(tmp_path, "Shoes") in seen
    (tmp_path / "Shoes" / "notes.txt").write_text("of no dataset")
    assert fingerprint(tmp_path, "Shoes") in seen


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 1 2\n", ":1: a line must hold four indices.*got '3 fields"),
        ("0 1 2 3\n\n0 1 x 3\n", ":3: every field must be an integer; got 'x'"),
        ("0 1 2 3\r\n2 1 2 3\r\n", ":2: the attribute index must be below 2; got 2"),
        ("0 1 2 12\n", ":1: the file index must be below 12; got 12"),
        ("0 1 1 3\n", ":1: anchor, close and far must be three images"),
        ("\n", "must hold at least one"),
    ],
)
def test_a_bad_list_is_named_by_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "triplets_train.txt"
    path.write_bytes(text.encode())
    with pytest.raises(AnnotationError, match=message) as raised:
        parse_triplets(path, TABLE, IMAGES)
    assert raised.value.path == path


@given(st.binary(max_size=60) | st.text("0123456789 \n\t-x", max_size=60).map(str.encode))
def test_any_bytes_are_triplets_or_an_error_of_our_own(data: bytes) -> None:
    class Bytes:
        read_bytes = staticmethod(lambda: data)

    try:
        rows = parse_triplets(Bytes(), TABLE, IMAGES)
    except AnnotationError:
        return
    lines = [line.split() for line in data.decode().splitlines() if line.split()]
    assert rows.tolist() == [[int(field) for field in line] for line in lines]


def test_every_epoch_shows_the_list_in_another_order() -> None:
    listed = triplets(0, count=10)
    plans = [
        listed_triplets(listed, steps=5, triplets_per_step=4, seed=3, epoch=epoch)
        for epoch in (0, 0, 1)
    ]
    for plan in plans:
        assert plan.images.shape == (5, 4, 3)
        rows = np.concatenate([plan.attributes[..., :1], plan.images], axis=-1).reshape(-1, 4)
        for part in (rows[:10], rows[10:]):  # twice through the list
            assert sorted(part.tolist()) == sorted(listed.tolist())
        assert (plan.values == [0, 0, 1]).all()
    np.testing.assert_array_equal(plans[0].images, plans[1].images)
    assert not np.array_equal(plans[0].images, plans[2].images)
    with pytest.raises(SamplingError, match="at least one listed triplet"):
        listed_triplets(listed[:0], steps=1, triplets_per_step=1, seed=0, epoch=0)


def test_sampling_and_data_must_agree(folder: Path) -> None:
    split = read_split(folder, "Shoes", "train")
    with pytest.raises(SamplingError, match="Shoes has lists of triplets; .* got batch_all"):
        epoch_planner(smoke(), split)
    labelled = dataclasses.replace(split, triplets=None)
    with pytest.raises(SamplingError, match="Shoes has labels; .* got listed_triplets"):
        epoch_planner(smoke().override(sampling="listed_triplets"), labelled)


def test_accuracy_by_hand(folder: Path) -> None:
    split = read_split(folder, "Shoes", "test")
    pairs = split.labels[:, :2]
    value = np.where(pairs[:, 1] == 0, pairs[:, 0] % 2, pairs[:, 0] // 6)
    perfect = PairEmbeddings(pairs, {"global": np.eye(2, dtype=np.float32)[value]})
    assert triplet_accuracy(perfect, split, "global") == 100.0
    only_colour = PairEmbeddings(pairs, {"global": np.eye(2, dtype=np.float32)[pairs[:, 0] % 2]})
    rows = triplet_rows(only_colour, split, names=["global"], method="m", seed=0)
    right = {row["attribute"]: row["accuracy"] for row in rows}
    asked = triplets(2)
    of_shape = asked[asked[:, 0] == 1]
    hits = [a % 2 == b % 2 != c % 2 for _, a, b, c in of_shape.tolist()]  # a tie is wrong
    assert right["colour"] == 100.0 and right["shape"] == pytest.approx(100 * np.mean(hits))


def test_vectors_that_are_no_numbers_are_refused_as_in_a_ranking(folder: Path) -> None:
    split = read_split(folder, "Shoes", "test")
    vectors = np.ones((len(split.labels), 4), np.float32)
    vectors[0, 0] = np.nan
    broken = PairEmbeddings(split.labels[:, :2], {"global": vectors})
    with pytest.raises(ValueError, match="finite scores; got NaN or infinity of 'global'; lower"):
        triplet_accuracy(broken, split, "global")


@pytest.mark.parametrize("gone", [[1], [0, 1, 2]], ids=["one of three", "all three"])
@pytest.mark.parametrize("name", ["train", "valid", "test"])
def test_a_list_whose_images_are_missing_is_named(
    folder: Path, tmp_path: Path, name: str, gone: list[int]
) -> None:
    data = Path(shutil.copytree(folder, tmp_path / "data"))
    (data / "Shoes" / f"triplets_{name}.txt").write_text("0 0 2 1\n")
    for number in gone:
        (data / "Shoes" / name / f"{number} a.jpg").unlink()
    split = read_split(data, "Shoes", name, missing="skip")
    pairs = split.labels[:, :2]
    embedded = PairEmbeddings(pairs, {"global": np.ones((len(pairs), 4), np.float32)})
    message = rf"triplets_{name}\.txt: the {name} split needs a triplet .*; got 'none'; add the im"
    with pytest.raises(AnnotationError, match=message):
        triplet_accuracy(embedded, split, "global")
    settings = {"dataset": "Shoes", "sampling": "listed_triplets", "missing_images": "skip"}
    config = smoke().override(**settings, starting_weights="random", method="triplet")
    with pytest.raises(AnnotationError, match=message):  # before anything is trained
        experiment.check(config, Dataset(data, config))
    if name == "test" and len(gone) == 3:
        build_model(config, TABLE.names).save(tmp_path / "model.keras")
        with pytest.raises(AnnotationError, match=message):
            measure(tmp_path / "model.keras", config, Places(data, tmp_path, "measured"))


def test_a_run_from_lists_to_its_table(folder: Path, tmp_path: Path) -> None:
    settings = {"dataset": "Shoes", "sampling": "listed_triplets", "triplets_per_step": 4}
    config = smoke().override(**settings, starting_weights="random")
    run = experiment.run(config, Places(folder, tmp_path, "shoes"))
    table = run.table("triplets")
    assert list(dict.fromkeys(table["attribute"])) == ["colour", "shape", "overall"]
    assert set(table["embedding"]) == {"global", "local", "fused"}
    history = run.table("history")
    assert np.isfinite(history["val_accuracy"]).all() and "val_map" not in history
    assert not run.has("map") and not run.has("fusion")
    last = history[history["stage"] == "stage2"]
    assert last.loc[last["best"], "val_accuracy"].max() == last["val_accuracy"].max()
    with pytest.raises(SamplingError, match="Shoes lists triplets instead"):
        experiment.run(
            config.override(starting_weights="pretrain"), Places(folder, tmp_path, "shoes")
        )
