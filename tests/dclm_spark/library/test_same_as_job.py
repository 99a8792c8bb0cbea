"""The library's functions give the columns of the job, to the last bit."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from dclm_spark.dedup.global_ngrams import GlobalNgrams
from dclm_spark.dedup.methods import DeduplicationSettings
from dclm_spark.dedup.minhash import MinHash
from dclm_spark.library.fasttext_models import identify_language, quality_score
from dclm_spark.library.frame_shards import write_shards
from dclm_spark.library.judging import judge_texts
from dclm_spark.library.near_copies import without_near_duplicates
from dclm_spark.library.ngram_copies import without_repeated_ngrams
from dclm_spark.library.token_columns import count_tokens, token_ids
from dclm_spark.library.web_pages import extract_text, read_warc
from dclm_spark.recipes.recipe import curation_settings
from dclm_spark.stages.deduplicate import deduplicate
from tests.dclm_spark.library.sample_run import rows_by_id
from udfs.rules.urls import ADDRESS_RULES

pytestmark = [pytest.mark.spark, pytest.mark.long]

FATES = ("kept/", "dropped/", "quarantined/")


@pytest.fixture(scope="module")
def pages(spark, run):
    return read_warc(spark, str(run.crawl.listing), base=str(run.crawl.base))


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
    texts = pages.transform(extract_text, text="raw", settings=run.recipe.extraction)
    judged = texts.where("raw is not null").transform(
        judge_texts, recipe=run.recipe, text="raw", url="url", cleaned_text="text"
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
    texts = pages.transform(extract_text, settings=run.recipe.extraction)
    rows = texts.where("extraction_rule is not null").select("doc_id", "extraction_rule").collect()
    expected = rows_by_id(run.table("documents", *FATES), "rule")
    assert rows
    for row in rows:
        # The job asks for the address first.
        assert expected[bytes(row["doc_id"])][0] in (row["extraction_rule"], *ADDRESS_RULES)


def test_the_language_is_that_of_the_signals(run, pages):
    texts = pages.transform(extract_text).where("text is not null")
    rows = texts.transform(identify_language).collect()
    expected = rows_by_id(run.table("documents", *FATES), "language", "language_score")
    found = rows_by_id(rows, "language", "language_score")
    asked = {key for key, (language, _) in expected.items() if language is not None}
    assert asked
    assert {key: found[key] for key in asked} == {key: expected[key] for key in asked}


def test_the_quality_score_is_that_of_the_score_stage(run, spark):
    kept = spark.createDataFrame(run.table("deduplicated", "kept/").select(["doc_id", "text"]))
    scored = kept.transform(quality_score, model=run.recipe.quality.model)
    assert rows_by_id(scored.collect(), "quality_score") == rows_by_id(
        run.table("scored", ""), "quality_score"
    )


def test_token_ids_and_counts_are_those_of_the_tokenize_stage(run, documents):
    tokenizer = run.recipe.tokens.tokenizer
    tokenized = run.table("tokenized", "tokens/")
    expected = rows_by_id(tokenized, "num_tokens", "tokens")
    rows = (
        documents.select("doc_id", "text")
        .transform(count_tokens, tokenizer=tokenizer)
        .transform(token_ids, tokenizer=tokenizer)
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


def test_near_duplicates_are_those_of_the_dedup_stage(run, spark, documents, tmp_path):
    settings = DeduplicationSettings(method=MinHash(), shards=1)
    schema = curation_settings(run.recipe).schema
    output = deduplicate(spark, run.result.documents, schema, settings, str(tmp_path / "dedup"))
    dropped = [pq.read_table(file["uri"]) for file in output.files("dropped/")]
    expected = {row["doc_id"] for table in dropped for row in table.to_pylist()}
    assert expected
    order = ("crawl", "warc_path", "warc_offset")
    kept = documents.transform(without_near_duplicates, id="doc_id", prefer=order)
    every = {bytes(row["doc_id"]) for row in documents.select("doc_id").collect()}
    assert every - {bytes(row["doc_id"]) for row in kept.collect()} == expected


def test_texts_without_repeated_ngrams_are_those_of_the_dedup_stage(
    run, spark, documents, tmp_path
):
    settings = DeduplicationSettings(method=GlobalNgrams(), shards=1)
    schema = curation_settings(run.recipe).schema
    output = deduplicate(spark, run.result.documents, schema, settings, str(tmp_path / "dedup"))
    kept = pa.concat_tables(pq.read_table(file["uri"]) for file in output.files("kept/"))
    order = ("crawl", "warc_path", "warc_offset")
    found = documents.transform(without_repeated_ngrams, id="doc_id", order=order)
    assert rows_by_id(found.collect(), "text") == rows_by_id(kept, "text")
    assert found.count() < documents.count()


def test_shards_of_a_frame_are_those_of_the_job(run, spark, tmp_path):
    selected = rows_by_id(run.table("tokenized", "tokens/"), "num_tokens")
    texts = spark.createDataFrame(
        run.table("deduplicated", "kept/").select(["doc_id", "url", "text"])
    )
    chosen = texts.where(F.col("doc_id").isin([bytearray(key) for key in selected]))
    # As many cells as the job had, which counts the bytes of all that it selected from.
    manifest = write_shards(
        chosen.repartition(3),
        str(tmp_path / "shards"),
        id="doc_id",
        url="url",
        tokens=run.recipe.tokens,
    )
    expected = run.result.shard_manifest
    names = ("tokenizer_sha256", "tokens_per_row", "vocabulary_size", "num_sequences", "shards")
    assert {name: manifest.get(name) for name in names} == {
        name: expected.get(name) for name in names
    }
