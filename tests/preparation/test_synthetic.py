"""The built-in dataset on disk: the same bytes however it is made, sound splits, resuming."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from asen_tf.data import AnnotationError, read_meta, read_regions, read_split, read_value_names
from data_prep import synthetic
from data_prep.contact_sheet import contact_sheets
from data_prep.garments.render import render
from data_prep.releases import split_images, split_rows
from data_prep.synthetic import ParameterMismatch, main, make_dataset

IMAGES, SIZE = 60, 96


def digest(root: Path) -> dict[str, str]:
    """Map every file below a folder to the hash of its bytes."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data_dir = tmp_path_factory.mktemp("data")
    make_dataset(data_dir, images=IMAGES, size=SIZE, seed=3, workers=2)
    return data_dir


def test_bytes_do_not_depend_on_the_run_or_the_number_of_workers(made, tmp_path):
    make_dataset(tmp_path, images=IMAGES, size=SIZE, seed=3, workers=1)
    assert digest(tmp_path) == digest(made)


def test_image_does_not_depend_on_the_number_of_images(made, tmp_path):
    make_dataset(tmp_path, images=10, size=SIZE, seed=3, workers=1)
    name = "Garments/images/000/000007.jpg"
    assert (tmp_path / name).read_bytes() == (made / name).read_bytes()


def test_another_seed_gives_other_images(made, tmp_path):
    make_dataset(tmp_path, images=10, size=SIZE, seed=4, workers=1)
    name = "Garments/images/000/000007.jpg"
    assert (tmp_path / name).read_bytes() != (made / name).read_bytes()


def test_finished_data_set_is_left_alone(made, capsys):
    before = {path: path.stat().st_mtime_ns for path in made.rglob("*")}
    make_dataset(made, images=IMAGES, size=SIZE, seed=3, workers=1)
    assert "are there already" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in made.rglob("*")}


def test_other_parameters_are_refused_and_name_the_remedy(made, capsys):
    with pytest.raises(ParameterMismatch, match="--overwrite"):
        make_dataset(made, images=IMAGES, size=SIZE, seed=99, workers=1)
    arguments = ["--images", str(IMAGES), "--size", "64", "--workers", "1"]
    assert main(["--out", str(made), *arguments]) == 2
    assert "choose another --out" in capsys.readouterr().err


def test_overwrite_replaces_the_data_set(tmp_path):
    make_dataset(tmp_path, images=20, size=48, seed=0, workers=1)
    make_dataset(tmp_path, images=10, size=48, seed=1, workers=1, overwrite=True)
    assert len(list(tmp_path.rglob("*.jpg"))) == 10


@pytest.mark.parametrize("name", ["Garments", "GarmentsFirst"])
def test_what_this_command_has_not_made_is_left_alone(tmp_path, capsys, name):
    """A shop's own dataset of this name, say; only `--overwrite` replaces it."""
    root = tmp_path / name
    for file in ("label_train.txt", "regions_train.csv", "images/mine/1.jpg"):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(file)
    before = digest(tmp_path)
    with pytest.raises(AnnotationError, match=rf"{name}: .* must be empty: .*; got '.*--overwrite"):
        make_dataset(tmp_path, images=10, size=48, workers=1)
    assert main(["--out", str(tmp_path), "--images", "10", "--size", "48"]) == 2
    assert "choose another --dataset or --out" in capsys.readouterr().err
    assert digest(tmp_path) == before
    make_dataset(tmp_path, images=10, size=48, workers=1, dataset="Other")
    assert before.items() <= digest(tmp_path).items()
    make_dataset(tmp_path, images=10, size=48, workers=1, overwrite=True)
    assert len(list(tmp_path.glob("Garments/images/*/*.jpg"))) == 10
    assert not before.items() & digest(tmp_path).items()


