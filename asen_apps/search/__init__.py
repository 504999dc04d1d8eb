"""Search a catalogue of images by attribute: exact, approximate, or beyond one machine."""

from asen_apps.search.backends import HNSW_FROM, Backend
from asen_apps.search.errors import RetrievalError
from asen_apps.search.index import AttributeIndex, Hit
from asen_apps.search.manifest import model_fingerprint
from asen_apps.search.vectors import query_file

__all__ = [
    "AttributeIndex",
    "Backend",
    "HNSW_FROM",
    "Hit",
    "RetrievalError",
    "model_fingerprint",
    "query_file",
]
