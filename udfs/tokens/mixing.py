"""Documents of several sources in one corpus: how often each enters, decided by its id alone."""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from udfs.tokens.copies import REPEATS
from udfs.tokens.order import Words, buckets, document_keys, mix

SOURCE = pa.field("source", pa.string())
# Draws are counted by so many of their bits at a time, from the highest on.
LEVEL_BITS = 16
DRAW_BITS = 64
COUNTS = pa.schema(
    [
        pa.field("bucket", pa.int32()),
        pa.field("documents", pa.int64()),
        pa.field("copies", pa.int64()),
        pa.field("tokens", pa.int64()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Passes:
    """A source enters a corpus `whole` times, and once more with draws below `limit` (to 2^64).

    Draws whose first 16 bits are in `without` stay out of that last pass. What a document's own
    number of copies is, each pass takes so many.
    """

    whole: int
    limit: int
    without: tuple[int, ...] = ()


def _number(source: str, use: str) -> int:
    digest = hashlib.blake2b(f"{use}\0{source}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def draws(doc_ids: pa.Array, source: str) -> Words:
    """Return a number in 0..2^64-1 for each document of a source, which no seed changes."""
    return document_keys(doc_ids, _number(source, "draw"))


def copies_in(batch: pa.RecordBatch) -> npt.NDArray[np.int64]:
    """Return how often each document enters by the recipe of its source."""
    if REPEATS.name not in batch.schema.names:
        return np.ones(batch.num_rows, np.int64)
    return np.asarray(batch.column(REPEATS.name).to_numpy(), np.int64)


def counted(batch: pa.RecordBatch, source: str, prefix: int, level: int) -> pa.RecordBatch:
    """Count documents, copies and tokens (with an end of text each) by 16 bits of their draws.

    Only of draws whose first `level` times 16 bits are `prefix`; buckets are of the next 16.
    """
    drawn, copies = draws(batch.column("doc_id"), source), copies_in(batch)
    tokens = (batch.column("num_tokens").to_numpy().astype(np.int64) + 1) * copies
    left = DRAW_BITS - LEVEL_BITS * level
    chosen = np.full(len(drawn), True) if level == 0 else drawn >> np.uint64(left) == prefix
    places = ((drawn >> np.uint64(left - LEVEL_BITS)) & np.uint64(2**LEVEL_BITS - 1))[chosen]
    found, rows = np.unique(places, return_inverse=True)
    sums = np.zeros((3, len(found)), np.int64)
    for total, values in zip(sums, (copies > 0, copies, tokens), strict=True):
        np.add.at(total, rows, values[chosen].astype(np.int64))
    columns = [found.astype(np.int32), *sums]
    return pa.RecordBatch.from_arrays([pa.array(one) for one in columns], schema=COUNTS)


def _last(doc_ids: pa.Array, source: str, passes: Passes) -> npt.NDArray[np.bool_]:
    """Say which documents are in the pass that is not whole."""
    drawn = draws(doc_ids, source)
    first = drawn >> np.uint64(DRAW_BITS - LEVEL_BITS)
    inside = ~np.isin(first, np.array(passes.without, np.uint64))
    if passes.limit == 2**DRAW_BITS:
        return inside
    return inside & (drawn < np.uint64(passes.limit))


def mixed(batch: pa.RecordBatch, source: str, passes: Passes, cells: int) -> pa.RecordBatch:
    """Return tokenized documents of a source with their place and copies in a corpus of several.

    Places do not depend on those that a document has in its own source: the same page of two
    sources lies in two places. Documents with 0 copies keep their row and lose their tokens.
    """
    copies = copies_in(batch) * (passes.whole + _last(batch.column("doc_id"), source, passes))
    salt = np.uint64(_number(source, "place"))
    keys = mix(batch.column("order_key").to_numpy().view(np.uint64) ^ salt)
    tokens = batch.column("tokens")
    nothing = pa.scalar(b"", tokens.type)
    new = {
        SOURCE.name: pa.repeat(pa.scalar(source, SOURCE.type), batch.num_rows),
        REPEATS.name: pa.array(copies.astype(np.int32)),
        "order_key": pa.array(keys.view(np.int64)),
        "cell": pa.array(buckets(keys, cells)),
        "tokens": pc.if_else(pa.array(copies > 0), tokens, nothing),
    }
    for name, column in new.items():
        place = batch.schema.get_field_index(name)
        added = place < 0
        batch = (
            batch.append_column(name, column) if added else batch.set_column(place, name, column)
        )
    return batch
