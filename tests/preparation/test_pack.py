"""TFRecord shards: the same images and labels as from files, whole or refused."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from asen_study import experiment
from asen_study.pipeline import Study
from asen_study.runs import Places
from asen_tf.data import AnnotationError, read_split
from asen_tf.data.dataset import Dataset
from asen_tf.data.images import ImageError
from asen_tf.files import DiskFullError
from asen_tf.presets import smoke
from data_prep import pack as command
from data_prep.pack import pack
from data_prep.synthetic import make_dataset

SIZE = 64


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pack")
    make_dataset(path, images=160, size=96)
    pack(path, "Garments", source_size=SIZE, shard_mib=0.05)
    return path


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "data"))


def shards(folder: Path) -> list[Path]:
    return sorted((folder / "Garments" / f"shards-{SIZE}").glob("*.tfrecord"))


def images(folder: Path, **changes: object) -> Dataset:
    config = smoke().override(source_size=SIZE, cache_images=False)
    return Dataset(folder, config.override(**changes))


def test_packed_images_are_those_of_the_files_but_for_jpeg(folder: Path) -> None:
    from_files, from_shards = (images(folder, packed=packed) for packed in (False, True))
    for name in ("train", "valid", "test"):
        left, right = from_files.split(name), from_shards.split(name)
        every = np.random.default_rng(0).permutation(len(left.sources))[:60]
        difference = np.abs(left.sources[every].astype(int) - right.sources[every])
        assert len(left.sources) == len(right.sources)
        assert difference.mean() < 3.0 and difference.mean(axis=(1, 2, 3)).max() < 6.0
        np.testing.assert_array_equal(left.split.labels, right.split.labels)
        assert right.views[every].shape == (len(every), 32, 32, 3)
    assert from_files.fingerprint != from_shards.fingerprint  # their pixels differ


@pytest.mark.parametrize("name", ["regions_train.csv", "regions_test.csv", "values.json"])
def test_what_is_read_beside_the_shards_belongs_to_their_fingerprint(
    folder: Path, name: str
) -> None:
    before = images(folder, packed=True).fingerprint
    path = folder / "Garments" / name
    path.write_text(path.read_text() + "\n")
    assert images(folder, packed=True).fingerprint != before


def test_images_that_are_packed_again_in_another_quality_are_not_those_of_the_cache(
    folder: Path,
) -> None:
    def packed(cache: bool) -> Dataset:
        return images(folder, packed=True, cache_images=cache)

    before = packed(cache=True)
    fine = before.split("train").sources[np.arange(5)]
    assert packed(cache=True).fingerprint == before.fingerprint
    pack(folder, "Garments", source_size=SIZE, shard_mib=0.05, quality=10)
    after = packed(cache=True)
    coarse = after.split("train").sources[np.arange(5)]
    assert (coarse != fine).any() and after.fingerprint != before.fingerprint
    np.testing.assert_array_equal(coarse, packed(cache=False).split("train").sources[np.arange(5)])


def test_the_images_own_files_may_be_elsewhere(folder: Path) -> None:
    before = images(folder, packed=True).split("test").sources[np.arange(5)]
    shutil.rmtree(folder / "Garments" / "images")
    after = images(folder, packed=True).split("test").sources[np.arange(5)]
    np.testing.assert_array_equal(before, after)


def test_tensorflow_reads_the_records_and_their_labels(folder: Path) -> None:
    split = read_split(folder, "Garments", "train")
    found = {}
    files = [str(path) for path in shards(folder) if path.name.startswith("train")]
    assert len(files) > 1
    for record in tf.data.TFRecordDataset(files):  # checks TensorFlow's own checksums
        feature = tf.train.Example.FromString(record.numpy()).features.feature
        index = feature["index"].int64_list.value[0]
        pairs = np.reshape(feature["labels"].int64_list.value, (-1, 2))
        found[index] = {tuple(pair) for pair in pairs.tolist()}
        assert feature["path"].bytes_list.value[0].decode() == split.files[index]
        assert tf.io.decode_jpeg(feature["image"].bytes_list.value[0]).shape == (SIZE, SIZE, 3)
    expected: dict[int, set[tuple[int, int]]] = {index: set() for index in range(len(split.files))}
    for image, attribute, value in split.labels.tolist():
        expected[image].add((attribute, value))
    assert found == expected


def test_the_same_images_give_the_same_bytes(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in shards(folder)}
    shutil.rmtree(folder / "Garments" / f"shards-{SIZE}")
    arguments = [str(folder), "--dataset", "Garments", "--source-size", str(SIZE)]
    assert command.main([*arguments, "--shard-mib", "0.05"]) == 0
    assert {path.name: path.read_bytes() for path in shards(folder)} == before


def test_after_a_kill_only_the_missing_shards_are_made(folder: Path) -> None:
    place = folder / "Garments" / f"shards-{SIZE}"
    before = {path.name: path.read_bytes() for path in shards(folder)}
    first, second, *_ = shards(folder)
    (place / "shards.json").unlink()
    second.unlink()
    (place / f".tmp-0a1b2c3d-{second.name}").write_bytes(b"half of a shard")
    third = shards(folder)[-1]
    third.write_bytes(third.read_bytes()[:-10])  # cut by a full disk
    kept = first.stat().st_mtime_ns
    pack(folder, "Garments", source_size=SIZE, shard_mib=0.05)
    assert {path.name: path.read_bytes() for path in shards(folder)} == before
    assert first.stat().st_mtime_ns == kept and third.stat().st_mtime_ns != kept
    assert not list(place.glob(".tmp-*"))


def test_room_is_compared_before_anything_is_packed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = folder / "Garments" / f"shards-{SIZE}"
    size = sum(path.stat().st_size for path in shards(folder))
    free = shutil.disk_usage(folder)._replace(free=size // 2)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    pack(folder, "Garments", source_size=SIZE, shard_mib=0.05)  # all is there: nothing is needed
    for path in place.iterdir():
        path.unlink()
    with pytest.raises(DiskFullError) as raised:
        pack(folder, "Garments", source_size=SIZE, shard_mib=0.05)
    found = re.fullmatch(
        rf"{place}: no room for .*: ([\d,]+) needed, ([\d,]+) bytes free; .*", str(raised.value)
    )
    needed, told = (int(number.replace(",", "")) for number in found.groups())
    assert told == size // 2 and 0.8 * size < needed < 1.2 * size
    assert not list(place.iterdir())


def test_shards_of_another_size_are_replaced_and_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = folder / "Garments" / f"shards-{SIZE}"
    before = shards(folder)
    foreign = [place / "notes-of-mine.txt", place / "train-00000-of-00001.tfrecord.bak"]
    for path in foreign:
        path.write_text("mine")
    size = sum(path.stat().st_size for path in before)
    free = shutil.disk_usage(folder)._replace(free=size // 2)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: free)
        with pytest.raises(DiskFullError):  # those of another size do not count as there
            pack(folder, "Garments", source_size=SIZE)
    assert shards(folder) == before and images(folder, packed=True).split("test").sources[[0]].any()
    arguments = [str(folder), "--dataset", "Garments", "--source-size", str(SIZE)]
    assert command.main(arguments) == 0
    assert ": 3 shards" in capsys.readouterr().out
    names = [f"{name}-00000-of-00001" for name in ("test", "train", "valid")]
    written = {f"{name}.{end}" for name in names for end in ("tfrecord", "json")}
    others = {"shards.json", *(path.name for path in foreign)}
    assert {path.name for path in place.iterdir()} == written | others
    for name in ("train", "valid", "test"):
        assert images(folder, packed=True).split(name).sources[np.arange(4)].any()


def test_a_damaged_shard_is_named(folder: Path) -> None:
    path = next(path for path in shards(folder) if path.name.startswith("test"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    sources = images(folder, packed=True).split("test").sources
    with pytest.raises(ImageError, match=r"test-00000-of-00001.tfrecord: image \d+ cannot be read"):
        sources[np.arange(len(sources))]
    path.unlink()
    with pytest.raises(ImageError, match="delete the file and pack again"):
        sources[np.arange(1)]


def test_absent_and_stale_shards_are_refused_with_the_command_that_makes_them(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ImageError, match=r"python -m data_prep.pack .* --source-size 80"):
        images(folder, source_size=80, packed=True)
    path = folder / "Garments" / "query_test.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(ImageError, match="made from split files that have changed since"):
        images(folder, packed=True)
    assert command.main([str(folder), "--dataset", "Absent"]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_only_what_shards_are_made_from_makes_them_stale(folder: Path) -> None:
    root, meta = folder / "Garments", json.loads((folder / "meta.json").read_text())
    before = images(folder, packed=True).split("test").sources[[0]]
    (folder / "meta.json").write_text(json.dumps({"Other": meta["Garments"], **meta}))
    (root / "notes.txt").write_text("mine")
    (root / "values.json").unlink()
    np.testing.assert_array_equal(images(folder, packed=True).split("test").sources[[0]], before)
    meta["Garments"]["ATTRIBUTES_NUM"]["skirt_length"] += 1
    (folder / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(ImageError, match="made from split files that have changed since"):
        images(folder, packed=True)


def test_shards_that_an_older_version_made_are_good_while_nothing_has_changed(folder: Path) -> None:
    root, index = folder / "Garments", folder / "Garments" / f"shards-{SIZE}" / "shards.json"
    before = images(folder, packed=True).fingerprint
    digest = hashlib.sha256()  # as it was: all text files and all of meta.json, by name
    for path in sorted([*root.glob("*.txt"), folder / "meta.json"]):
        digest.update(path.name.encode() + b"\n" + path.read_bytes())
    content = {**json.loads(index.read_text()), "split_files": digest.hexdigest()}
    index.write_text(json.dumps(content))
    assert len(images(folder, packed=True).split("test").sources[np.arange(4)]) == 4
    assert images(folder, packed=True).fingerprint == before
    (root / "notes.txt").write_text("mine")  # it made those of then stale
    with pytest.raises(ImageError, match="made from split files that have changed since"):
        images(folder, packed=True)
    pack(folder, "Garments", source_size=SIZE, shard_mib=0.05)
    assert images(folder, packed=True).fingerprint == before  # of the same images and labels
    (root / "label_train.txt").write_text("0 skirt_length 1\n")
    with pytest.raises(ImageError, match="made from split files that have changed since"):
        images(folder, packed=True)


@pytest.mark.parametrize(
    "content", [b"", b'{"format": 1, "spl', b"\xff", b"[]", b"null", b'{"format": 1}', b"[" * 10**5]
)
def test_an_index_that_is_damaged_is_named_and_its_study_has_no_data(
    folder: Path, tmp_path: Path, content: bytes
) -> None:
    (folder / "Garments" / f"shards-{SIZE}" / "shards.json").write_bytes(content)
    message = (
        r"shards\.json: it must be a JSON object .*; it is damaged: run python -m data_prep.pack"
    )
    with pytest.raises(ImageError, match=message):
        images(folder, packed=True)
    changes = {"packed": True, "source_size": SIZE}
    assert Study("smoke", Places(folder, tmp_path), changes).data_fingerprints() == ["absent"]
    pack(folder, "Garments", source_size=SIZE, shard_mib=0.05)
    assert images(folder, packed=True).split("test").sources[[0]].any()


def test_shards_of_another_fit_are_refused_and_may_lie_beside(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder / "Garments"
    for path in (root / "images").rglob("*.*"):
        with Image.open(path) as opened:
            opened.crop((0, 0, 60, 96)).save(path)
    with pytest.raises(ImageError, match=r"no shards of fit 'whole_edge' at 64 px.*--fit whole_ed"):
        images(folder, fit="whole_edge", packed=True)
    before = {path.name: path.read_bytes() for path in shards(folder)}
    arguments = [str(folder), "--dataset", "Garments", "--source-size", str(SIZE)]
    assert command.main([*arguments, "--fit", "whole_edge"]) == 0
    assert {path.name: path.read_bytes() for path in shards(folder)} == before
    packed, decoded = (
        images(folder, fit="whole_edge", packed=packed).split("test").sources
        for packed in (True, False)
    )
    every = np.arange(len(decoded))
    assert np.abs(packed[every].astype(int) - decoded[every]).mean() < 3.0
    # A folder that was renamed does not pass for another one.
    shutil.rmtree(root / f"shards-{SIZE}")
    (root / f"shards-{SIZE}-whole_edge").rename(root / f"shards-{SIZE}")
    with pytest.raises(ImageError, match="must be of fit 'square'; got 'whole_edge'; run python"):
        images(folder, packed=True)
    with pytest.raises(SystemExit):
        command.main([*arguments, "--fit", "whole"])
    assert "invalid choice: 'whole'" in capsys.readouterr().err


def test_a_training_takes_either(folder: Path, tmp_path: Path) -> None:
    # ASEN has boxes around where it attends: in files that are absent, none can be true or false.
    config = smoke().override(starting_weights="random", method="asen", packed=True)
    assert images(folder, packed=True).true_boxes("test")
    shutil.rmtree(folder / "Garments" / "images")
    with pytest.raises(AnnotationError, match="region 'true' needs the image files .*; copy the"):
        images(folder, packed=True, region="true").split("test")
    run = experiment.run(config, Places(folder, tmp_path, "packed"))
    assert run.table("map")["map"].between(0, 100).all()
    assert not (run.path / "localisation.csv").exists()
    study = Study("smoke", Places(folder, tmp_path, "packed"), {"packed": True})
    assert study.data_fingerprints() == [run.manifest["data_fingerprint"]]
    assert run.manifest["data_fingerprint"] == images(folder, packed=True).fingerprint
    assert dataclasses.asdict(run.config)["packed"] is True


@pytest.mark.parametrize(
    "wrong",
    ["--source-size 0", "--source-size -5", "--quality 0", "--quality 500", "--shard-mib nan"],
)
def test_options_outside_their_range_are_refused_before_anything_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    before = sorted(folder.rglob("*"))
    assert command.main([str(folder), "--dataset", "Garments", *wrong.split()]) == 2
    option, value = wrong.split()
    assert f"{option[2:].replace('-', '_')}={value}" in capsys.readouterr().err
    assert sorted(folder.rglob("*")) == before
