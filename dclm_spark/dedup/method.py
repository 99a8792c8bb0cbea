"""The table in which a dedup method says which documents are copies, and of what."""

import pyarrow as pa

# One row per document to remove: `value` is the similarity or share that was compared with
# `threshold`; `partner` is the document that stays in its place.
VERDICTS = pa.schema(
    [
        pa.field("doc_id", pa.binary()),
        pa.field("rule", pa.string()),
        pa.field("value", pa.float64()),
        pa.field("threshold", pa.float64()),
        pa.field("partner", pa.binary()),
    ]
)
