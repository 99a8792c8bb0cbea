"""Which removal from a corpus took a document: what its lists name, and what its tasks met."""

import json
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from dclm_spark.removal.tombstones import (
    LIST_FILE,
    RECORD_FILE,
    documents_met,
    num_removals,
    removal_folder,
)
from udfs import storage
from udfs.storage.parquet import read_table
from udfs.units.removals import read_wanted

_DAY = len("2026-05-03")


def removed_by(shards: str, documents: Sequence[tuple[bytes, str | None]]) -> list[str]:
    """Say of each (id, address) by which removal from the corpus in `shards` it went.

    The first one that names it, with its reason and day; "" for a document that stays. An empty
    address is that of a compacted document, which is known by what the removal's tasks met.
    """
    told = [""] * len(documents)
    ids = pa.array([doc_id for doc_id, _ in documents], pa.binary())
    urls = pa.array([url for _, url in documents], pa.string())
    for number in range(1, num_removals(shards) + 1):
        if all(told):
            break
        mask = _named(shards, number, ids, urls).to_pylist()
        if any(mask):
            sentence = described_removal(shards, number)
            pairs = zip(told, mask, strict=True)
            told = [one or (sentence if is_named else "") for one, is_named in pairs]
    return told


def _named(shards: str, number: int, ids: pa.Array, urls: pa.Array) -> pa.BooleanArray:
    listed = storage.join(removal_folder(shards, number), LIST_FILE)
    found = read_wanted([listed]).mask(ids, urls)
    if pc.any(pc.and_(pc.equal(urls, ""), pc.invert(found))).as_py():
        for file in documents_met(shards, number):
            for batch in read_table(file["uri"], ["doc_id"]):
                met = pc.is_in(ids, batch.column("doc_id").cast(ids.type))
                found = pc.or_(found, met)
    return found


def described_removal(shards: str, number: int) -> str:
    """Return in a few words which removal this is, why it was and when."""
    uri = storage.join(removal_folder(shards, number), RECORD_FILE)
    try:
        record = json.loads(storage.read_bytes(uri))
    except storage.MissingObjectError:
        return f"removal {number}, which did not end: its own command ends it"
    return f"removal {number} ({record['reason']}, {record['time'][:_DAY]})"
