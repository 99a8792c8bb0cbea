"""Documents that changed their fate between two runs, by this process and by Spark."""

import pytest

from dclm_spark.report.changed_fates import changed_fates, num_documents
from tests.dclm_spark.report.toy_runs import PATH, toy_run
from udfs.documents.schema import document_id

LONG, COPY, QUALITY = (
    "documents: page_length",
    "deduplicate: duplicate_text",
    "select: quality_score",
)
FIRST = ["kept"] * 6 + [LONG, COPY, QUALITY, "kept"]
SECOND = ["kept", QUALITY, QUALITY, QUALITY, QUALITY, LONG, "kept", COPY, QUALITY, "kept"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return [
        toy_run(tmp_path_factory.mktemp(name), fates)
        for name, fates in (("first", FIRST), ("second", SECOND))
    ]


def test_changes_are_counted_by_what_they_were_and_what_they_became(runs):
    found = changed_fates(*runs)
    assert [(one.before, one.after, one.documents) for one in found] == [
        ("kept", QUALITY, 4),
        (LONG, "kept", 1),
        ("kept", LONG, 1),
    ]


def test_samples_are_pages_of_that_change(runs):
    samples = changed_fates(*runs)[0].samples
    ids = {document_id("C", PATH, offset).hex(): offset for offset in (1, 2, 3, 4)}
    assert len(samples) == 3
    assert all(one.url == f"https://a.example/{ids[one.doc_id]}" for one in samples)


def test_a_run_has_no_changes_against_itself(runs):
    assert changed_fates(runs[0], runs[0]) == ()


def test_each_document_is_counted_once_however_many_stages_saw_it(runs):
    assert num_documents(runs[0]) == len(FIRST)


@pytest.mark.spark
@pytest.mark.long
def test_spark_finds_the_same(spark, runs):
    assert changed_fates(*runs, spark) == changed_fates(*runs)
