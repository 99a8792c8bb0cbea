"""The table of the documents stage: origin, text, signals and fate of each document."""

import pyarrow as pa

from udfs.documents.schema import FATE_FIELDS, SOURCE_FIELDS
from udfs.rules import families

# 16 bytes: hash of the cleaned text of kept documents, for exact deduplication.
TEXT_HASH = pa.field("text_hash", pa.binary())
DOCUMENTS = pa.schema(
    [
        *SOURCE_FIELDS,
        pa.field("text", pa.string()),
        *families.SIGNALS,
        TEXT_HASH,
        *FATE_FIELDS,
    ]
)
