import random

import pyarrow.parquet as pq
import pytest

from dclm_spark.dedup.methods import DeduplicationSettings
from dclm_spark.dedup.passages import Passages
from dclm_spark.stages.deduplicate import deduplicate
from tests.dclm_spark.dedup.committed import committed
from udfs.units.documents import DOCUMENTS

pytestmark = pytest.mark.spark


def prose(seed, count):
    rng = random.Random(seed)
    return " ".join(f"w{rng.randrange(10**5)}" for _ in range(count))


SHARED = prose("shared", 80)
TEXTS = [
    f"{prose(1, 30)} {SHARED}",
    prose(2, 60),
    f"{SHARED} {prose(3, 30)}",
    f"{prose(4, 10)} {SHARED} {prose(5, 10)}",
]


def rows_of(output):
    rows = [row for file in output.files("") for row in pq.read_table(file["uri"]).to_pylist()]
    return {row["warc_offset"]: row for row in rows}


@pytest.mark.parametrize(
    ("mode", "partitions"),
    [("remove", 1), *(pytest.param("remove", n, marks=pytest.mark.slow) for n in (7, 64)),
     pytest.param("annotate", 2, marks=pytest.mark.slow)],
)  # fmt: skip
def test_one_copy_of_a_passage_stays_whatever_the_partitions(spark, tmp_path, mode, partitions):
    spark.conf.set("spark.sql.codegen.wholeStage", "false")
    spark.conf.set("spark.sql.shuffle.partitions", str(partitions))
    try:
        documents = committed(tmp_path / "in", TEXTS, num_files=1)
        settings = DeduplicationSettings(method=Passages(min_size_bytes=150), shards=2, mode=mode)
        output = deduplicate(spark, documents, DOCUMENTS, settings, str(tmp_path / "out"))
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", "2")
        spark.conf.unset("spark.sql.codegen.wholeStage")
    rows = rows_of(output)
    assert [rows[place]["text"] == TEXTS[place] for place in (0, 1)] == [True, True]
    assert [rows[place]["partner"] for place in (2, 3)] == [rows[0]["doc_id"]] * 2
    assert [rows[place]["removed_windows"] for place in range(4)] == [0, 0, 1, 1]
    assert min(rows[place]["removed_size_bytes"] for place in (2, 3)) > 0.7 * len(SHARED)
    if mode == "annotate":
        assert rows[2]["text"] == TEXTS[2]
    else:
        assert output.fingerprint == EXPECTED.setdefault(mode, output.fingerprint)


# The first of the runs that differ in partitions only.
EXPECTED: dict[str, str] = {}


# The stage twice.
@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_to_the_same_bytes(spark, tmp_path):
    documents = committed(tmp_path / "in", TEXTS, num_files=1)
    settings = DeduplicationSettings(method=Passages(min_size_bytes=150), shards=2)
    place = tmp_path / "deduplicate"
    output = deduplicate(spark, documents, DOCUMENTS, settings, str(place))
    (place / "manifests" / f"{output.unit_names[0]}.json").unlink()
    for marker in (tmp_path / "deduplicate-working").glob("*.json"):
        marker.unlink()
    again = deduplicate(spark, documents, DOCUMENTS, settings, str(place))
    assert again.fingerprint == output.fingerprint
