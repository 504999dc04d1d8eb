"""What a cell says as a number, and what a condition on it therefore finds."""

from __future__ import annotations

import pytest

from asen_apps.search.items import as_number, matching, read_conditions


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("0,500", 0.5),
        ("-0,250", -0.25),
        ("0,125 €", 0.125),
        ("49,90 €", 49.9),
        ("1,299", 1299),
        ("1,299.00", 1299),
        ("1.299,00", 1299),
        ("1.299 €", 1299),
        ("EUR 12.345.678", 12_345_678),
        ("$1.299", 1.299),
        ("1.299", 1.299),
        ("12.99 €", 12.99),
        ("0.125 €", 0.125),
        ("100,000", 100_000),
        ("0", 0),
        ("0.5", 0.5),
        (1e-7, 1e-7),
        ("007", None),
        ("00,5", None),
        ("0,500,000", None),
        ("-", None),
        (True, None),
    ],
)
def test_a_cell_is_the_number_that_it_says_or_none(cell: object, number: float | None) -> None:
    assert as_number(cell) == number


def found(condition: str, *cells: object) -> list[object]:
    passed = matching([{"field": cell} for cell in cells], read_conditions([condition]))
    return [cell for cell, kept in zip(cells, passed, strict=True) if kept]


def test_a_decimal_comma_behind_a_zero_is_no_separator_of_thousands() -> None:
    assert found("field<1", "0,500", "0,75", "2,25") == ["0,500", "0,75"]
    assert found("field=0.5", "0,500", "500") == ["0,500"]


def test_long_article_numbers_are_told_apart() -> None:
    long = "340123450000000018"  # more digits than a float keeps
    assert found(f"field={long}", long, f"{long[:-1]}7", int(long)) == [long, int(long)]
    assert found(f"field!={long}", long, f"{long[:-1]}7") == [f"{long[:-1]}7"]


def test_numbers_that_begin_with_zeros_are_names() -> None:
    assert found("field=7", "007", "7", 7) == ["7", 7]
    assert found("field=007", "007", "7", 7) == ["007"]
