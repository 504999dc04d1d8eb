"""JSON files whose faults are named by file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from asen_tf.annotations.parsing import read_text
from asen_tf.annotations.records import AnnotationError


def load_json_object(path: Path) -> dict[str, Any]:
    """Return the JSON object a file holds, or raise AnnotationError with its line."""
    text = read_text(path)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)  # a JSONDecodeError knows it
        raise AnnotationError(
            "the file must be JSON",
            path=path,
            line=line,
            got=str(error),
            remedy="correct the text at that line; `python -m json.tool FILE` checks it",
        ) from None
    if not isinstance(value, dict):
        raise AnnotationError(
            "the file must hold one JSON object",
            path=path,
            got=value,
            remedy="enclose the entries in braces",
        )
    return value
