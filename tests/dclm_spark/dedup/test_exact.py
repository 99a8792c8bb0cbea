import pyarrow.parquet as pq
import pytest

from dclm_spark.dedup.exact import ExactOnly
from dclm_spark.dedup.methods import DeduplicationSettings
from dclm_spark.errors import SettingError
from dclm_spark.recipes import load_recipe
from dclm_spark.stages.deduplicate import deduplicate
from tests.dclm_spark.dedup.committed import committed
from udfs.units.documents import DOCUMENTS


@pytest.mark.spark
def test_copies_by_declared_steps_are_counted_by_the_step_that_made_them_one(spark, tmp_path):
    texts = ["One page", "one page", "one  page!", "one page", "another page"]
    documents = committed(tmp_path / "in", texts)
    settings = DeduplicationSettings(
        exact=("text",), text_key=("white_space", "case", "punctuation"), method=ExactOnly()
    )
    spark.conf.set("spark.sql.codegen.wholeStage", "false")
    output = deduplicate(spark, documents, DOCUMENTS, settings, str(tmp_path / "out"))
    spark.conf.unset("spark.sql.codegen.wholeStage")
    rows = {
        row["warc_offset"]: row
        for file in output.files("")
        for row in pq.read_table(file["uri"]).to_pylist()
    }
    assert {place: row["rule"] for place, row in rows.items()} == {
        0: None,
        1: "duplicate_text_case",
        2: "duplicate_text_white_space",
        3: "duplicate_text_case",
        4: None,
    }
    assert (rows[0]["cluster_size"], rows[4]["cluster_size"]) == (4, None)
    assert {rows[place]["cluster_id"] for place in range(4)} == {rows[0]["doc_id"]}


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (
            ["exact=[text]", "text_key=[upper]"],
            r"text_key = \['upper'\]: expected any of nfc, case",
        ),
        (["exact=[text]", "url_key=[www]"], r"url_key = \['www'\]: set exact=\[url\] too"),
    ],
)
def test_steps_that_are_not_known_or_not_used_are_refused(assignments, message):
    with pytest.raises(SettingError, match=message):
        load_recipe("dclm_baseline", [f"deduplication.{one}" for one in assignments])
