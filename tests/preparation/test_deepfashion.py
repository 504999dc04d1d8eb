"""DeepFashion's lists: values by rank inside their type, several values of an image."""

from __future__ import annotations

from pathlib import Path

import pytest
import raw_releases
from PIL import Image

from asen_tf.data import AnnotationError, read_split, read_value_names
from data_prep import deepfashion

HEADER = "6\nattribute_name  attribute_type\n"
CLOTH = HEADER + "floral print   1\nlace 2\nstriped  1\nmaxi 3\nv-neck 4\nchic 5\n"
COLUMNS = [(0, 0), (1, 0), (0, 1), (2, 0), (3, 0), (4, 0)]


def write(path: Path, text: str, ends: str = "\n") -> Path:
    path.write_bytes(text.replace("\n", ends).encode())
    return path


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_value_is_the_rank_inside_its_type(tmp_path: Path, ends: str) -> None:
    columns, names = deepfashion.read_values(write(tmp_path / "cloth.txt", CLOTH, ends))
    assert columns == COLUMNS
    assert names["texture-related"] == ["floral print", "striped"]
    assert names["style-related"] == ["chic"]


def test_an_image_holds_every_value_that_is_marked_one(tmp_path: Path) -> None:
    text = "2\nimage_name  attribute_labels\nimg/A_b/img_1.jpg   1 -1  1  0 -1  1\n"
    text += "img/x.jpg 0 0 0 0 0 -1\n"
    first, second = deepfashion.read_images(write(tmp_path / "img.txt", text), COLUMNS)
    assert first.path == "img/A_b/img_1.jpg" and first.labels == ((0, 0), (0, 1), (4, 0))
    assert second.labels == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1: the file must begin with a count"),
        ("x\nh\n", ":1: the file must begin with a count"),
        ("2\nh\nimg/a.jpg 1 1 1 1 1 1\n", ":3: the first line counts 2 lines; got 1"),
        ("1\nh\nimg/a.jpg 1 1 1 1 1\n", ":3: .*6 marks.*got '5 marks"),
        ("1\nh\nimg/a.jpg 1 1 1 1 1 2\n", ":3: .*each -1, 0 or 1"),
        ("1\nh\n../a.jpg 1 1 1 1 1 1\n", ":3: .*must not leave"),
        ("2\nh\na.jpg 1 1 1 1 1 1\na.jpg 1 1 1 1 1 1\n", ":4: .*also in line 3"),
    ],
)
def test_a_bad_list_of_images_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "img.txt", text)
    with pytest.raises(AnnotationError, match=message):
        list(deepfashion.read_images(path, COLUMNS))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\nh\nlace\n", ":3: a line must be <name> <type>, the type 1 to 5"),
        ("1\nh\nlace 6\n", ":3: .*the type 1 to 5; got 'lace 6'"),
        ("1\nh\nlace 2\n", "every type must have values"),
    ],
)
def test_a_bad_list_of_values_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        deepfashion.read_values(write(tmp_path / "cloth.txt", text))


def test_from_the_release_to_split_files(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    drawn = raw_releases.draw(tmp_path / "source", images=30, size=48)
    raw_releases.deepfashion(drawn, raw)
    report = deepfashion.prepare(raw, tmp_path / "data")
    assert sum(report.images.values()) == 30
    columns, names = deepfashion.read_values(raw / "Anno" / "list_attr_cloth.txt")
    marked = {
        sample.path: sorted(sample.labels)
        for sample in deepfashion.read_images(raw / "Anno" / "list_attr_img.txt", columns)
    }
    found: dict[str, list[tuple[int, int]]] = {}
    for name in ("train", "valid", "test"):
        split = read_split(tmp_path / "data", "DeepFashion", name)
        for image, attribute, value in split.labels.tolist():
            found.setdefault(split.files[image], []).append((attribute, value))
    assert {name: sorted(held) for name, held in found.items()} == marked
    assert max(map(len, marked.values())) > 1
    assert read_value_names(tmp_path / "data", "DeepFashion") == names
    (raw / "Anno").rename(raw / "Anno_coarse")  # where newer copies have the lists
    (raw / "Img").mkdir()
    (raw / "img").rename(raw / "Img" / "img")  # and the images
    assert deepfashion.main(["--raw", str(raw), "--out", str(tmp_path / "other")]) == 0
    for name in ("train", "valid", "test"):
        other = read_split(tmp_path / "other", "DeepFashion", name)
        first = read_split(tmp_path / "data", "DeepFashion", name)
        assert other.files == first.files and other.labels.tolist() == first.labels.tolist()
    (raw / "Anno_coarse" / "list_attr_img.txt").unlink()
    assert deepfashion.main(["--raw", str(raw), "--out", str(tmp_path / "other")]) == 2


def test_equal_images_are_in_one_split(tmp_path: Path) -> None:
    raw, lines = tmp_path / "raw", []
    (raw / "img").mkdir(parents=True)
    (raw / "Anno").mkdir()
    for number in range(60):  # every picture three times, far apart
        name = f"img/{number}.png"
        Image.new("RGB", (4, 4), (number % 20, 0, 0)).save(raw / name)
        marks = ["1" if number < 59 else "0"] + ["0"] * 5  # the last one is not used
        lines.append(f"{name} {' '.join(marks)}\n")
    write(raw / "Anno" / "list_attr_cloth.txt", CLOTH)
    write(raw / "Anno" / "list_attr_img.txt", f"60\nimage_name  labels\n{''.join(lines)}")
    for seed in range(3):
        report = deepfashion.prepare(raw, tmp_path / "data", seed=seed)
        assert "39 images equal another one; equal images are in one split" in str(report)
        found: dict[int, set[str]] = {}
        for name in ("train", "valid", "test"):
            for file in read_split(tmp_path / "data", "DeepFashion", name).files:
                found.setdefault(int(Path(file).stem) % 20, set()).add(name)
        assert len(found) == 20 and all(len(splits) == 1 for splits in found.values())


@pytest.mark.parametrize("archive", [None, "img.zip", "Img/img.zip"])
def test_a_missing_image_folder_is_one_sentence_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], archive: str | None
) -> None:
    raw, data = tmp_path / "raw", tmp_path / "data"
    for folder in ("Anno", "Img"):
        (raw / folder).mkdir(parents=True)
    write(raw / "Anno" / "list_attr_cloth.txt", "what nobody can read")
    if archive:
        (raw / archive).write_bytes(b"PK")
    assert deepfashion.main(["--raw", str(raw), "--out", str(data)]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and "the images must be in img/ or Img/img/" in message
    remedy = f"unpack it in {(raw / archive).parent}" if archive else "as --raw"
    assert remedy in message and not data.exists()
    (raw / "Img" / "img").mkdir()  # the remedy, as far as it goes: now the lists are read
    assert deepfashion.main(["--raw", str(raw), "--out", str(data)]) == 2
    assert "list_attr_cloth.txt:1: the file must begin with a count" in capsys.readouterr().err
