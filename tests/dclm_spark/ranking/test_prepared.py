"""The part of a corpus that the duplicated-data control reads."""

import numpy as np
import pytest

from dclm_spark.errors import InputError
from dclm_spark.ranking.prepared import part_of
from dclm_spark.shard_format import read_manifest
from dclm_spark.train.data.shard_reader import ShardReader
from tests.dclm_spark.train.shards import counting_rows, write_shards


def sequences_of(manifest):
    reader = ShardReader(manifest, verify=True)
    return np.concatenate([reader.rows(shard, 0) for shard in manifest.train_shards])


@pytest.mark.parametrize(
    ("num_shards", "sequences_per_shard", "expected"),
    [(1, 100, [12]), (8, 10, [10]), (15, 8, [7, 7]), (17, 8, [5, 5, 5])],
)
def test_a_part_is_an_eighth_whatever_the_number_of_shards(
    tmp_path, num_shards, sequences_per_shard, expected
):
    rows = counting_rows(num_shards * sequences_per_shard, 9)
    whole = write_shards(tmp_path, rows, sequences_per_shard=sequences_per_shard)
    part = read_manifest(str(part_of(whole, 8)))
    assert [shard.num_sequences for shard in part.train_shards] == expected
    every = {row.tobytes() for row in rows}
    found = [row.tobytes() for row in sequences_of(part)]
    assert set(found) <= every
    assert len(set(found)) == sum(expected)


def test_a_part_is_written_again_only_for_another_corpus(tmp_path):
    whole = write_shards(tmp_path, counting_rows(64, 9), sequences_per_shard=64)
    path = part_of(whole, 8)
    first = path.stat().st_mtime_ns
    assert part_of(whole, 8).stat().st_mtime_ns == first
    write_shards(tmp_path, counting_rows(64, 9)[::-1], sequences_per_shard=64)
    before = read_manifest(str(path)).fingerprint
    assert read_manifest(str(part_of(whole, 8))).fingerprint != before


def test_a_corpus_too_small_for_a_part_is_refused(tmp_path):
    whole = write_shards(tmp_path, counting_rows(7, 9), sequences_per_shard=7)
    with pytest.raises(InputError, match=r"fewer than 8 sequences.*sequences_per_shard"):
        part_of(whole, 8)
