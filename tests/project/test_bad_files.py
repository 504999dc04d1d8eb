"""A sample of the bad files that `make fuzz` tries by the thousand: read rightly, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.bad_files import edited, try_kind
from benchmarks.file_kinds import QUICK, Kind


@pytest.mark.parametrize("make", QUICK, ids=lambda make: make.__name__)
def test_a_bad_file_is_read_rightly_or_refused_by_name(make, tmp_path: Path) -> None:
    kind, figures = try_kind(make, 200, tmp_path)
    found = figures.outcomes
    assert found["refused"] > len(kind.harmful) and found.total() >= 8


def test_a_reader_that_lets_other_errors_through_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("12")

    def read() -> None:
        int(path.read_text())  # raises ValueError, which is not ours

    with pytest.raises(ValueError, match="invalid literal|codec"):
        try_kind(lambda folder: Kind("numbers", 100, [path], read, (KeyError,)), 50, tmp_path)
    assert path.read_text() == "12"  # put back


def test_every_way_to_change_a_file_does() -> None:
    ways = {"cut": b"ad", "insert": b"axbcd", "overwrite": b"axcd", "end": b"a"}
    for way, expected in ways.items():
        assert edited(b"abcd", [(way, 1, 2, b"x")]) == expected
    assert edited(b"abcd", [("repeat", 1, 2, b"")]) == b"abcbcbcd"
