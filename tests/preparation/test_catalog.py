"""Your own catalogue: from a CSV file and a folder to split files."""

from __future__ import annotations

import csv
import shutil
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from asen_tf.data import AnnotationError, read_meta, read_split, read_value_names
from data_prep import catalog
from data_prep.check import check


def images(folder: Path, names: list[str]) -> None:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 12), (number * 7 % 256, 40, 90)).save(folder / name, format="PNG")


def table(path: Path, rows: list[list[str]], separator: str = ",", encoding: str = "utf-8") -> Path:
    with open(path, "w", encoding=encoding, newline="") as stream:
        csv.writer(stream, delimiter=separator).writerows(rows)
    return path


ROWS = [["Size", "image", "Neck Line"]] + [
    [("10", "2", "", "2 XL")[i % 4], f"Herbst & Söhne/no {i}.png", ("V", 'deep "V", open')[i % 2]]
    for i in range(40)
]


def labels(data_dir: Path, dataset: str = "Shop") -> dict[str, dict[str, str]]:
    """Return the names of the values by image and attribute."""
    names = read_value_names(data_dir, dataset)
    attributes = read_meta(data_dir, dataset).names
    found: dict[str, dict[str, str]] = {}
    for split in ("train", "valid", "test"):
        part = read_split(data_dir, dataset, split)
        found |= {name: {} for name in part.files}
        for i, a, v in part.labels.tolist():
            found[part.files[i]][attributes[a]] = names[attributes[a]][v]
    return found


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_every_cell_arrives(tmp_path: Path, separator: str, encoding: str) -> None:
    images(tmp_path / "raw", [row[1] for row in ROWS[1:]])
    path = table(tmp_path / "shop.csv", ROWS, separator, encoding)
    report = catalog.prepare(tmp_path / "raw", tmp_path / "data", table=path, dataset="Shop")
    expected = {
        image: {k: v for k, v in (("size", size), ("neck_line", neck)) if v}
        for size, image, neck in ROWS[1:]
    }
    assert labels(tmp_path / "data") == expected
    assert read_value_names(tmp_path / "data", "Shop") == {
        "size": ["2", "2 XL", "10"],
        "neck_line": ['deep "V", open', "V"],
    }
    assert report.images == {"train": 32, "valid": 4, "test": 4}
    assert "attribute 'neck_line' is column 'Neck Line'" in str(report)


def test_ten_images_are_divided_and_one_is_told_what_they_are_too_few_for(tmp_path: Path) -> None:
    images(tmp_path / "raw", [row[1] for row in ROWS[1:11]])
    path = table(tmp_path / "shop.csv", ROWS[:11])
    report = catalog.prepare(tmp_path / "raw", tmp_path / "data", table=path, dataset="Shop")
    assert report.images == {"train": 8, "valid": 1, "test": 1}
    assert "WARNING: size has 0 values of two or more images in test" in str(report)
    assert len(labels(tmp_path / "data")) == 10


