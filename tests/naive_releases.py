"""The formats of released lists, stated once more line by line, for comparison.

Each function returns what a file holds, or the number of the first line that is wrong; `ANY` where
the file as a whole is.
"""

from __future__ import annotations

import re

from data_prep.garments.values import ATTRIBUTES, VALUES

ANY = None
Labels = list[tuple[str, tuple[int, int]]]


def good_name(name: str) -> bool:
    """Say whether an image path stays inside its folder and can be a file's name."""
    if (
        not name
        or name[0] in "/\\~"
        or name[1:2] == ":"
        and name[0].isascii()
        and name[0].isalpha()
    ):
        return False
    if any(ord(c) < 32 or ord(c) in (0x7F, 0xFEFF) or 0xD800 <= ord(c) < 0xE000 for c in name):
        return False
    if ".." in name.replace("\\", "/").split("/"):
        return False
    return len(name.encode()) <= 2000 and max(len(p.encode()) for p in name.split("/")) <= 240


def lines_of(data: bytes) -> list[str] | int:
    """Split at LF, CRLF and CR; return the first line that is no UTF-8 instead, if there is one."""
    lines = []
    parts = re.split(rb"\r\n|\r|\n", data.removeprefix(b"\xef\xbb\xbf"))
    for number, part in enumerate(parts, 1):
        try:
            lines.append(part.decode())
        except UnicodeDecodeError:
            return number
    return lines


def fashionai(data: bytes) -> Labels | int:
    lines = lines_of(data)
    if isinstance(lines, int):
        return lines
    found: dict[tuple[str, str], int] = {}
    for number, line in enumerate(lines, 1):
        if line.strip() == "":
            continue
        fields = [field.strip() for field in line.split(",")]
        if len(fields) != 3 or not good_name(fields[0]):
            return number
        name, kind, marks = fields
        attribute = kind[: -len("_labels")] if kind.endswith("_labels") else kind
        values = [at for at, mark in enumerate(marks) if mark == "y"]
        if attribute not in VALUES or len(marks) != len(VALUES[attribute]):
            return number
        if len(values) != 1 or set(marks) - set("nmy"):
            return number
        if found.get((name, attribute), values[0]) != values[0]:
            return number
        found[name, attribute] = values[0]
    return [(name, (ATTRIBUTES.index(a), value)) for (name, a), value in found.items()]


def clean(cell: str) -> str:
    """Take invisible characters out of a cell, and make each run of blanks one blank."""
    cell = "".join(c for c in cell if c not in "\u200b\u2060\ufeff")
    for odd in "\t\xa0\u2007\u202f":
        cell = cell.replace(odd, " ")
    while "  " in cell:
        cell = cell.replace("  ", " ")
    return cell.strip()


def catalogue(data: bytes) -> list[tuple[str, str, dict[str, str]]] | int:
    """Read a CSV file that holds no quotation mark, and no line `sep=`."""
    lines = lines_of(data)
    if isinstance(lines, int):
        return lines
    counts = [lines[0].count(mark) for mark in ",;\t|"]
    separator = ",;\t|"[counts.index(max(counts))]
    columns = [clean(cell) for cell in lines[0].split(separator)]
    named = [column for column in columns if column]
    if named.count("image") != 1 or any(named.count(name) > 1 for name in named):
        return 1
    found, unnamed, seen = [], [], set()
    for number, line in enumerate(lines[1:], 2):
        cells = [clean(cell) for cell in line.split(separator)]
        if cells == [""] * len(cells):
            continue
        if len(cells) < len(columns) or "".join(cells[len(columns) :]):
            return number
        pairs = list(zip(columns, cells[: len(columns)], strict=True))
        row = {column: cell for column, cell in pairs if column}
        image, split = row.pop("image"), row.pop("split", "")
        if not good_name(image) or image in seen:
            return number
        if "split" in columns and split not in ("train", "valid", "test"):
            return number
        if any(not cell.isprintable() for cell in cells):
            return number
        seen.add(image)
        unnamed.append([cell for column, cell in pairs if not column])
        gaps = {"nan", "none", "null", "n/a", "#n/a", "-", "–", "—"}
        gone = {c for c, cell in row.items() if cell.lower() in gaps or cell == "NA"}
        found.append((image, split, {c: "" if c in gone else cell for c, cell in row.items()}))
    for cells in zip(*unnamed, strict=True):
        numbers = all(re.fullmatch(r"\d+", cell) for cell in cells)
        if any(cells) and not (numbers and len(set(cells)) == len(cells)):
            return 1
    return found


def deepfashion_rows(data: bytes) -> tuple[list[tuple[int, str]], int | None]:
    """Return the numbered lines after count and header, and the first line that breaks the form."""
    texts = []
    for number, part in enumerate(data.split(b"\n"), 1):
        try:
            text = part.removeprefix(b"\xef\xbb\xbf" if number == 1 else b"").decode().rstrip("\r")
        except UnicodeDecodeError:
            return (
                (texts[2:], number)
                if texts and re.fullmatch("[0-9]+", texts[0][1].strip())
                else (
                    [],
                    1 if texts else number,
                )
            )
        if text.strip():
            texts.append((number, text))
    if not texts or not re.fullmatch("[0-9]+", texts[0][1].strip()) or len(texts) < 2:
        return [], 1
    count = int(texts[0][1].strip()[:12])
    return texts[2:], None if len(texts) - 2 == count else texts[-1][0]


def deepfashion_images(data: bytes, columns: int) -> list[tuple[str, list[int]]] | int:
    """Return each image with the columns that are marked 1."""
    rows, broken = deepfashion_rows(data)
    found: dict[str, list[int]] = {}
    for number, text in rows:
        name, *marks = text.split()
        if not good_name(name) or name in found or len(marks) != columns:
            return number
        if any(mark not in ("-1", "0", "1") for mark in marks):
            return number
        found[name] = [at for at, mark in enumerate(marks) if mark == "1"]
    return list(found.items()) if broken is None else broken


def deepfashion_values(data: bytes) -> list[list[str]] | int | None:
    """Return the names of each type's values."""
    rows, broken = deepfashion_rows(data)
    names: list[list[str]] = [[], [], [], [], []]
    for number, text in rows:
        match = re.fullmatch(r"(.*\S.*) ([1-5])", text.rstrip(), re.DOTALL)
        if not match:
            return number
        names[int(match[2]) - 1].append(match[1].strip())
    if broken is not None:
        return broken
    return names if all(names) else ANY


def urls(data: bytes) -> dict[str, str] | int:
    lines = lines_of(data)
    if isinstance(lines, int):
        return lines
    found = {}
    for number, line in enumerate(lines, 1):
        if line.strip() == "":
            continue
        match = re.fullmatch(r"(.*\S)\s+(\S+)", line.strip(), re.DOTALL)
        if not match or not good_name(match[1]):
            return number
        if not re.match("https?://", match[2]):
            return number
        found[match[1]] = match[2]
    return found
