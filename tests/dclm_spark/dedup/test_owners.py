"""Keys of very many occurrences: the same owners, and no task of their own."""

import pytest
from pyspark.sql import functions as F

from dclm_spark.dedup.decisions import open_schema
from dclm_spark.dedup.exact import exact_verdicts
from dclm_spark.dedup.method import DedupInput, Sharding
from dclm_spark.dedup.methods import METHODS
from dclm_spark.dedup.owners import HotKeys, Occurrences, copies, files_of_sample
from dclm_spark.engine import shuffles
from dclm_spark.engine.checkpoints import Checkpoints
from dclm_spark.engine.tables import Extent, FileTable
from dclm_spark.stages.deduplicate import kept_documents
from tests.dclm_spark.dedup.committed import committed
from tests.dclm_spark.dedup.short_queries import short_queries
from udfs.units.documents import DOCUMENTS

__all__ = ["short_queries"]

pytestmark = pytest.mark.spark
COLUMNS = Occurrences(key="ngram", place="position", number="window", row_size_bytes=40)
# Long enough to be a passage.
NOTICE = " ".join(f"notice{number}" for number in range(120))


@pytest.fixture
def small_tasks(monkeypatch):
    """A task sorts twenty rows, so that a key of more is hot."""
    monkeypatch.setattr(shuffles, "PARTITION_SIZE_BYTES", 800)


def given_of(files, folder):
    working = Checkpoints(spark=files.spark, directory=str(folder), key="k")
    sharding = Sharding(count=1, seed=1)
    return DedupInput(spark=files.spark, files=files, sharding=sharding, working=working)


def test_a_hot_key_has_the_owner_that_one_task_would_find_and_many_tasks(
    spark, tmp_path, small_tasks
):
    shared = [(7, place, window) for place in range(40) for window in (3, 1)]
    # One that an earlier crawl owns, and one of few rows.
    rows = [*shared, *((8, place, 0) for place in range(-1, 30)), (9, 4, 0), (9, 2, 5)]
    frame = spark.createDataFrame(rows[::-1], "ngram bigint, position bigint, window int")
    extent = Extent(key="", num_rows=0, text_size_bytes=0)
    files = FileTable(spark=spark, uris=("a",), schema=DOCUMENTS, extent=extent)
    working = Checkpoints(spark=spark, directory=str(tmp_path), key="k")
    hot = HotKeys.of_files(files, lambda sample: frame)
    owners = hot.owners(working, COLUMNS, frame, 1_600)
    assert owners is not None
    assert sorted(map(tuple, owners.collect())) == [(7, 0, 1), (8, -1, 0)]
    wanted = ["ngram", "position", "window", "owner"]
    plain, spread = (
        sorted(map(tuple, copies(frame, COLUMNS, one).select(wanted).collect()))
        for one in (None, owners)
    )
    assert plain == spread
    assert len(plain) == 79 + 30 + 1
    spark.conf.set("spark.sql.adaptive.coalescePartitions.enabled", "false")
    try:
        found = copies(frame, COLUMNS, owners).where("ngram = 7")
        assert found.select(F.spark_partition_id()).distinct().count() == 2
    finally:
        spark.conf.unset("spark.sql.adaptive.coalescePartitions.enabled")


def test_of_less_than_two_tasks_no_file_is_looked_into(spark, tmp_path):
    def never(sample):
        raise AssertionError

    extent = Extent(key="", num_rows=0, text_size_bytes=0)
    files = FileTable(spark=spark, uris=("a",), schema=DOCUMENTS, extent=extent)
    working = Checkpoints(spark=spark, directory=str(tmp_path), key="k")
    hot = HotKeys.of_files(files, never)
    assert hot.owners(working, COLUMNS, spark.range(1), shuffles.PARTITION_SIZE_BYTES) is None


@pytest.mark.parametrize(("count", "one_in"), [(1, 1), (10, 10), (100, 16), (90_000, 1406)])
def test_few_files_are_looked_into(count, one_in):
    assert files_of_sample(count) == one_in


def test_exact_keys_find_the_same_where_one_text_is_that_of_most_documents(
    spark, tmp_path, monkeypatch
):
    texts = [NOTICE if place % 4 else f"page {place // 8}" for place in range(48)]
    documents = committed(tmp_path / "in", texts, num_files=3)
    files = kept_documents(spark, documents, open_schema(DOCUMENTS))

    def found(name):
        verdicts = exact_verdicts(given_of(files, tmp_path / name), ("text",))
        assert verdicts is not None
        return sorted(map(tuple, verdicts.collect()))

    plain = found("plain")
    # All copies of the notice but one, and one of each of six pages.
    assert len(plain) == 35 + 6
    monkeypatch.setattr(shuffles, "PARTITION_SIZE_BYTES", 4_000)
    assert found("hot") == plain
    assert (tmp_path / "hot" / "hot_text_owners").exists()
    assert not (tmp_path / "plain").exists()


@pytest.mark.slow  # Each method finds the parts that others own twice.
@pytest.mark.parametrize("method", ["global", "lines", "passages"])
def test_a_method_finds_the_same_with_hot_keys(spark, tmp_path, monkeypatch, method):
    texts = [f"{NOTICE}\n{' '.join(f'w{n}x{k}' for k in range(20))}" for n in range(24)]
    documents = committed(tmp_path / "in", [*texts, texts[3]], num_files=3)
    files = kept_documents(spark, documents, open_schema(DOCUMENTS))

    def found(name):
        given = given_of(files, tmp_path / name)
        return sorted(map(str, METHODS[method]().seen(given).collect()))

    plain = found("plain")
    assert len(plain) == 24
    monkeypatch.setattr(shuffles, "PARTITION_SIZE_BYTES", 800)
    assert found("hot") == plain
    assert list((tmp_path / "hot").glob("hot_*_owners"))
    assert not list((tmp_path / "plain").glob("hot_*"))
