"""What Spark makes of dedup: no documents to all tasks, one shuffle of texts, a task a shard."""

import random
from dataclasses import replace

import pytest

from dclm_spark.dedup.methods import METHODS, DeduplicationSettings
from dclm_spark.stages.deduplicate import deduplicate
from tests.dclm_spark.dedup.committed import committed
from tests.dclm_spark.dedup.queries import watched
from udfs.units.documents import DOCUMENTS

pytestmark = pytest.mark.spark
# The methods of the most queries.
HEAVY = ("minhash", "global", "passages", "lines")
# Names of input files, WARC files, and buckets that very many documents share.
SMALL_TABLES = {
    ("uri", "task"),
    ("unit", "uri", "place", "task"),
    ("crawl", "warc_path", "file_number"),
    ("bucket", "hot"),
}


@pytest.fixture(autouse=True)
def short_queries(spark):
    """Compiling a plan costs more than running it over a few rows."""
    spark.conf.set("spark.sql.codegen.wholeStage", "false")
    yield
    spark.conf.unset("spark.sql.codegen.wholeStage")


def pages(count, words):
    """Pages of which every fourth is the one before it with another word."""
    rng = random.Random(5)
    found = []
    for number in range(count):
        page = [f"w{rng.randrange(900)}" for _ in range(words)]
        if number % 4 == 3:
            page = [*found[-1].split(), f"x{number}"]
        found.append(" ".join(page))
    return found


@pytest.mark.parametrize(
    "method",
    [pytest.param(name, marks=pytest.mark.long) if name in HEAVY else name for name in METHODS],
)
def test_no_table_of_documents_goes_to_all_tasks(spark, tmp_path, method):
    """Were Spark to send all that it may, as where a table seems small: only small ones go."""
    documents = committed(tmp_path / "in", pages(24, 60))
    settings = DeduplicationSettings(exact=("text", "url"), method=METHODS[method](), shards=2)
    earlier = ()
    if settings.method.keeps_table:
        deduplicate(
            spark, documents, DOCUMENTS, settings, str(tmp_path / "one" / "stages" / "deduplicate")
        )
        earlier = (str(tmp_path / "one"),)
    name = "spark.sql.autoBroadcastJoinThreshold"
    spark.conf.set(name, "100g")
    try:
        with watched(spark) as queries:
            later = replace(settings, earlier=earlier)
            deduplicate(spark, documents, DOCUMENTS, later, str(tmp_path / "two"))
    finally:
        spark.conf.unset(name)
    assert queries.plans
    assert queries.broadcast_columns() <= SMALL_TABLES
    assert queries.broadcast_columns()


def test_sharded_dedup_without_exact_keys_shuffles_the_texts_once(spark, tmp_path):
    texts = [" ".join(page.split()) for page in pages(600, 400)]
    documents = committed(tmp_path / "in", texts, num_files=3)
    settings = DeduplicationSettings(method=METHODS["sharded"](), shards=4)
    with watched(spark) as queries:
        deduplicate(spark, documents, DOCUMENTS, settings, str(tmp_path / "out"))
    shuffled, text = sum(queries.shuffled_size_bytes), sum(len(t) for t in texts)
    assert max(queries.shuffled_size_bytes) > 0.3 * text
    assert shuffled < 0.8 * text


def test_each_shard_is_committed_by_a_task_of_its_own(spark, tmp_path):
    documents = committed(tmp_path / "in", pages(400, 20))
    settings = DeduplicationSettings(method=METHODS["sharded"](), shards=40)
    with watched(spark) as queries:
        deduplicate(spark, documents, DOCUMENTS, settings, str(tmp_path / "out"))
    rows = queries.rows_shuffled_to_tasks(spark)
    assert len(rows) == 40
    assert min(rows) > 0


@pytest.mark.parametrize("exact", [(), ("text", "url")])
def test_recipes_without_a_method_shuffle_no_text(spark, tmp_path, exact):
    texts = pages(100, 1600)
    texts += texts[:7]
    documents = committed(tmp_path / "in", texts, num_files=3)
    settings = DeduplicationSettings(exact=exact, method=METHODS["none"]())
    with watched(spark) as queries:
        output = deduplicate(spark, documents, DOCUMENTS, settings, str(tmp_path / "out"))
    assert sum(queries.shuffled_size_bytes) < 0.1 * sum(map(len, texts))
    dropped = 7 if exact else 0
    assert output.documents() == {"kept": 107 - dropped, "dropped": dropped, "quarantined": 0}
    assert len(output.files("kept/")) == 3