def test_a_kill_leaves_no_folder_without_a_note_of_who_made_it(tmp_path, monkeypatch):
    """Wherever it hits: before rendering, or while another dataset is being removed."""
    chosen = {"images": 10, "size": 48, "workers": 1}
    root = tmp_path / "Garments"

    def killed(*arguments: object, **more: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(synthetic, "image_path", killed)  # so that no folder of images is made
        with pytest.raises(KeyboardInterrupt):
            make_dataset(tmp_path, **chosen)
    assert [path.name for path in root.iterdir()] == ["unfinished_renderer.json"]
    (root / "images/000").mkdir(parents=True)
    (root / "unfinished_renderer.json").unlink()  # what a kill could leave before
    make_dataset(tmp_path, **chosen)
    before = digest(root)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            make_dataset(tmp_path, **{**chosen, "seed": 1}, overwrite=True)
    assert not (root / "renderer.json").exists()  # what is being removed is not finished
    with pytest.raises(ParameterMismatch):
        make_dataset(tmp_path, **{**chosen, "seed": 1})
    make_dataset(tmp_path, **chosen)
    assert digest(root) == before


def test_killed_run_goes_on_and_ends_with_the_same_bytes(made, tmp_path):
    """The state a kill leaves: some images, some notes, half a temporary file, no split files."""
    root = tmp_path / "Garments"
    make_dataset(tmp_path, images=IMAGES, size=SIZE, seed=3, workers=1)
    (root / "renderer.json").rename(root / "unfinished_renderer.json")
    for path in [*root.glob("*.txt"), *root.glob("*.csv"), *root.glob("images/*/*[05].jpg")]:
        path.unlink()
    kept = root / "images/000/000001.jpg"
    result = render(3, 1, SIZE)
    note = json.dumps({"labels": result.labels, "boxes": result.boxes})
    kept.with_suffix(".json").write_text(note)  # a finished image is taken as it is noted
    kept.with_name(".tmp-0a1b2c3d-000099.jpg").write_bytes(b"half an image")
    written = kept.stat().st_mtime_ns
    make_dataset(tmp_path, images=IMAGES, size=SIZE, seed=3, workers=2)
    assert kept.stat().st_mtime_ns == written
    assert digest(tmp_path) == digest(made)  # so no note, temporary file or marker is left over


def test_split_files_read_back_and_their_ratios_hold(made):
    table = read_meta(made, "Garments")
    names = read_value_names(made, "Garments")
    assert sum(table.sizes) == 54
    assert [len(names[name]) for name in table.names] == list(table.sizes)
    splits = {name: read_split(made, "Garments", name) for name in ("train", "valid", "test")}
    assert [len(split.files) for split in splits.values()] == [48, 6, 6]
    files = [file for split in splits.values() for file in split.files]
    assert len(set(files)) == IMAGES
    with Image.open(splits["train"].root / files[0]) as image:
        assert image.size == (SIZE, SIZE)


def test_regions_lie_in_the_frame_and_leave_out_what_is_invisible(made):
    for name in ("train", "valid", "test"):
        regions = read_regions(made, "Garments", name)
        rows = read_split(made, "Garments", name).labels
        visible = {(index, attribute) for index, attribute, value in rows.tolist() if value > 0}
        assert set(regions) == visible
        boxes = np.array(list(regions.values()))
        assert boxes.min() >= 0 and boxes.max() <= SIZE
        assert (boxes[:, 2:] - boxes[:, :2] > 1).all()


def test_fresh_test_split_leaves_training_and_validation_as_they_are(made, tmp_path):
    """Byte for byte, the test split of before included, which moves into a dataset of its own."""
    chosen = {"images": IMAGES, "test_images": 30, "size": SIZE, "seed": 3, "workers": 2}
    make_dataset(tmp_path, **chosen)
    before, after, first = (
        digest(folder)
        for folder in (made / "Garments", tmp_path / "Garments", tmp_path / "GarmentsFirst")
    )
    fresh = {f"images/000/{number:06d}.jpg" for number in range(IMAGES, IMAGES + 30)}
    replaced = {name for name in before if "_test." in name} | {"renderer.json"}
    assert set(after) == set(before) | fresh
    assert {name for name in before if before[name] != after[name]} == replaced
    assert all(before[name] == content for name, content in first.items())
    kept = read_split(tmp_path, "GarmentsFirst", "test")
    assert kept.files == read_split(made, "Garments", "test").files
    np.testing.assert_array_equal(kept.queries, read_split(made, "Garments", "test").queries)
    assert set(read_split(tmp_path, "Garments", "test").files) == fresh
    read_split(tmp_path, "GarmentsFirst", "valid")
    assert not {after[name] for name in fresh} & set(before.values())  # other images, too
    make_dataset(tmp_path, **{**chosen, "test_images": 0}, overwrite=True)
    assert digest(tmp_path) == digest(made) | {
        "meta.json": digest(tmp_path)["meta.json"]  # which still lists the second dataset
    }


def test_image_split_is_8_1_1_and_a_partition():
    parts = split_images(6000, np.random.default_rng(0))
    assert [len(part) for part in parts.values()] == [4800, 600, 600]
    assert sorted(np.concatenate(list(parts.values()))) == list(range(6000))


def test_row_split_is_1_to_4_per_value_and_every_query_has_a_candidate():
    rng = np.random.default_rng(1)
    sizes = {(0, 0): 50, (0, 1): 13, (0, 2): 1, (1, 0): 2, (1, 1): 7}
    rows = np.array([(i, a, v) for (a, v), n in sizes.items() for i in range(n)])
    queries, candidates = split_rows(rows, rng)
    assert len(queries) + len(candidates) == len(rows)
    for attribute, expected in ((0, 13), (1, 2)):  # 64 / 5 and 9 / 5, rounded
        assert (queries[:, 1] == attribute).sum() == expected
    assert (queries[:, 2][queries[:, 1] == 0] == 0).sum() == 10
    for _, attribute, value in queries:
        assert ((candidates[:, 1] == attribute) & (candidates[:, 2] == value)).any()


def test_contact_sheet_has_a_row_per_value(made, tmp_path):
    sheets = contact_sheets(made, "Garments", tmp_path, columns=3, cell=40)
    assert [path.stem for path in sheets] == list(read_meta(made, "Garments").names)
    with Image.open(sheets[0]) as sheet:
        assert sheet.size == (150 + 3 * 44, 6 * 44)
