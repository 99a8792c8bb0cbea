"""A page is found in the index where a scan of all files finds it, and fast."""

import json

import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from dclm_spark import explain as explaining
from dclm_spark.errors import InputError
from dclm_spark.explain import explain, list_site
from dclm_spark.page_index.build import write_index, write_keyed
from dclm_spark.page_index.lookup import keyed_rows, usable_index
from tests.dclm_spark.dedup.committed import committed

pytestmark = pytest.mark.spark


def documents(output, texts, **files):
    """Commit texts as the first stage of a run, with the part of its summary that is read here."""
    folder = output / "stages/documents"
    stage = committed(folder, texts, **files)
    (folder / "stage.json").write_text(json.dumps({"fingerprint": stage.fingerprint}))


@pytest.fixture(scope="module")
def run(spark, tmp_path_factory):
    """Return the folder of a run whose first stage is committed, with its index."""
    output = tmp_path_factory.mktemp("run")
    documents(output, [f"text {n}" for n in range(60)], num_files=3)
    found = write_index(spark, str(output))
    assert found["documents"].num_rows == 60
    return output


def rows(output):
    return [
        row
        for path in sorted((output / "stages/documents/kept").glob("*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]


def test_every_row_is_found_by_its_address_and_its_id(run, monkeypatch):
    monkeypatch.setattr(explaining, "_scanned", None)
    for row in rows(run):
        for page in (row["url"], row["doc_id"].hex()):
            ((entry,),) = [
                [one for one in history if one.row["doc_id"] == row["doc_id"]]
                for history in explain(str(run), page)
                if history[0].row["doc_id"] == row["doc_id"]
            ]
            assert entry.text == row["text"]


def test_a_page_that_is_not_there_is_said_so(run):
    with pytest.raises(InputError, match="no record"):
        explain(str(run), "http://host999.example/")


def test_a_domain_is_listed_page_by_page(run):
    site = "host7.example"
    wanted = {row["doc_id"] for row in rows(run) if row["url"] == f"http://{site}/"}
    assert {row["doc_id"] for row in list_site(str(run), site, page=1)} == wanted
    assert list_site(str(run), site, page=2) == []


def test_an_index_of_other_data_is_not_used(spark, tmp_path):
    documents(tmp_path, ["one", "two"])
    write_index(spark, str(tmp_path))
    assert usable_index(str(tmp_path)) is not None
    documents(tmp_path, ["three", "two"])
    assert usable_index(str(tmp_path)) is None
    assert write_index(spark, str(tmp_path))["documents"].num_rows == 2
    assert usable_index(str(tmp_path)) is not None


@pytest.mark.parametrize("num_files", [1, 5])
def test_a_key_is_in_the_file_where_it_is_looked_for(spark, tmp_path, num_files):
    numbered = spark.range(2000).select(
        F.lit(0).cast("int").alias("number"), F.col("id").cast("int").alias("row"),
        F.concat(F.lit("page "), F.col("id")).alias("url"),
    )  # fmt: skip
    table = str(tmp_path / "table")
    assert write_keyed(numbered, "url", table, num_files) == 2000
    for row in range(0, 2000, 97):
        found = keyed_rows(table, f"page {row}".encode(), num_files)
        assert found.to_pylist() == [{"number": 0, "row": row}]
    assert keyed_rows(table, b"page 2000", num_files).num_rows == 0
