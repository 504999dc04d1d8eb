"""Design evidence: what a catalogue holds that is near to a design, and how unusual that is.

`examine` compares, `make` draws and says where everything comes from, `write` keeps it as one HTML
page and a file of numbers. A sheet is a statement about a model's similarity on one catalogue; it
is no legal judgement and no proof of copying.
"""

from asen_tf.evidence.catalogue import Catalogue
from asen_tf.evidence.designs import Design, first_design
from asen_tf.evidence.errors import EvidenceError
from asen_tf.evidence.examining import examine
from asen_tf.evidence.origin import find_model
from asen_tf.evidence.page import as_html, as_json, part, write
from asen_tf.evidence.records import TOGETHER, Examination
from asen_tf.evidence.sheet import Sheet, make
from asen_tf.evidence.statements import in_words
from asen_tf.evidence.tails import Tail, tail
from asen_tf.evidence.wishes import check

__all__ = [
    "TOGETHER",
    "Catalogue",
    "Design",
    "EvidenceError",
    "Examination",
    "Sheet",
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
