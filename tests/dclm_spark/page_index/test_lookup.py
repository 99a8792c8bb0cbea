"""A page is found in the index where a scan of all files finds it, and fast."""

import json

import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from dclm_spark.errors import InputError
from dclm_spark.explain import describe, explain, history, id_at, list_site
from dclm_spark.page_index.build import write_index, write_keyed
from dclm_spark.page_index.lookup import keyed_rows, usable_index
from dclm_spark.removal.lists import list_bytes
from dclm_spark.removal.removed_by import described_removal
from tests.dclm_spark.dedup.committed import committed, committed_files
from udfs.documents.schema import document_id
from udfs.units.commit import FORMAT_VERSION

pytestmark = pytest.mark.spark


def documents(output, texts, **files):
    """Commit texts as the first stage of a run, with the part of its summary that is read here."""
    folder = output / "stages/documents"
    stage = committed(folder, texts, **files)
    (output / "run.json").write_text(json.dumps({"format_version": FORMAT_VERSION}))
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
    monkeypatch.setattr(history, "_scanned", None)
    for row in rows(run):
        for page in (row["url"], row["doc_id"].hex(), row["doc_id"].hex().upper()):
            ((entry,),) = [
                [one for one in found if one.row["doc_id"] == row["doc_id"]]
                for found in explain(str(run), page)
                if found[0].row["doc_id"] == row["doc_id"]
            ]
            assert entry.text == row["text"]


def test_a_page_that_is_not_there_is_said_so(run):
    with pytest.raises(InputError, match="no record"):
        explain(str(run), "http://host999.example/")


def test_a_folder_without_a_run_is_told_from_a_run_without_the_page(tmp_path):
    with pytest.raises(InputError, match=r"no run is here \(run\.json is missing\)"):
        explain(str(tmp_path), "http://host1.example/")


def test_a_record_is_found_by_its_file_and_offset(run):
    row = rows(run)[7]
    listed = [{"crawl": row["crawl"], "path": path, "uri": path} for path in {
        one["warc_path"] for one in rows(run)}]  # fmt: skip
    (run / "inputs.json").write_text(json.dumps(listed))
    page = id_at(str(run), row["warc_path"], row["warc_offset"])
    assert page == document_id(row["crawl"], row["warc_path"], row["warc_offset"]).hex()
    with pytest.raises(InputError, match="0 of the"):
        id_at(str(run), "unheard.warc.gz", 0)


def test_a_domain_is_listed_page_by_page(run):
    site = "host7.example"
    wanted = {row["doc_id"] for row in rows(run) if row["url"] == f"http://{site}/"}
    assert {row["doc_id"] for row in list_site(str(run), site, page=1)} == wanted
    with pytest.raises(InputError, match=f"has no more pages of {site}"):
        list_site(str(run), site, page=2)
    with pytest.raises(InputError, match=r"--domain gnoe\.example: .* no pages of gnoe\.example"):
        list_site(str(run), "gnoe.example", page=1)


@pytest.fixture(scope="module")
def whole(spark, tmp_path_factory):
    """Return a run of three pages: of host0 in the end kept, of host1 a copy, of host2 removed."""
    output = tmp_path_factory.mktemp("whole")
    documents(output, ["one", "two", "three"], num_files=1)
    later = output / "stages/deduplicate"
    committed_files(
        later, [[(1, "two")]], fate="dropped", rule="duplicate_text",
        partner=document_id("crawl", "warc-0", 0),
    )  # fmt: skip
    write_index(spark, str(output))
    removal = output / "shards/removed/0001"
    removal.mkdir(parents=True)
    (removal / "list.parquet").write_bytes(list_bytes([("url", "host2.example")]))
    (removal / "record.json").write_text('{"reason": "asked", "time": "2026-05-03T10:00:00Z"}')
    return output


def test_a_listed_page_has_its_final_fate(whole):
    found = [list_site(str(whole), f"host{n}.example", page=1) for n in range(3)]
    assert [(row["fate"], row["rule"]) for (row,) in found] == [
        ("kept", None), ("dropped", "duplicate_text"),
        ("removed", "by removal 1 (asked, 2026-05-03)"),
    ]  # fmt: skip


def test_a_copy_names_the_address_of_the_document_that_stays(whole):
    (copy,) = explain(str(whole), "http://host1.example/")
    assert "    partner_url = http://host0.example/" in describe(copy).split("\n")


def test_a_removed_page_says_so_behind_its_stages(whole):
    (stays,) = explain(str(whole), "http://host0.example/")
    assert [entry.stage for entry in stays] == ["documents"]
    (gone,) = explain(str(whole), "http://host2.example/")
    told = "  removal: removed by removal 1 (asked, 2026-05-03)"
    assert describe(gone).split("\n")[-1] == told


def test_an_address_that_only_a_removal_has_is_told_with_it(whole):
    with pytest.raises(InputError, match=r"removed by removal 1 \(asked, 2026-05-03\)"):
        explain(str(whole), "https://www.host2.example")


def test_a_removal_without_a_record_did_not_end(whole):
    assert described_removal(str(whole / "shards"), 2).startswith("removal 2, which did not end")


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
