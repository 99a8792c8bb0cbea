"""Generated documents for measuring dedup: random words, copies with edits, one boilerplate page.

Documents are functions of (seed, block), so a corpus is the same for any partitioning.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

Words = npt.NDArray[np.int64]

VOCABULARY_SIZE = 1 << 16
LETTERS_PER_WORD = 6
BLOCK_SIZE = 1000
# In each block: every tenth document copies the one before it with 0, 1 or 2 words replaced, but
# every hundredth is the boilerplate page.
COPY_EVERY, BOILERPLATE_EVERY = 10, 100
_SEED = 4
_TYPES = "doc_id binary, crawl string, warc_path string, warc_offset bigint, text string"


def vocabulary() -> npt.NDArray[np.uint8]:
    """Return VOCABULARY_SIZE words of six letters, each with the space behind it, as bytes."""
    numbers = np.arange(VOCABULARY_SIZE, dtype=np.int64)[:, None]
    # An odd factor makes every number another word, and neighbours look unlike.
    scattered = numbers * 0x9E3B % VOCABULARY_SIZE * 4099 + 7
    letters = scattered // 26 ** np.arange(LETTERS_PER_WORD) % 26 + ord("a")
    spaces = np.full((VOCABULARY_SIZE, 1), ord(" "))
    return np.hstack([letters, spaces]).astype(np.uint8)


def texts_of(words: Words, offsets: Words, table: npt.NDArray[np.uint8]) -> pa.Array:
    """Return the texts whose words are words[offsets[i]:offsets[i + 1]], numbers in `table`."""
    data = pa.py_buffer(np.ascontiguousarray(table[words]))
    places = pa.py_buffer((offsets * table.shape[1]).astype(np.int64))
    return pa.LargeStringArray.from_buffers(len(offsets) - 1, places, data)


def block_words(block: int, num_words: int) -> Words:
    """Return the words (BLOCK_SIZE, num_words) of the documents of a block."""
    rng = np.random.default_rng((_SEED, block))
    words = rng.integers(VOCABULARY_SIZE, size=(BLOCK_SIZE, num_words))
    copies = np.arange(COPY_EVERY - 1, BLOCK_SIZE, COPY_EVERY)
    words[copies] = words[copies - 1]
    for copy in copies:
        edited = rng.integers(num_words, size=rng.integers(3))
        words[copy, edited] = rng.integers(VOCABULARY_SIZE, size=len(edited))
    page = np.random.default_rng(_SEED).integers(VOCABULARY_SIZE, size=num_words)
    words[BOILERPLATE_EVERY - 1 :: BOILERPLATE_EVERY] = page
    return words


def block_rows(block: int, num_words: int, table: npt.NDArray[np.uint8]) -> pa.RecordBatch:
    """Return the documents of a block: doc_id, crawl, warc_path, warc_offset, text."""
    words = block_words(block, num_words)
    names = np.random.default_rng((_SEED, block, 1)).bytes(16 * BLOCK_SIZE)
    places = pa.py_buffer(np.arange(0, 16 * BLOCK_SIZE + 1, 16, dtype=np.int64))
    first = block * BLOCK_SIZE
    columns = {
        "doc_id": pa.LargeBinaryArray.from_buffers(
            pa.large_binary(), BLOCK_SIZE, [None, places, pa.py_buffer(names)]
        ),
        "crawl": pa.array(["generated"] * BLOCK_SIZE, pa.large_string()),
        "warc_path": pa.array(["generated"] * BLOCK_SIZE, pa.large_string()),
        "warc_offset": pa.array(np.arange(first, first + BLOCK_SIZE, dtype=np.int64)),
        "text": texts_of(words.reshape(-1), np.arange(BLOCK_SIZE + 1) * num_words, table),
    }
    return pa.RecordBatch.from_pydict(columns)


def corpus(spark: SparkSession, num_documents: int, num_words: int, tasks: int) -> DataFrame:
    """Return `num_documents` (a multiple of BLOCK_SIZE) documents of `num_words` words each."""

    def generate(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        table = vocabulary()
        for batch in batches:
            for block in batch.column("id").to_pylist():
                yield block_rows(block, num_words, table)

    blocks = spark.range(num_documents // BLOCK_SIZE, numPartitions=tasks)
    return blocks.mapInArrow(generate, _TYPES)


def chain_edges(spark: SparkSession, num_documents: int) -> DataFrame:
    """Return (doc_id, partner) edges that make one chain, of doc_ids in no order."""
    names = np.random.default_rng(_SEED).permutation(num_documents)
    padded = np.zeros((num_documents, 16), np.uint8)
    padded[:, 8:] = names.astype(">u8").view(np.uint8).reshape(-1, 8)
    ids = [row.tobytes() for row in padded]
    table = pa.table({"doc_id": ids[:-1], "partner": ids[1:]})
    return spark.createDataFrame(table.to_pandas(), "doc_id binary, partner binary")
