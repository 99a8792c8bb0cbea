"""Copies of documents: as many as are asked for, and apart from each other in the order."""

import numpy as np
import pyarrow as pa

from udfs.tokens.copies import copied
from udfs.tokens.order import buckets


def documents(repeats):
    keys = np.random.default_rng(1).integers(0, 2**64, len(repeats), np.uint64)
    return pa.record_batch(
        {
            "doc_id": pa.array([str(row).encode() for row in range(len(repeats))]),
            "order_key": pa.array(keys.view(np.int64)),
            "cell": pa.array(buckets(keys, 10)),
            "repeats": pa.array(repeats, pa.int32()),
        }
    )


def test_the_first_copy_stays_where_the_document_was():
    batch = documents([1, 3, 0, 2])
    got = copied(batch, 10)
    assert got["doc_id"].to_pylist() == [b"0", b"1", b"1", b"1", b"3", b"3"]
    assert got["repeat"].to_pylist() == [0, 0, 1, 2, 0, 1]
    first = got.filter(pa.compute.equal(got["repeat"], 0)).select(["order_key", "cell"])
    assert first.equals(batch.take(pa.array([0, 1, 3])).select(["order_key", "cell"]))


def test_any_two_copies_are_apart_and_do_not_take_their_neighbours_along():
    got = copied(documents([5] * 2000), 10)
    keys = got["order_key"].to_numpy().view(np.uint64).reshape(-1, 5)
    assert got["cell"].to_numpy().tolist() == buckets(keys.ravel(), 10).tolist()
    places = np.sort(keys.astype(np.float64) / 2.0**64, axis=1)
    gaps = np.diff(np.concatenate([places, places[:, :1] + 1], axis=1))
    assert gaps.min() >= 0.1 - 1e-9
    order = [np.argsort(keys[:, number]) for number in range(2)]
    after = [dict(zip(one[:-1].tolist(), one[1:].tolist(), strict=True)) for one in order]
    shared = sum(after[0][document] == after[1].get(document) for document in after[0])
    assert shared < 20


def test_the_cuts_of_batches_do_not_matter():
    batch = documents([2, 0, 1, 4, 1])
    parts = [copied(batch.slice(start, 1), 3) for start in range(5)]
    assert pa.Table.from_batches(parts).equals(
        pa.Table.from_batches([copied(batch, 3)]).combine_chunks()
    )
