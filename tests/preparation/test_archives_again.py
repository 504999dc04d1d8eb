"""Unpacking again, after an interruption or after files were lost."""

from __future__ import annotations

import os
from pathlib import Path

from test_archives import MEMBERS, archive

from data_prep.archives import unpack


def test_again_only_what_is_missing_or_cut(tmp_path: Path) -> None:
    target, path = tmp_path / "out", archive(tmp_path / "a.zip", MEMBERS)
    unpack(path, target)
    (target / ".a.zip.unpacked").unlink()  # as if killed before the end
    image, labels = target / "Images" / "sleeve" / "ä b.jpg", target / "Annotations" / "label.csv"
    image.write_bytes(b"cut")
    before = labels.stat().st_mtime_ns
    os.utime(labels, ns=(before - 10**9, before - 10**9))
    (target / "Images" / "sleeve" / ".ä b.jpg.part").write_bytes(b"left by a kill")
    unpack(path, target)
    assert image.read_bytes() == MEMBERS["Images/sleeve/ä b.jpg"]
    assert labels.stat().st_mtime_ns == before - 10**9  # not written again
    assert not list(target.rglob("*.part"))


def test_of_a_finished_archive_only_what_is_gone_or_cut_is_unpacked(tmp_path: Path) -> None:
    target, path = tmp_path / "out", archive(tmp_path / "a.zip", MEMBERS)
    unpack(path, target)
    labels, image = target / "Annotations" / "label.csv", target / "Images" / "sleeve" / "ä b.jpg"
    labels.unlink()
    image.write_bytes(image.read_bytes()[:-1])
    unpack(path, target)
    assert labels.read_bytes() == MEMBERS["Annotations/label.csv"]
    assert image.read_bytes() == MEMBERS["Images/sleeve/ä b.jpg"]
    labels.write_bytes(b"x,y,z\n")  # as long: trusted, since reading 10 GB again takes minutes
    unpack(path, target)
    assert labels.read_bytes() == b"x,y,z\n"
    archive(path, {**MEMBERS, "new.txt": b"1"})  # another archive of that name
    unpack(path, target)
    assert labels.read_bytes() == MEMBERS["Annotations/label.csv"]
    assert (target / "new.txt").exists()
