"""Design evidence: what a catalogue holds that is near to a design, and how unusual that is.

`examine` compares, `make` draws and says where everything comes from, `write` keeps it as one HTML
page and a file of numbers. A sheet is a statement about a model's similarity on one catalogue; it
is no legal judgement and no proof of copying.
"""

from asen_apps.evidence.catalogue import Catalogue, Design, EvidenceError, first_design
from asen_apps.evidence.examining import check, examine
from asen_apps.evidence.page import as_html, as_json, part, write
from asen_apps.evidence.records import TOGETHER, Examination, Tail, tail
from asen_apps.evidence.sheet import Sheet, find_model, make
from asen_apps.evidence.statements import in_words

__all__ = [
    "Catalogue",
    "Design",
    "EvidenceError",
    "Examination",
    "Sheet",
    "TOGETHER",
    "Tail",
    "as_html",
    "as_json",
    "check",
    "examine",
    "find_model",
    "first_design",
    "in_words",
    "make",
    "part",
    "tail",
    "write",
]
