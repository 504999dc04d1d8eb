"""Hundreds of meta.json and values.json: a correct table, or our own error naming the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from made_up_inputs import hundreds

from asen_tf.data import AnnotationError, AttributeTable, read_meta, read_value_names
from data_prep.writing import write_meta as write

TABLE = AttributeTable(("length", "neck"), (2, 1))

LEAF = st.sampled_from([None, True, 0, 1, 3, -1, 2.0, "", "length", "neck", "overall", 10**400])
ANY = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(st.sampled_from(["length", "neck", "x"]), inner, max_size=2),
    ),
    max_leaves=4,
)
NAMES = st.sampled_from([["length"], ["length", "neck"], ["neck"], ["length", "length"], [[]]])
NUMBERS = st.dictionaries(
    st.sampled_from(["length", "neck"]), st.sampled_from([1, 3, 0]), min_size=1
)
ENTRY = st.fixed_dictionaries(
    {"ATTRIBUTES": st.one_of(NAMES, NAMES, ANY), "ATTRIBUTES_NUM": st.one_of(NUMBERS, NUMBERS, ANY)}
)
META = st.one_of(st.fixed_dictionaries({"Tiny": st.one_of(ENTRY, ENTRY, ANY)}), ANY)
VALUES = st.one_of(
    st.fixed_dictionaries(
        {
            "length": st.one_of(st.lists(st.sampled_from(["a", "b"]), max_size=3), ANY),
            "neck": st.one_of(st.just(["V"]), ANY),
        }
    ),
    ANY,
)
# Mostly JSON, with a part cut out at times.
CUT = st.one_of(st.just((0, 0)), st.just((0, 0)), st.tuples(st.integers(0, 60), st.integers(0, 5)))


def text_of(content: Any, cut: tuple[int, int]) -> str:
    text = json.dumps(content, indent=1)
    return text[: cut[0]] + text[cut[0] + cut[1] :]


def parsed(text: str) -> tuple[Any, int | None]:
    """Return the content; or None and the line where it is no JSON."""
    try:
        return json.loads(text), None
    except json.JSONDecodeError as error:
        return None, text.count("\n", 0, error.pos) + 1
    except ValueError:  # a number of too many digits
        return None, None


def naive_table(meta: Any) -> tuple[tuple[str, ...], tuple[int, ...]] | None:
    """Return names and numbers of values, None where a rule is broken."""
    entry = meta.get("Tiny") if isinstance(meta, dict) else None
    if not isinstance(entry, dict) or not {"ATTRIBUTES", "ATTRIBUTES_NUM"} <= set(entry):
        return None
    names, numbers = entry["ATTRIBUTES"], entry["ATTRIBUTES_NUM"]
    if not isinstance(names, list) or not names or not isinstance(numbers, dict):
        return None
    if any(not isinstance(name, str) or not name or name == "overall" for name in names):
        return None
    if len(set(names)) < len(names) or sorted(numbers) != sorted(names):
        return None
    sizes = tuple(numbers[name] for name in names)
    whole = all(type(size) is int and 1 <= size <= 10**6 for size in sizes)
    return (tuple(names), sizes) if whole else None


@hundreds
@given(META, CUT)
@example("[" * 100_000, (0, 0))
@example({"Tiny": {"ATTRIBUTES": [True], "ATTRIBUTES_NUM": [True]}}, (0, 0))
def test_meta(tmp_path: Path, content: Any, cut: tuple[int, int]) -> None:
    text = content if isinstance(content, str) and "[[" in content else text_of(content, cut)
    (tmp_path / "meta.json").write_text(text)
    meta, line = parsed(text) if "[[[[" not in text else (None, None)
    try:
        table = read_meta(tmp_path, "Tiny")
    except AnnotationError as error:
        assert naive_table(meta) is None and error.path == tmp_path / "meta.json"
        assert error.line == line
    else:
        assert (table.names, table.sizes) == naive_table(meta)


@hundreds
@given(VALUES, CUT)
def test_value_names(tmp_path: Path, content: Any, cut: tuple[int, int]) -> None:
    if not (tmp_path / "meta.json").exists():
        write(tmp_path, "Tiny", TABLE, {"length": ["a", "b"], "neck": ["V"]})
    path, text = tmp_path / "Tiny" / "values.json", text_of(content, cut)
    path.write_text(text)
    names, line = parsed(text)
    right = isinstance(names, dict) and sorted(names) == ["length", "neck"]
    for attribute, size in (("length", 2), ("neck", 1)) if right else ():
        held = names[attribute]
        right &= isinstance(held, list) and len(held) == size
        right = right and all(isinstance(name, str) for name in held)
    try:
        found = read_value_names(tmp_path, "Tiny")
    except AnnotationError as error:
        assert not right and error.path == path and error.line == line
    else:
        assert right and found == names


@hundreds
@given(st.binary(max_size=30))
def test_bytes_that_are_no_json(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "meta.json").write_bytes(data)
    try:
        read_meta(tmp_path, "Tiny")
    except AnnotationError as error:
        assert error.path == tmp_path / "meta.json"
    else:
        raise AssertionError("no such bytes are a table")
