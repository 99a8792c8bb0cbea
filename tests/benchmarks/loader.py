"""Tokens per CPU second of the training loader: `python -m tests.benchmarks.loader`.

Zipf-distributed ids in zstd shards of 2,048 tokens a row, read in batches of 256 sequences by one
rank, and by one of 8.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from dclm_spark.shard_format import read_manifest
from dclm_spark.train.data.batches import BatchShape, Loader
from dclm_spark.train.data.sources import DataSettings
from tests.dclm_spark.train.shards import write_shards

LENGTH, VOCABULARY_SIZE = 2048, 50_277
SHAPE = BatchShape(sequences=256, sequence_length=LENGTH, seed=1)


def made_up_shards(folder: Path, num_rows: int) -> Path:
    """Write shards whose ids are as unevenly spread as those of texts."""
    drawn = np.random.default_rng(0).zipf(1.2, size=(num_rows, LENGTH + 1))
    rows = (drawn % VOCABULARY_SIZE).astype(np.uint16)
    return write_shards(
        folder, rows, sequences_per_shard=num_rows // 4, vocabulary_size=VOCABULARY_SIZE
    )


def tokens_per_second(manifest: Path, num_ranks: int, *, is_first: bool) -> float:
    """Return what rank 0 of `num_ranks` reads in a second of CPU, in its first or second epoch."""
    loader = Loader(
        DataSettings(passes=2, verify_checksums=is_first), [read_manifest(str(manifest))], SHAPE,
        num_ranks=num_ranks,
    )  # fmt: skip
    steps = loader.manifests[0].num_sequences // SHAPE.sequences
    first = 0 if is_first else steps
    loader.batch(first)
    started = time.process_time()
    for step in range(first + 1, first + steps):
        loader.batch(step)
    return (steps - 1) * loader.share * LENGTH / (time.process_time() - started)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=8192)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        manifest = made_up_shards(Path(folder), given.rows)
        for num_ranks in (1, 8):
            first, later = (
                max(tokens_per_second(manifest, num_ranks, is_first=one) for _ in range(3)) / 1e6
                for one in (True, False)
            )
            print(f"1 of {num_ranks} ranks: {later:.0f} M tokens/s, {first:.0f} with checksums")


if __name__ == "__main__":
    main()