def test_a_column_split_takes_the_place_of_the_division(tmp_path: Path) -> None:
    split = ["train", "valid", "test", "train"]
    rows = [["image", "split", "hue"]] + [
        [f"{i}.png", split[i % 4], ("red", "blue")[i // 4 % 2]] for i in range(32)
    ]
    images(tmp_path / "raw", [row[0] for row in rows[1:]])
    path = table(tmp_path / "shop.csv", rows)
    catalog.prepare(tmp_path / "raw", tmp_path / "data", table=path, dataset="Shop")
    for name in ("train", "valid", "test"):
        found = read_split(tmp_path / "data", "Shop", name)
        assert list(found.files) == [row[0] for row in rows[1:] if row[1] == name]


def test_columns_that_tell_nothing_apart_are_left_out_and_named(tmp_path: Path) -> None:
    rows = [["image", "hue", "brand", "empty"]]
    rows += [[f"{i}.png", ("red", "blue")[i % 2], "ours", ""] for i in range(12)]
    images(tmp_path / "raw", [row[0] for row in rows[1:]])
    path = table(tmp_path / "shop.csv", rows)
    report = catalog.prepare(tmp_path / "raw", tmp_path / "data", table=path, dataset="Shop")
    assert read_meta(tmp_path / "data", "Shop").names == ("hue",)
    assert "column 'brand' is left out" in str(report) and "'empty' is left out" in str(report)


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    images(tmp_path / "raw", [row[1] for row in ROWS[1:]])
    path = table(tmp_path / "shop.csv", ROWS)
    texts = []
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        catalog.prepare(tmp_path / "raw", tmp_path / folder, table=path, dataset="Shop", seed=seed)
        files = sorted((tmp_path / folder / "Shop").glob("*.txt"))
        texts.append({file.name: file.read_bytes() for file in files})
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "shop.csv:1: the header must have distinct names, one of them image"),
        ("picture,hue\na.png,red\n", ":1: the header must .*name the column of image paths"),
        ("image,hue,hue\n", ":1: the header must have distinct names"),
        ("image,hue\na.png\n", ":2: a row must have 2 cells; got"),
        ("image,hue\na.png,red\n\nb.png,red,x\n", ":4: a row must have 2 cells"),
        ("image,hue\n,red\n", ":2: a row must name an image"),
        ("image,hue\n../a.png,red\n", ":2: .*must not leave"),
        ("image,hue\n/a.png,red\n", ":2: .*must be relative"),
        (f"image,hue\n{'x' * 300}.png,red\n", ":2: an image path may have 2000 bytes, and each"),
        (f"image,hue\n{'ü' * 121}.png,red\n", ":2: an image path may .* each name in it 240"),
        (f"image,hue\n{'d/' * 1001}a.png,red\n", ":2: an image path may have 2000 bytes"),
        ("image,hue\na.png,red\na.png,blue\n", ":3: an image must have one row; see also line 2"),
        ("image,hue,split\na.png,red,dev\n", ":2: a split must be one of train, valid, test"),
        ('image,hue\n"a.png,red\n', "the text must be CSV"),
        (
            f"image,hue\na.png,{'x' * 1001}\nb.png,y\n",
            ":2: a value must be printable text of at most 1000",
        ),
        ("image,hue\n", "the catalogue must list images"),
        ("image,hue\na.png,red\nb.png,red\n", "an attribute needs at least two values"),
        ("image,\na.png,red\n", ":1: a column with values must have a name; got .*column 2"),
        ("image,Neck Line,neck-line\na.png,1,2\nb.png,3,4\n", ":1: columns must have distinct"),
    ],
)
def test_a_bad_catalogue_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "shop.csv"
    path.write_text(text)
    with pytest.raises(AnnotationError, match=message):
        catalog.prepare(tmp_path, tmp_path / "data", table=path, dataset="Shop")
    assert not (tmp_path / "data").exists()


def test_bytes_that_are_no_text_and_a_bad_name_are_one_sentence(tmp_path: Path, capsys) -> None:
    path = tmp_path / "shop.csv"
    path.write_bytes("image,hue\nMütze.png,red\n".encode("latin-1"))
    arguments = ["--raw", str(tmp_path), "--out", str(tmp_path / "data"), "--csv", str(path)]
    assert catalog.main([*arguments, "--dataset", "Shop"]) == 2
    assert "the text must be UTF-8" in capsys.readouterr().err
    assert catalog.main([*arguments, "--dataset", "../Shop"]) == 2
    assert "must be the name of a folder" in capsys.readouterr().err


def test_when_no_image_is_there_the_folder_is_asked_about(tmp_path: Path) -> None:
    images(tmp_path / "raw", [row[1] for row in ROWS[1:]])
    path, data = table(tmp_path / "shop.csv", ROWS), tmp_path / "data"
    with pytest.raises(AnnotationError, match="40 of 40 .* check that --raw is the folder"):
        catalog.prepare(tmp_path, data, table=path, dataset="Shop")
    assert "40 images" in str(catalog.prepare(tmp_path / "raw", data, table=path, dataset="Shop"))


def test_counts_and_warnings_are_those_of_the_images_that_are_left(tmp_path: Path) -> None:
    rows = [["image", "hue"]] + [[f"{i}.png", ("red", "blue")[i % 2]] for i in range(60)]
    raw, data = tmp_path / "raw", tmp_path / "data"
    images(raw, [row[0] for row in rows[1:]])
    path = table(tmp_path / "shop.csv", rows)
    report = catalog.prepare(raw, data, table=path, dataset="Shop", broken="skip")
    assert report.images == {"train": 48, "valid": 6, "test": 6} and "WARNING" not in str(report)
    for number in range(1, 60, 2):  # every blue one
        (raw / f"{number}.png").write_bytes(b"")
    report = catalog.prepare(raw, data, table=path, dataset="Shop", broken="skip")
    left = {name: len(read_split(data, "Shop", name).files) for name in ("train", "valid", "test")}
    assert report.images == left and sum(left.values()) == 30 == len(report.left_out)
    assert f"30 images: train {left['train']}" in str(report)
    assert "WARNING: hue has 1 values of two or more images in train: no trip" in str(report)


