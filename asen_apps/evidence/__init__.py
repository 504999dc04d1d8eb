"""Design evidence: what a catalogue holds that is near to a design, and how unusual that is.

`examine` compares, `make` draws and says where everything comes from, `write` keeps it as one HTML
page and a file of numbers. A sheet is a statement about a model's similarity on one catalogue; it
is neither a legal judgement nor proof of copying.
"""

from asen_apps.evidence.catalogue import CatalogueFiles, Design, EvidenceError, first_design
from asen_apps.evidence.examination import (
    TOGETHER,
    Examination,
    check,
    examine,
    in_words,
)
from asen_apps.evidence.page import as_html, write
from asen_apps.evidence.sheet import Sheet, find_model, make
from asen_apps.evidence.statistics import empirical_p

__all__ = [
    "CatalogueFiles",
    "Design",
    "EvidenceError",
    "Examination",
    "Sheet",
    "TOGETHER",
    "as_html",
    "check",
    "empirical_p",
    "examine",
    "find_model",
    "first_design",
    "in_words",
    "make",
    "write",
]
