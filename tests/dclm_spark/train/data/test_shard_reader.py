import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dclm_spark.settings import override
from dclm_spark.shard_format import ShardError, read_manifest
from dclm_spark.train.data.batches import BatchShape, Loader
from dclm_spark.train.data.order import SourceOrder
from dclm_spark.train.data.shard_reader import ShardCache
from dclm_spark.train.data.sources import DataSettings
from dclm_spark.train.scales import scale
from dclm_spark.train.trainer import train
from tests.dclm_spark.train.shards import counting_rows, write_shards

ROOT = Path(__file__).resolve().parents[4]
MAPS = Path("/proc/self/maps")
# Three row groups a shard: those of a window are read by turns.
NUM_SHARDS, ROWS_PER_SHARD, BATCH = 12, 600, 40
STEPS_PER_EPOCH = NUM_SHARDS * ROWS_PER_SHARD // BATCH
# Reads a run's batches as one rank and says so if they are wrong or the folder outgrows its budget.
READER = """
import sys
import numpy as np
from tests.dclm_spark.train.data import test_shard_reader as shared
shards, folder, budget, rank = sys.argv[1], shared.Path(sys.argv[2]), *map(int, sys.argv[3:])
local = shared.loader(shards, rank=rank, num_ranks=2)
remote = shared.loader(f"file://{shards}", folder, budget, rank=rank, num_ranks=2)
for step in range(2 * shared.STEPS_PER_EPOCH):
    assert np.array_equal(remote.batch(step).tokens, local.batch(step).tokens), step
    size = shared.size(folder)
    assert size <= budget, (size, budget)
"""
KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from tests.dclm_spark.train.data import test_shard_reader as shared
write = Path.write_bytes
def die_halfway(path, content):
    write(path, content[: len(content) // 2])
    os.kill(os.getpid(), signal.SIGKILL)
Path.write_bytes = die_halfway
shared.loader(f"file://{sys.argv[1]}", Path(sys.argv[2])).batch(0)
"""


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = counting_rows(NUM_SHARDS * ROWS_PER_SHARD, 16)
    return write_shards(tmp_path_factory.mktemp("shards"), rows, sequences_per_shard=ROWS_PER_SHARD)


def loader(
    shards: str | Path, folder: Path | None = None, budget: int | None = None, **ranks: Any
) -> Loader:
    chosen = DataSettings(
        cache_directory=None if folder is None else str(folder),
        cache_bytes=budget,
        window_shards=3,
        prefetch_batches=1,
        passes=9.0,
    )
    manifests = [read_manifest(str(shards))]
    length = manifests[0].sequence_length
    shape = BatchShape(sequences=BATCH, sequence_length=length, seed=1)
    return Loader(chosen, manifests, shape, **ranks)


def size(folder: Path) -> int:
    found = 0
    for path in folder.iterdir():
        # Another rank may rename or evict it in between.
        try:
            found += path.stat().st_size
        except FileNotFoundError:
            continue
    return found


def smallest_budget(shards: Path, folder: Path) -> int:
    with pytest.raises(ShardError, match=r"data\.cache_bytes = 1: too small") as refusal:
        loader(f"file://{shards}", folder, 1).check_cache()
    found = re.search(r"--set data\.cache_bytes=(\d+)", str(refusal.value))
    assert found is not None
    return int(found[1])


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The shards that were fetched, in order."""
    from dclm_spark.train.data import shard_reader

    read, found = shard_reader.read_bytes, []

    def counted(uri: str) -> bytes:
        found.append(uri)
        return read(uri)

    monkeypatch.setattr(shard_reader, "read_bytes", counted)
    return found


def test_ranks_in_step_stay_below_the_budget_and_fetch_no_shard_twice_in_an_epoch(
    shards: Path, tmp_path: Path, fetched: list[str]
) -> None:
    budget = smallest_budget(shards, tmp_path)
    assert budget < sum(path.stat().st_size for path in shards.parent.glob("*.parquet"))
    local = loader(shards)
    ranks = [
        loader(f"file://{shards}", tmp_path, budget, rank=rank, num_ranks=2) for rank in (0, 1)
    ]
    for reader in ranks:
        reader.check_cache()
    for epoch in (0, 1, 2):
        fetched.clear()
        for step in range(epoch * STEPS_PER_EPOCH, (epoch + 1) * STEPS_PER_EPOCH):
            parts = [
                # The second rank's loader lags as far as it may.
                ranks[0].batch(step + 2).tokens[:0], ranks[0].batch(step).tokens,
                ranks[1].batch(step).tokens,
            ]  # fmt: skip
            assert np.array_equal(np.concatenate(parts), local.batch(step).tokens)
            assert size(tmp_path) <= budget
        names = {uri.rsplit("/", 1)[1] for uri in fetched}
        assert len(fetched) == len(names), "a shard was fetched twice"
        assert len(fetched) <= NUM_SHARDS


@pytest.mark.skipif(not MAPS.exists(), reason="needs /proc")
def test_a_budget_that_would_make_shards_come_and_go_is_refused_before_the_first_step(
    shards: Path, tmp_path: Path
) -> None:
    chosen = [
        "model.sequence_length=16", f"data.cache_directory={tmp_path}", "data.cache_bytes=40000",
    ]  # fmt: skip
    with pytest.raises(ShardError, match=r"data\.cache_bytes = 40000: too small for the 12 shards"):
        train(override(scale("test"), chosen), shards=f"file://{shards}", output=tmp_path / "run")


def test_open_files_that_were_evicted_are_let_go(shards: Path, tmp_path: Path) -> None:
    reader = loader(f"file://{shards}", tmp_path, smallest_budget(shards, tmp_path))
    for step in range(STEPS_PER_EPOCH):
        reader.batch(step)
    held = [line for line in MAPS.read_text().splitlines() if str(tmp_path) in line]
    assert held
    assert not [line for line in held if line.endswith("(deleted)")]


@pytest.mark.long
def test_processes_share_a_cache_that_is_too_small_for_the_corpus(
    shards: Path, tmp_path: Path
) -> None:
    budget = smallest_budget(shards, tmp_path)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", READER, str(shards), str(tmp_path), str(budget), str(rank)],
            env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=ROOT, stderr=subprocess.PIPE,
        )
        for rank in (0, 1)
    ]  # fmt: skip
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors.decode()
    assert not list(tmp_path.glob("*.partial"))


