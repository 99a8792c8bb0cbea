"""The reference's heuristics, run through the real job on pre-extracted documents."""

import gzip
import json

import pyarrow.parquet as pq
import pytest

from dclm_spark.crawl.listing import list_inputs
from dclm_spark.recipes import load_recipe
from dclm_spark.recipes.recipe import curation_settings
from dclm_spark.stages.documents import write_documents
from tests.shared_data import SHARED, needs_shared
from udfs.rules.refinedweb import STEP_OF_RULE

GOLDEN = SHARED / "golden" / "heuristics.jsonl.gz"
LISTS = {
    "domains": "refinedweb_banned_domains_curated",
    "strict_words": "refinedweb_banned_words_strict_reverse_engineered",
    "hard_words": "refinedweb_banned_words_hard_reverse_engineered",
    "soft_words": "refinedweb_banned_words_soft_reverse_engineered",
    "top_level_domains": "iana_tlds",
}


def reference_recipe():
    lists = [f"url_lists.{name}.uri={SHARED}/lists/{file}.txt" for name, file in LISTS.items()]
    return load_recipe("dclm_baseline", lists)


def step(rule):
    return STEP_OF_RULE[rule][0] if rule else None


@needs_shared
@pytest.mark.spark
def test_every_reference_document_has_the_reference_outcome(spark, tmp_path):
    with gzip.open(GOLDEN, "rt") as lines:
        golden = [json.loads(line) for line in lines]
    settings = curation_settings(reference_recipe())
    output = write_documents(spark, list_inputs(str(GOLDEN)), settings, str(tmp_path / "documents"))
    rows = {}
    for fate in ("kept", "dropped", "quarantined"):
        for file in output.files(f"{fate}/"):
            table = pq.read_table(file["uri"], columns=["warc_offset", "rule", "text", "fate"])
            rows |= {row["warc_offset"]: row for row in table.to_pylist()}
    assert len(rows) == len(golden)
    wrong = []
    for number, expected in enumerate(golden):
        row = rows[number]
        if step(row["rule"]) != expected["dropped_at_step"]:
            wrong.append((number, row["rule"], expected["dropped_by"]))
        elif row["fate"] == "kept" and row["text"] != expected["cleaned_text"]:
            wrong.append((number, "text differs", expected["url"]))
    assert wrong == []


def test_the_recipe_names_its_lists():
    assert load_recipe("dclm_baseline", ["url_lists.domains.uri=/x"]).url_lists.domains.uri == "/x"
