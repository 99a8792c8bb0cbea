"""A corpus at a date is read again as it was, without what was removed since."""

from pathlib import Path

import pytest

from dclm_spark.shard_format import ShardError, read_manifest
from dclm_spark.train.data.corpus_parts import read_sources, write_corpus_parts
from tests.dclm_spark.train.shards import counting_rows, remove, write_shards


def month(folder: Path, seed: int) -> Path:
    return write_shards(folder, counting_rows(40, 32, seed=seed), sequences_per_shard=20)


def test_months_are_added_and_each_date_stays_readable(tmp_path: Path) -> None:
    april, may = (month(tmp_path / name, seed) for seed, name in enumerate(("april", "may")))
    first, second = str(tmp_path / "04.json"), str(tmp_path / "05.json")
    write_corpus_parts(first, [str(april.parent)])
    write_corpus_parts(second, [str(april.parent), str(may.parent)])
    assert read_sources([first]) == [read_manifest(str(april))]
    assert read_sources([second]) == [read_manifest(str(april)), read_manifest(str(may))]
    assert read_sources([str(may), first]) == [read_manifest(str(may)), read_manifest(str(april))]
    with pytest.raises(ShardError, match="does not change"):
        write_corpus_parts(first, [str(may)])


def test_removed_documents_leave_every_date_and_another_corpus_is_refused(tmp_path: Path) -> None:
    april, date = month(tmp_path / "april", 1), str(tmp_path / "04.json")
    write_corpus_parts(date, [str(april)])
    remove(april, "shard-00000.parquet", [(0, 0, 5)])
    (found,) = read_sources([date])
    assert found.removed
    month(tmp_path / "april", 2)
    with pytest.raises(ShardError, match="is another corpus now"):
        read_sources([date])
