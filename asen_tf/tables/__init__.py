"""Tables of a study's results, and of published ones."""

from asen_tf.tables.collecting import StudyTables, TableError, collect
from asen_tf.tables.costs import measure_costs, measure_untrained_costs
from asen_tf.tables.pairs import compare, in_words
from asen_tf.tables.published import published, write_published
from asen_tf.tables.remeasuring import remeasure_costs
from asen_tf.tables.settings import localisation_table, sweep, triplet_table
from asen_tf.tables.text import cells, source_note, summarise, to_latex, to_markdown
from asen_tf.tables.writing import write

__all__ = [
    "StudyTables",
    "TableError",
    "cells",
    "collect",
    "compare",
    "in_words",
    "localisation_table",
    "measure_costs",
    "measure_untrained_costs",
    "published",
    "remeasure_costs",
    "source_note",
    "summarise",
    "sweep",
    "to_latex",
    "to_markdown",
    "triplet_table",
    "write",
    "write_published",
]
