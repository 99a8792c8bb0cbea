"""The table of the documents stage, and the keys by which its texts are found to be the same."""

import hashlib
import unicodedata

import pyarrow as pa
import pyarrow.compute as pc

from udfs.documents.schema import FATE_FIELDS, KEPT, SOURCE_FIELDS
from udfs.rules import families

# 16 bytes: hash of the cleaned text of kept documents, for exact deduplication.
TEXT_HASH = pa.field("text_hash", pa.binary())
# Origin, text, signals and fate of each document.
DOCUMENTS = pa.schema(
    [
        *SOURCE_FIELDS,
        pa.field("text", pa.string()),
        *families.SIGNALS,
        TEXT_HASH,
        *FATE_FIELDS,
    ]
)
# What texts are hashed as.
UNCHANGED, COMPOSED = "none", "nfc"


def text_hashes(batch: pa.RecordBatch, normalization: str) -> pa.Array:
    """Return 16 bytes for the text of each kept document, null for the others.

    With "nfc", texts have equal hashes that differ only in how letters are composed.
    """
    kept = pc.equal(batch.column("fate"), KEPT)
    texts = pc.if_else(kept, batch.column("text"), None).cast(pa.large_binary()).to_pylist()
    hashes = [None if text is None else _hash(text, normalization) for text in texts]
    return pa.array(hashes, pa.binary())


def _hash(text: bytes, normalization: str) -> bytes:
    if normalization == COMPOSED and not text.isascii():
        text = unicodedata.normalize("NFC", text.decode()).encode()
    return hashlib.blake2b(text, digest_size=16).digest()
