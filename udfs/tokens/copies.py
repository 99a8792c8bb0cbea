"""Documents that enter a corpus more than once: their copies lie apart in the keyed order."""

import numpy as np
import pyarrow as pa

from udfs.tokens.order import buckets, mix

# How often a document enters the corpus, and, from 0, the how-manieth copy a row is.
REPEATS = pa.field("repeats", pa.int32())
REPEAT = pa.field("repeat", pa.int32())


def copied(batch: pa.RecordBatch, cells: int) -> pa.RecordBatch:
    """Return each row as often as its `repeats` say, with `repeat`, `order_key` and `cell`.

    Copy 0 stays where the document was. Of n copies, any two are at least 1 / 2n of the whole
    order apart, and no two documents have all of their copies beside each other.
    """
    counts = batch.column(REPEATS.name).to_numpy().astype(np.int64)
    rows = np.repeat(np.arange(len(counts)), counts)
    numbers = (np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)).astype("u8")
    keys = batch.column("order_key").to_numpy().view(np.uint64)[rows]
    steps = np.uint64(2**64 - 1) // counts[rows].astype(np.uint64)
    strayed = mix(mix(keys) + numbers) % np.maximum(steps // np.uint64(2), np.uint64(1))
    keys = keys + numbers * steps + np.where(numbers > 0, strayed, np.uint64(0))
    taken = batch.take(pa.array(rows))
    new = {
        "order_key": pa.array(keys.view(np.int64)),
        "cell": pa.array(buckets(keys, cells)),
    }
    for name, column in new.items():
        if name in taken.schema.names:
            taken = taken.set_column(taken.schema.get_field_index(name), name, column)
    return taken.append_column(REPEAT, pa.array(numbers.astype(np.int32)))
