"""The library's functions give the columns of the job, to the last bit."""

import pytest
from pyspark.sql import functions as F

import dclm_spark
from tests.dclm_spark.library.sample_run import SampleRun, rows_by_id
from udfs.rules.urls import ADDRESS_RULES

pytestmark = pytest.mark.spark

FATES = ("kept/", "dropped/", "quarantined/")


@pytest.fixture(scope="module")
def run(spark, tmp_path_factory):
    return SampleRun(spark, tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def pages(spark, run):
    return dclm_spark.read_warc(spark, str(run.crawl.listing), base=str(run.crawl.base))


@pytest.fixture(scope="module")
def documents(spark, run):
    """The texts as the recipe's rules leave them, with what the job says of them."""
    return spark.createDataFrame(run.table("documents", "kept/"))


def test_records_are_those_of_the_documents_stage(run, pages):
    names = ("crawl", "warc_path", "warc_offset", "url", "http_status", "content_type")
    found = rows_by_id(pages.select("doc_id", *names).collect(), *names)
    assert found == rows_by_id(run.table("documents", *FATES), *names)


def test_extracted_and_judged_pages_are_the_documents_stage(run, pages):
    signals = [field.name for field in run.recipe.heuristics.family.signals]
    names = ("fate", "rule", "value", "threshold", *signals)
    texts = pages.transform(dclm_spark.extract_text, text="raw", settings=run.recipe.extraction)
    judged = texts.where("raw is not null").transform(
        dclm_spark.judge_texts, recipe=run.recipe, text="raw", url="url", cleaned_text="text"
    )
    rows = judged.select("doc_id", "text", *names).collect()
    found, expected = rows_by_id(rows, *names), rows_by_id(run.table("documents", *FATES), *names)
    # The job does not parse a page whose address is banned; here every page is.
    assert found == {key: expected[key] for key in found}
    assert len(found) > len(expected) / 2
    kept = rows_by_id(run.table("documents", "kept/"), "text")
    cleaned = rows_by_id(rows, "text")
    assert {key: cleaned[key] for key in kept} == kept


def test_the_reason_for_no_text_is_the_rule_of_the_documents_stage(run, pages):
    texts = pages.transform(dclm_spark.extract_text, settings=run.recipe.extraction)
    rows = texts.where("extraction_rule is not null").select("doc_id", "extraction_rule").collect()
    expected = rows_by_id(run.table("documents", *FATES), "rule")
    assert rows
    for row in rows:
        # The job asks for the address first.
        assert expected[bytes(row["doc_id"])][0] in (row["extraction_rule"], *ADDRESS_RULES)


def test_the_language_is_that_of_the_signals(run, pages):
    texts = pages.transform(dclm_spark.extract_text).where("text is not null")
    rows = texts.transform(dclm_spark.identify_language).collect()
    expected = rows_by_id(run.table("documents", *FATES), "language", "language_score")
    found = rows_by_id(rows, "language", "language_score")
    asked = {key for key, (language, _) in expected.items() if language is not None}
    assert asked
    assert {key: found[key] for key in asked} == {key: expected[key] for key in asked}


def test_the_quality_score_is_that_of_the_score_stage(run, spark):
    kept = spark.createDataFrame(run.table("deduplicated", "kept/").select(["doc_id", "text"]))
    scored = kept.transform(dclm_spark.quality_score, model=run.recipe.quality.model)
    assert rows_by_id(scored.collect(), "quality_score") == rows_by_id(
        run.table("scored", ""), "quality_score"
    )


def test_token_ids_and_counts_are_those_of_the_tokenize_stage(run, documents):
    tokenizer = run.recipe.tokens.tokenizer
    tokenized = run.table("tokenized", "tokens/")
    expected = rows_by_id(tokenized, "num_tokens", "tokens")
    rows = (
        documents.select("doc_id", "text")
        .transform(dclm_spark.count_tokens, tokenizer=tokenizer)
        .transform(dclm_spark.token_ids, tokenizer=tokenizer)
        .withColumn("same_count", F.size("token_ids") == F.col("num_tokens"))
        .collect()
    )
    assert all(row["same_count"] for row in rows)
    texts = rows_by_id(documents.select("doc_id", "text").collect(), "text")
    stage = rows_by_id(run.table("deduplicated", "kept/"), "text")
    found = rows_by_id(rows, "token_ids")
    unchanged = [key for key in expected if texts[key] == stage[key]]
    assert unchanged
    for key in unchanged:
        count, tokens = expected[key]
        ids = b"".join(one.to_bytes(2, "little") for one in found[key][0])
        assert (len(found[key][0]), ids) == (count, tokens)
