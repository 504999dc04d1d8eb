"""Tables of a study's results, and of published ones."""

from asen_study.tables.collecting import (
    StudyTables,
    TableError,
    collect,
    compare,
    localisation_table,
    starts,
    sweep,
    triplet_table,
)
from asen_study.tables.costs import measure_costs, measure_untrained_costs, remeasure_costs
from asen_study.tables.labels import labels_needed, tags
from asen_study.tables.writing import (
    cells,
    in_words,
    published,
    source_note,
    summarise,
    to_latex,
    to_markdown,
    write,
    write_published,
    write_table,
)

__all__ = [
    "StudyTables",
    "TableError",
    "cells",
    "collect",
    "compare",
    "in_words",
    "labels_needed",
    "localisation_table",
    "measure_costs",
    "measure_untrained_costs",
    "published",
    "remeasure_costs",
    "source_note",
    "starts",
    "summarise",
    "sweep",
    "tags",
    "to_latex",
    "to_markdown",
    "triplet_table",
    "write",
    "write_published",
    "write_table",
]
