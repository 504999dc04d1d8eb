"""Tables of a study's results, and of published ones."""

from asen_tf.tables.collecting import StudyTables, TableError, collect, write
from asen_tf.tables.published import published
from asen_tf.tables.text import cells, source_note, summarise, to_latex, to_markdown

__all__ = [
    "StudyTables",
    "TableError",
    "cells",
    "collect",
    "published",
    "source_note",
    "summarise",
    "to_latex",
    "to_markdown",
    "write",
]