def test_a_kill_while_a_shard_is_written_leaves_no_half_file(shards: Path, tmp_path: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_WRITING, str(shards), str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=ROOT, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    assert list(tmp_path.glob("*.partial"))
    assert not list(tmp_path.glob("*.parquet"))
    again, local = loader(f"file://{shards}", tmp_path), loader(shards)
    assert np.array_equal(again.batch(0).tokens, local.batch(0).tokens)
    assert not list(tmp_path.glob("*.partial"))


def test_a_shard_that_arrives_damaged_does_not_stay_in_the_cache(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("dclm_spark.train.data.shard_reader.read_bytes", lambda _: b"half of it")
        with pytest.raises(ShardError, match=r"file://.*: corrupt, its SHA-256 is"):
            loader(f"file://{shards}", tmp_path).batch(0)
    loader(f"file://{shards}", tmp_path).batch(0)


def test_a_shard_larger_than_the_budget_is_refused_and_evicts_nothing(
    shards: Path, tmp_path: Path
) -> None:
    shard = read_manifest(str(shards)).shards[0]
    other = tmp_path / "other.parquet"
    other.write_bytes(b"1")
    cache = ShardCache(tmp_path, budget_bytes=shard.size_bytes - 1, verify=True)
    with (
        pytest.raises(ShardError, match=r"more than data\.cache_bytes"),
        cache.file("a", shard),
    ):
        pass
    assert other.exists()


def test_local_shards_need_no_cache(shards: Path, tmp_path: Path) -> None:
    reader = loader(shards, tmp_path, 1)
    reader.check_cache()
    reader.batch(0)
    assert not list(tmp_path.iterdir())


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=12), st.integers(1, 5), st.integers(0, 500),
    st.integers(1, 60),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_shards_are_foretold_to_be_used_when_they_are(
    sizes: list[int], window: int, position: int, reach: int
) -> None:
    order = SourceOrder(sizes, seed=3, window_shards=window)
    uses = order.next_uses(position)
    # The windows begin earlier than the shard's first row in them, and never later.
    first: dict[int, int] = {}
    at = position
    for piece in order.pieces(position, position + 2 * order.num_sequences):
        first.setdefault(piece.shard, at - position)
        at += len(piece.rows)
    assert all(uses[shard] <= ahead for shard, ahead in first.items())
    touched = {piece.shard for piece in order.pieces(position, position + reach)}
    within = {shard for shard, use in enumerate(uses.tolist()) if use < reach}
    assert touched <= within
    assert len(within) <= order.most_shards(reach)
