import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.dclm_spark.train.shards import write_shards

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = Path(__file__).with_name("peak_memory.py")
SHAPE = {
    "model.width": 512, "model.num_layers": 6, "model.num_heads": 4, "model.vocabulary_size": 8192,
    "model.sequence_length": 256, "tokens": 3 * 8 * 256, "batch_sequences": 8,
    "micro_batch_sequences": 2, "data.heldout_sequences": 0, "checkpoint.asynchronous": "false",
}  # fmt: skip
# What a process takes besides: measured with next to no weights.
EMPTY = {"model.width": 16, "model.num_layers": 1, "model.vocabulary_size": 256}
CONFIGURATIONS: tuple[dict[str, object], ...] = (
    {},
    {"batch_sequences": 4},
    {"optimizer.matrices": "muon"},
    {"model.width": 768, "model.num_layers": 3},
)


def measured(shards: Path, output: Path, changes: dict[str, object], port: int) -> dict[str, int]:
    options = [f"{key}={value}" for key, value in (SHAPE | changes).items()]
    # Freed memory goes back at once, so that the peak is what is held.
    eager = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    ranks = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(shards), str(output), *options],
            env=os.environ
            | eager
            | {
                "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2",
                "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1",
                "PYTHONPATH": str(ROOT),
            },
            stdout=subprocess.PIPE,
        )
        for rank in (0, 1)
    ]  # fmt: skip
    printed = [rank.communicate(timeout=200)[0] for rank in ranks]
    found: dict[str, int] = json.loads(printed[0])
    return found


@pytest.mark.slow  # Five runs of two ranks, ten seconds each.
def test_two_ranks_hold_at_their_peak_what_was_planned_within_a_tenth(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).integers(0, 240, (256, 257)).astype(np.uint16)
    shards = write_shards(tmp_path / "shards", rows, sequences_per_shard=256)
    empty = measured(shards, tmp_path / "empty", EMPTY, 29_650)
    base = empty["peak"] - empty["planned"]
    ratios = []
    for number, changes in enumerate(CONFIGURATIONS):
        found = measured(shards, tmp_path / str(number), changes, 29_651 + number)
        ratios.append((found["peak"] - base) / found["planned"])
    assert ratios == pytest.approx([1.0] * len(ratios), abs=0.1), base
