"""Input of given texts for runs at size: Parquet files of random words, of very many domains.

    python -m tests.benchmarks.given_texts --folder /tmp/in --documents 1000000 --words 80

A tenth of the documents are copies with 0, 1 or 2 words replaced, or one boilerplate page
(`dedup_corpus`). Document i is of the registered domain `site-<i % domains>.example`.
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.benchmarks.dedup_corpus import BLOCK_SIZE, block_rows, vocabulary

_SCHEMA = pa.schema([("url", pa.string()), ("text", pa.large_string())])


def write_texts(folder: Path, *, documents: int, words: int, files: int, domains: int) -> None:
    """Write `documents` (a multiple of BLOCK_SIZE) texts of `words` words, seven bytes each."""
    folder.mkdir(parents=True, exist_ok=True)
    table = vocabulary()
    blocks = np.array_split(np.arange(documents // BLOCK_SIZE), files)
    for number, own in enumerate(blocks):
        # Random words: no codec but time would be lost.
        path = folder / f"part-{number:05d}.parquet"
        with pq.ParquetWriter(path, _SCHEMA, compression="none") as writer:
            for block in own.tolist():
                writer.write_batch(_rows(block, words, domains, table))


def _rows(block: int, words: int, domains: int, table: np.ndarray) -> pa.RecordBatch:
    first = block * BLOCK_SIZE
    urls = [
        f"https://www.site-{place % domains}.example/page/{place}"
        for place in range(first, first + BLOCK_SIZE)
    ]
    texts = block_rows(block, words, table).column("text")
    return pa.RecordBatch.from_arrays([pa.array(urls), texts], schema=_SCHEMA)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--documents", type=int, required=True)
    parser.add_argument("--words", type=int, default=80)
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--domains", type=int, default=50_000)
    given = parser.parse_args()
    write_texts(
        given.folder, documents=given.documents, words=given.words, files=given.files,
        domains=given.domains,
    )  # fmt: skip


if __name__ == "__main__":
    main()
