"""Search a catalogue of images by attribute: exact, approximate, or beyond one machine."""

from asen_apps.search.backend import Backend, SearchIndexError
from asen_apps.search.index import AttributeIndex, Hit
from asen_apps.search.storage import model_fingerprint
from asen_apps.search.vectors import HNSW_FROM, check_attributes, check_weights

__all__ = [
    "AttributeIndex",
    "Backend",
    "HNSW_FROM",
    "Hit",
    "SearchIndexError",
    "check_attributes",
    "check_weights",
    "model_fingerprint",
]
