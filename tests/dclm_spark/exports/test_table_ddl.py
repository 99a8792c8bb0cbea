"""Statements that register a run's tables, understood by a parser and carried out by Spark."""

import pytest
import sqlglot

from dclm_spark.errors import InputError, SettingError
from dclm_spark.exports.table_ddl import table_ddl
from tests.dclm_spark.report.toy_runs import toy_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return toy_run(tmp_path_factory.mktemp("run"), ["kept", "documents: page_length", "kept"])


def test_every_folder_of_a_stage_is_a_table(run):
    statements = list(table_ddl(run, "hive", "crawl"))
    heads = [one.split(" (")[0].rpartition(" ")[2] for one in statements]
    assert heads == [
        "crawl.documents_dropped", "crawl.documents_kept", "crawl.deduplicate_kept",
        "crawl.select_kept",
    ]  # fmt: skip
    for statement in statements:
        (parsed,) = sqlglot.parse(statement, read="hive")
        assert parsed.find(sqlglot.exp.Create).kind == "TABLE"
    assert f"LOCATION '{run}/stages/documents/dropped'" in statements[0]


def test_iceberg_adds_the_files_where_they_are(run):
    statement = next(table_ddl(run, "iceberg", "lake.crawl"))
    assert "CREATE TABLE IF NOT EXISTS lake.crawl.documents_dropped (" in statement
    assert "CALL lake.system.add_files(table => 'crawl.documents_dropped', " in statement


def test_a_folder_without_a_run_and_an_unknown_dialect_are_refused(run, tmp_path):
    with pytest.raises(InputError, match="no run is here"):
        list(table_ddl(str(tmp_path), "hive", "crawl"))
    with pytest.raises(SettingError, match="expected one of hive, spark, iceberg"):
        list(table_ddl(run, "oracle", "crawl"))


@pytest.mark.spark
def test_spark_reads_the_rows_through_the_table(spark, run):
    statement = next(table_ddl(run, "spark", "default"))
    try:
        spark.sql(statement.rstrip().rstrip(";"))
        (row,) = spark.table("default.documents_dropped").collect()
        assert (row["rule"], row["url"]) == ("page_length", "https://a.example/1")
    finally:
        spark.sql("DROP TABLE IF EXISTS default.documents_dropped")
