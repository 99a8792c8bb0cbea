"""The `documents` table: one row per WARC response record, whatever became of it."""

import hashlib

import pyarrow as pa

KEPT, DROPPED, QUARANTINED = "kept", "dropped", "quarantined"
FATES = (KEPT, DROPPED, QUARANTINED)

# The stage that gives documents their first fate. Which of its parts does, reading, extraction or a
# family's rules, is told by the rule: their names differ.
STAGE = "documents"
# The rule of the one row of a file in which there is nothing to read.
EMPTY_FILE = "empty_file"

SOURCE_FIELDS = (
    # 16 bytes: hash of (crawl, WARC path, record offset), the identity of a document.
    pa.field("doc_id", pa.binary()),
    pa.field("crawl", pa.string()),
    pa.field("warc_path", pa.string()),
    # Byte offset of the record (or its gzip member) in the file; a line or row number for
    # pre-extracted input.
    pa.field("warc_offset", pa.int64()),
    pa.field("url", pa.string()),
    pa.field("fetch_time", pa.timestamp("us", "UTC")),
    pa.field("http_status", pa.int32()),
    pa.field("content_type", pa.string()),
    pa.field("charset", pa.string()),
    pa.field("charset_source", pa.string()),
    # What of the page could not be decoded: the text is of the rest. Null: nothing.
    pa.field("damage", pa.string()),
    pa.field("extractor", pa.string()),
    pa.field("html_size_bytes", pa.int64()),
)
FATE_FIELDS = (
    pa.field("fate", pa.string()),
    pa.field("stage", pa.string()),
    pa.field("rule", pa.string()),
    pa.field("value", pa.float64()),
    pa.field("threshold", pa.float64()),
    pa.field("error", pa.string()),
)
TEXT = pa.field("text", pa.string())
# What reading and extraction produce; later stages put their signals between text and fate.
EXTRACTED = pa.schema([*SOURCE_FIELDS, TEXT, *FATE_FIELDS])

# Columns of the user's own, from pre-extracted input: one JSON object for each document. It is a
# column of the tables only where `input.columns` names some.
OWN_COLUMNS = pa.field("own_columns", pa.string())


def document_id(crawl: str, warc_path: str, warc_offset: int) -> bytes:
    """Return the 128-bit identity of the record at `warc_offset` of `warc_path` in `crawl`."""
    key = f"{crawl}\0{warc_path}\0{warc_offset}".encode()
    return hashlib.blake2b(key, digest_size=16, person=b"dclm-document").digest()
