"""Zip files of which nothing is trusted."""

from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path

import pytest

from asen_tf.annotations import AnnotationError
from data_prep.archives import unpack


def archive(path: Path, members: dict[str, bytes], *, packed: bool = False) -> Path:
    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


MEMBERS = {"Annotations/label.csv": b"a,b,c\n", "Images/sleeve/ä b.jpg": bytes(range(256)) * 9}


def test_members_arrive_whole_and_a_stamp_says_so(tmp_path: Path) -> None:
    target = tmp_path / "out"
    unpack(archive(tmp_path / "a.zip", MEMBERS), target)
    found = tree(target)
    assert found.pop(".a.zip.unpacked")
    assert found == MEMBERS


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


def test_a_finished_archive_is_not_even_opened(tmp_path: Path) -> None:
    target, path = tmp_path / "out", archive(tmp_path / "a.zip", MEMBERS)
    unpack(path, target)
    (target / "Annotations" / "label.csv").unlink()
    unpack(path, target)
    assert not (target / "Annotations" / "label.csv").exists()
    archive(path, {**MEMBERS, "new.txt": b"1"})  # another archive of that name
    unpack(path, target)
    assert (target / "Annotations" / "label.csv").exists() and (target / "new.txt").exists()


@pytest.mark.parametrize(
    "name", ["../out.txt", "/etc/out.txt", "a/../../out.txt", "C:/out.txt", "a\\..\\out.txt"]
)
def test_no_member_leaves_the_folder(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path / "a.zip", {"first.txt": b"1", name: b"2"})
    with pytest.raises(AnnotationError, match="must stay inside the folder"):
        unpack(path, tmp_path / "deep" / "out")
    assert not (tmp_path / "deep").exists()  # found out before anything is written
    assert {p.name for p in tmp_path.iterdir()} == {"a.zip"}


def test_links_are_refused(tmp_path: Path) -> None:
    member = zipfile.ZipInfo("link")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.writestr(member, "/etc")
    with pytest.raises(AnnotationError, match="must be a file, not a link; got 'link'"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_what_grows_beyond_measure_is_refused(tmp_path: Path) -> None:
    bomb = archive(tmp_path / "a.zip", {"zeros": bytes(5 * 2**20)}, packed=True)
    with pytest.raises(AnnotationError, match="may grow to 1000 times its size; got 'zeros'"):
        unpack(bomb, tmp_path / "out")
    with pytest.raises(AnnotationError, match="may hold .* 1,000 bytes when unpacked"):
        unpack(archive(tmp_path / "b.zip", MEMBERS), tmp_path / "out", max_bytes=1000)
    with pytest.raises(AnnotationError, match="may hold 1 files"):
        unpack(archive(tmp_path / "c.zip", MEMBERS), tmp_path / "out", max_files=1)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "other"])
def test_a_damaged_archive_is_named_and_leaves_no_half_member(tmp_path: Path, damage: str) -> None:
    path = archive(tmp_path / "a.zip", MEMBERS)
    data = bytearray(path.read_bytes())
    if damage == "cut":
        data = data[: len(data) // 2]
    elif damage == "flipped":
        data[len(data) // 2] ^= 0xFF  # inside the image: its checksum is wrong
    else:
        data = bytearray(b"" if damage == "empty" else b"not a zip file at all")
    path.write_bytes(data)
    with pytest.raises(AnnotationError, match="must be a complete zip file") as raised:
        unpack(path, tmp_path / "out")
    assert raised.value.path == path
    left = tree(tmp_path / "out") if (tmp_path / "out").exists() else {}
    assert "Images/sleeve/ä b.jpg" not in left and ".a.zip.unpacked" not in left


def test_an_encrypted_or_absent_archive_is_named(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", MEMBERS)
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(signature)
        data[at + offset] |= 1  # the flag of encryption
    path.write_bytes(data)
    with pytest.raises(AnnotationError, match="must not be encrypted"):
        unpack(path, tmp_path / "out")
    with pytest.raises(AnnotationError, match="absent.zip: cannot be read"):
        unpack(tmp_path / "absent.zip", tmp_path / "out")