@pytest.mark.parametrize("seed", range(5))
def test_equal_images_are_in_one_split(tmp_path: Path, seed: int) -> None:
    raw, data = tmp_path / "raw", tmp_path / "data"
    rows = [["image", "hue"]] + [[f"{i}.png", ("red", "blue")[i % 2]] for i in range(60)]
    images(raw, [row[0] for row in rows[1:]])
    for number in range(0, 60, 5):  # pairs
        shutil.copy(raw / f"{number}.png", raw / f"{number + 3}.png")
    path = table(tmp_path / "shop.csv", rows)
    report = catalog.prepare(raw, data, table=path, dataset="Shop", seed=seed)
    assert "12 images equal another one" in str(report) and sum(report.images.values()) == 60
    splits = {n: s for s in ("train", "valid", "test") for n in read_split(data, "Shop", s).files}
    assert len(splits) == 60
    assert all(splits[f"{n}.png"] == splits[f"{n + 3}.png"] for n in range(0, 60, 5))
    problems = [problem["kind"] for problem in check(data, "Shop")["problems"]]
    assert "equal images in two splits" not in problems


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_are_found_however_they_are_written(tmp_path: Path, form: str) -> None:
    names = [f"Söhne/kleid é{number}.png" for number in range(20)]
    images(tmp_path / "raw", [unicodedata.normalize(form, name) for name in names])
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    rows = [["image", "hue"]] + [
        ["./" + unicodedata.normalize(other, name), ("red", "blue")[at % 2]]
        for at, name in enumerate(names)
    ]
    path, data = table(tmp_path / "shop.csv", rows), tmp_path / "data"
    report = catalog.prepare(tmp_path / "raw", data, table=path, dataset="Shop")
    assert sum(report.images.values()) == 20 and sorted(labels(data)) == sorted(names)
    rows.append([names[0], "red"])  # the first image once more, under another spelling
    path = table(tmp_path / "shop.csv", rows)
    with pytest.raises(AnnotationError, match=":22: an image must have one row; see also line 2"):
        catalog.prepare(tmp_path / "raw", data, table=path, dataset="Shop")


@pytest.mark.parametrize("relative", [True, False])
def test_images_that_are_links_are_placed_as_files(tmp_path: Path, relative: bool) -> None:
    """The caches of model hubs, DVC and git-annex keep the files elsewhere, under other names."""
    names = [row[1] for row in ROWS[1:]]
    images(tmp_path / "cache", [f"{number:040x}" for number in range(len(names))])
    for number, name in enumerate(names):
        link = tmp_path / "raw" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        there = "../../cache" if relative else tmp_path / "cache"
        link.symlink_to(Path(there) / f"{number:040x}")
    path = table(tmp_path / "shop.csv", ROWS)
    catalog.prepare(tmp_path / "raw", tmp_path / "data", table=path, dataset="Shop")
    assert not any(
        problem["stops_training"] for problem in check(tmp_path / "data", "Shop")["problems"]
    )
    assert set(labels(tmp_path / "data")) == set(names)  # which training reads, too
    assert not any(entry.is_symlink() for entry in (tmp_path / "data").rglob("*"))


def test_columns_in_any_script_keep_their_names(tmp_path: Path) -> None:
    titles = {
        **{"रंग": "रंग", "रोग": "रोग", "नेकलाइन का प्रकार": "नेकलाइन_का_प्रकार"},  # vowels are marks
        **{"สี": "สี", "สา": "สา", "颜色": "颜色", "لون القماش": "لون_القماش"},
        **{" Neck (type) ": "neck_type", "a__b": "a__b", "Größe-2": "größe_2"},
    }
    assert catalog._attribute_names(list(titles), tmp_path) == titles
    with pytest.raises(AnnotationError, match="distinct names"):
        catalog._attribute_names(["colour", "Colour!"], tmp_path)
    with pytest.raises(AnnotationError, match="of letters or digits"):
        catalog._attribute_names(["!?"], tmp_path)
