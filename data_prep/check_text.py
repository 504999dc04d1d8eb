"""The report of `data_prep.check` as tables for people."""

from __future__ import annotations

from typing import Any

Row = list[str]


def render(dataset: str, report: dict[str, Any]) -> str:
    """Return the report of `data_prep.check.check` as text."""
    parts = []
    if report["splits"]:
        parts = [
            f"{dataset}: splits",
            _align(_split_rows(report["splits"])),
            *_chance(report["splits"]),
            "Rows per value",
            _align(_value_rows(report["splits"], report["value_names"] or {})),
        ]
    problems = report["problems"]
    stopping = sum(problem["stops_training"] for problem in problems)
    parts.append(f"Problems: {len(problems)}, of which {stopping} stop training")
    parts += [
        f"- {'STOPS TRAINING ' if problem['stops_training'] else ''}"
        f"[{problem['split'] or dataset}] {problem['kind']}: {problem['message']}"
        for problem in problems
    ]
    return "\n".join(parts)


def _split_rows(splits: dict[str, Any]) -> list[Row]:
    keys = [key for key in _KEYS if any(key in split for split in splits.values())]
    rows = [["split", *(_KEYS[key] for key in keys)]]
    for name, split in splits.items():
        rows.append([name, *(_text(split.get(key)) for key in keys)])
    return rows


_KEYS = {
    "files": "images listed",
    "missing": "missing",
    "labels": "labels",
    "queries": "queries",
    "candidates": "candidates",
    "triplets": "triplets",
}


def _chance(splits: dict[str, Any]) -> list[str]:
    ranked = {name: split["random_map"] for name, split in splits.items() if "random_map" in split}
    if not ranked:
        return []
    rows = [["attribute", *ranked]] + [
        [name, *(_text(chance[name]) for chance in ranked.values())]
        for name in next(iter(ranked.values()))
    ]
    return ["MAP of a random ranking, exact, in percent", _align(rows)]


def _value_rows(splits: dict[str, Any], value_names: dict[str, list[str]]) -> list[Row]:
    columns = {
        f"{split} {kind}": counts
        for split, described in splits.items()
        for kind, counts in described["values"].items()
    }
    rows = [["attribute", "value", *columns]]
    for attribute, first in next(iter(columns.values())).items():
        names = value_names.get(attribute) or [""] * len(first)
        for value, name in enumerate(names):
            counts = [str(column[attribute][value]) for column in columns.values()]
            rows.append([attribute, f"{value} {name}".strip(), *counts])
    return rows


def _text(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _align(rows: list[Row]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        words = [row[0].ljust(widths[0])]
        words += [
            cell.ljust(width) if title == "value" else cell.rjust(width)
            for cell, width, title in zip(row[1:], widths[1:], rows[0][1:], strict=True)
        ]
        lines.append("  " + "  ".join(words).rstrip())
    return "\n".join(lines) + "\n"
