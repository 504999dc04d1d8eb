"""Search a catalogue of images by attribute: exact, approximate, or beyond one machine."""

from asen_tf.retrieval.backends import Backend
from asen_tf.retrieval.choosing import HNSW_FROM
from asen_tf.retrieval.errors import RetrievalError
from asen_tf.retrieval.fingerprint import model_fingerprint
from asen_tf.retrieval.hits import Hit
from asen_tf.retrieval.index import AttributeIndex
from asen_tf.retrieval.queries import query_file

__all__ = [
    "HNSW_FROM",
    "AttributeIndex",
    "Backend",
    "Hit",
    "RetrievalError",
    "model_fingerprint",
    "query_file",
]
