"""Putting image files into a dataset's folder: once, in full, and again after a repair."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from data_prep.image_files import place_image


@pytest.fixture(params=[True, False], ids=["links", "copies"])
def places(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, Path]:
    """Return source and target, on one disk with links, or as if on two."""
    if not request.param:

        def refuse(*arguments: object) -> None:
            raise OSError("another disk")

        monkeypatch.setattr("os.link", refuse)
    return tmp_path / "a.png", tmp_path / "deep" / "b.png"


def test_an_image_is_placed_once_and_whole(places: tuple[Path, Path]) -> None:
    source, target = places
    source.write_bytes(b"first")
    place_image(source, target)
    placed = target.stat()
    place_image(source, target)
    assert target.read_bytes() == b"first" and os.path.samestat(target.stat(), placed)
    assert [path.name for path in target.parent.iterdir()] == ["b.png"]
    source.unlink()
    place_image(source, target)
    assert target.read_bytes() == b"first"  # what is there stays when its source is gone


def test_a_repaired_or_replaced_image_takes_the_place_of_the_old_one(
    places: tuple[Path, Path],
) -> None:
    source, target = places
    source.write_bytes(b"")
    place_image(source, target)
    source.unlink()
    source.write_bytes(b"whole")
    place_image(source, target)
    assert target.read_bytes() == b"whole"


@pytest.mark.parametrize("relative", [True, False])
def test_a_link_is_followed_to_the_file_itself(places: tuple[Path, Path], relative: bool) -> None:
    source, target = places
    cached = source.parent / "cache" / "5d41402a"
    cached.parent.mkdir()
    cached.write_bytes(b"content")
    second = source.parent / "cache" / "again"
    second.symlink_to("5d41402a")  # a link to a link
    source.symlink_to(second.relative_to(source.parent) if relative else second)
    target.parent.mkdir()
    target.symlink_to(cached)  # as an older version has placed it
    for _ in range(2):
        place_image(source, target)
        assert target.read_bytes() == b"content" and not target.is_symlink()
    source.unlink()
    source.symlink_to("nothing")
    place_image(source, target)
    assert target.read_bytes() == b"content"
