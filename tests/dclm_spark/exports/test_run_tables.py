"""The page of tables is complete: it has what a run leaves, and every column has a meaning."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dclm_spark.exports.run_tables import page, run_tables, scored_tables
from dclm_spark.exports.table_columns import COLUMNS, meaning
from dclm_spark.pipeline import build_baseline
from dclm_spark.recipes import load_recipe
from tests.udfs.tokens.vocabularies import byte_level

ROOT = Path(__file__).parents[3]


def test_the_page_is_that_of_the_code():
    """Else: python -m dclm_spark.exports.run_tables > docs/tables.md."""
    assert (ROOT / "docs" / "tables.md").read_text() == page()


def test_every_meaning_belongs_to_a_column():
    used = {name for table in (*run_tables(), *scored_tables()) for name in table.schema.names}
    meanings = {meaning(name) for name in used}
    assert {words for name, words in COLUMNS.items() if name != "source"} <= meanings
    with pytest.raises(KeyError):
        meaning("num_unicorns")


def types_of(schema):
    # Parquet calls an item of a list an element.
    return {field.name: str(field.type).replace("<element:", "<item:") for field in schema}


@pytest.mark.long
@pytest.mark.spark
@pytest.mark.parametrize("kind", ["dclm", pytest.param("huggingface", marks=pytest.mark.long)])
def test_every_table_of_a_run_is_on_the_page(spark, tmp_path, kind):
    (tmp_path / "tokenizer.json").write_text(byte_level(1000))
    (tmp_path / "in.jsonl").write_text('{"text": "a ferry", "id": 3}\n{"text": "a ferry"}\n')
    recipe = load_recipe(
        "raw",
        [
            "deduplication.exact=[text]", "deduplication.shards=1", "quality.enabled=false",
            f"tokens.tokenizer.uri={tmp_path}/tokenizer.json", "tokens.sequence_length=16",
            "input.columns=[id]", "redaction.emails=true", f"tokens.format={kind}",
        ],
    )  # fmt: skip
    run = tmp_path / "out"
    build_baseline(spark, recipe=recipe, inputs=str(tmp_path / "in.jsonl"), output=str(run))
    listed = {file: table for table in run_tables() for file in run.glob(table.path)}
    working = run / "stages" / "deduplicate-working"
    left = {path for path in run.rglob("*.parquet") if working not in path.parents}
    assert left == set(listed)
    for path, table in listed.items():
        found, wanted = types_of(pq.read_schema(path)), types_of(table.schema)
        assert found.items() <= wanted.items(), path
        assert set(wanted) - set(found) <= table.optional
