"""Zip files, in which nothing is trusted."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_inputs import hundreds

from asen_tf.data import AnnotationError
from data_prep.archives import members_of, unpack


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


def test_what_is_there_is_kept_only_if_its_checksum_is_right(tmp_path: Path) -> None:
    target, path = tmp_path / "out", archive(tmp_path / "a.zip", {"a": b"right", "b": b"whole"})
    target.mkdir()
    (target / "a").write_bytes(b"wrong")  # of the same size
    (target / "b").write_bytes(b"whole")
    os.utime(target / "b", ns=(10**18, 10**18))
    unpack(path, target)
    assert (target / "a").read_bytes() == b"right"
    assert (target / "b").stat().st_mtime_ns == 10**18  # not written again


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("a", b"1"), ("a/b", b"2")], "a name of its own, not that of another; got 'a'"),
        ([("a/b/c", b"1"), ("a/b", b"2")], "a name of its own, not that of another; got 'a/b'"),
        ([(".", b"1")], "a name of its own, not that of another; got '.'"),
        ([("a/./b", b"1"), ("a/b", b"2")], "a name of its own, not that of another; got 'a/b'"),
        ([("x" * 251, b"1")], "a name may have 249 bytes"),
        ([("d/" + "ü" * 125 + "/a", b"1")], "a name may have 249 bytes"),
    ],
)
def test_names_that_no_disk_can_hold_are_refused_first(
    tmp_path: Path, members: list[tuple[str, bytes]], message: str
) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        for name, content in [("first", b"1"), *members]:
            opened.writestr(name, content)
    with pytest.raises(AnnotationError, match=message):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_place_that_is_taken_is_an_error_of_our_own(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a/b": b"1"})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_bytes(b"a file")
    for target in (tmp_path / "out", path):
        with pytest.raises(
            AnnotationError, match="a.zip: the archive must be readable and .* writable"
        ):
            unpack(path, target)
    (tmp_path / "folder.zip").mkdir()
    with pytest.raises(AnnotationError, match="folder.zip: the archive must be readable"):
        unpack(tmp_path / "folder.zip", tmp_path / "out")


def test_the_longest_name_arrives_and_what_macos_adds_does_not(tmp_path: Path) -> None:
    members = {"x" * 249: b"1", "__MACOSX/._a": b"2", "a": b"3"}
    path = archive(tmp_path / "a.zip", members)
    unpack(path, tmp_path / "out")
    found = tree(tmp_path / "out")
    assert found.pop(".a.zip.unpacked") and found == {"x" * 249: b"1", "a": b"3"}
    assert members_of(path) == ["x" * 249, "a"]


@hundreds
@given(changes=st.lists(st.tuples(st.integers(0, 10**4), st.integers(0, 255)), max_size=4))
def test_any_damage_is_an_error_of_our_own_or_does_no_harm(tmp_path: Path, changes) -> None:
    path, target = tmp_path / "a.zip", tmp_path / "out"
    shutil.rmtree(target, ignore_errors=True)
    data = bytearray(archive(path, {"d/a": b"content" * 9, "b": b"2"}).read_bytes())
    for place, value in changes:
        data[place % len(data)] = value
    path.write_bytes(data)
    try:
        unpack(path, target)
    except AnnotationError as error:
        assert error.path == path
    inside = [member.resolve() for member in target.rglob("*")] if target.exists() else []
    assert all(member.is_relative_to(target.resolve()) for member in inside)
    assert {member.name for member in tmp_path.iterdir()} <= {"a.zip", "out"}
