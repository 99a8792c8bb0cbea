"""Verified removal through the stage: clusters as columns, information lost, the guard."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dclm_spark.dedup.evidence.guard import GuardSettings
from dclm_spark.dedup.evidence.stage_evidence import dedup_evidence
from dclm_spark.dedup.methods import DeduplicationSettings
from dclm_spark.dedup.minhash import MinHash
from dclm_spark.errors import LimitError
from dclm_spark.stages.deduplicate import deduplicate
from tests.dclm_spark.dedup.committed import committed
from udfs.dedup.minhash import MinHashSettings
from udfs.units.documents import DOCUMENTS

# A dozen Spark jobs search for clusters.
pytestmark = [pytest.mark.spark, pytest.mark.slow]
SETTINGS = DeduplicationSettings(
    exact=("text",),
    shards=2,
    method=MinHash(
        signatures=MinHashSettings(bands=30, rows=4, ngram=3),
        verification="none",
        verify="containment",
        min_coverage=0.8,
    ),
)
WORDS = [str(n) for n in range(200)]
# A chain of four, the copy of its second, and a page of its own.
TEXTS = [" ".join(WORDS[start : start + 100]) for start in (0, 12, 24, 36)]
TEXTS += [TEXTS[1], " ".join(f"other{n}" for n in range(50))]


@pytest.fixture(scope="module")
def finished(spark, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clusters")
    documents = committed(folder / "in", TEXTS, num_files=1)
    place = str(folder / "deduplicate")
    output = deduplicate(spark, documents, DOCUMENTS, SETTINGS, place)
    return documents, output, dedup_evidence(spark, documents, output, SETTINGS)


def rows_of(output):
    rows = [row for file in output.files("") for row in pq.read_table(file["uri"]).to_pylist()]
    return {row["warc_offset"]: row for row in rows}


def ngrams(texts, words):
    """The distinct n-grams in plain Python; a shorter text is one."""
    found = set()
    for text in texts:
        split = text.split()
        length = min(words, len(split))
        found |= {tuple(split[n : n + length]) for n in range(len(split) - length + 1)}
    return found


def test_survivors_know_how_many_documents_they_stand_for(finished):
    rows = rows_of(finished[1])
    kept = {place for place, row in rows.items() if row["fate"] == "kept"}
    assert kept == {0, 2, 5}
    assert {place: rows[place]["cluster_size"] for place in kept} == {0: 3, 2: 2, 5: None}
    # The copy's partner, the second document, goes to the first one itself.
    assert rows[4]["rule"] == "duplicate_text"
    assert rows[4]["partner"] == rows[1]["doc_id"]
    ids = {place: rows[place]["cluster_id"] for place in rows}
    first, third = rows[0]["doc_id"], rows[2]["doc_id"]
    assert ids == {0: first, 1: first, 4: first, 2: third, 3: third, 5: None}


def test_lost_information_is_counted_beside_what_the_component_rule_would_lose(finished):
    lost = {
        (one["measure"], one["group"], one["name"]): one for one in finished[2]["lost"]["groups"]
    }
    assert finished[2]["lost"]["one_in"] == 1
    for measure, words in (("13-grams", 13), ("words", 1)):
        every = ngrams(TEXTS, words)
        gone = every - ngrams([TEXTS[0], TEXTS[2], TEXTS[5]], words)
        by_component = every - ngrams([TEXTS[0], TEXTS[5]], words)
        found = lost[measure, "", ""]
        assert (found["total"], found["lost"]) == (len(every), len(gone))
        assert found["by_component"] == pytest.approx(len(by_component) / len(every))
        assert len(by_component) > len(gone) > 0
        assert lost[measure, "source", "crawl"]["lost"] == len(gone)
        assert lost[measure, "domain", "host3.example"]["lost"] == len(gone)
        assert lost[measure, "domain", "host1.example"]["lost"] == 0
        assert lost[measure, "rule", "near_duplicate"]["lost"] == len(gone)


def test_the_guard_stops_before_anything_is_removed_or_warns(spark, finished, tmp_path, caplog):
    documents, output, _ = finished
    guard = GuardSettings(max_removed_share=0.4, by=("source",), min_documents=5)
    place = str(tmp_path / "deduplicate")
    stopped = replace(SETTINGS, guard=guard)
    with pytest.raises(LimitError, match=r"source crawl: 3 of 6.*1 for http://host0.example/"):
        deduplicate(spark, documents, DOCUMENTS, stopped, place)
    assert not (tmp_path / "deduplicate" / "kept").exists()
    for max_removed_share, warned in ((0.4, True), (0.6, False)):
        caplog.clear()
        limit = replace(guard, action="warn", max_removed_share=max_removed_share)
        with caplog.at_level(logging.WARNING):
            again = deduplicate(
                spark, documents, DOCUMENTS, replace(SETTINGS, guard=limit), output.directory
            )
        assert again.fingerprint == output.fingerprint
        assert ("source crawl: 3 of 6" in caplog.text) == warned


def test_the_guard_warns_where_nothing_is_removed(spark, finished, tmp_path, caplog):
    documents, _, _ = finished
    guard = GuardSettings(max_removed_share=0.4, by=("source",), min_documents=5)
    annotated = replace(SETTINGS, guard=guard, mode="annotate")
    with caplog.at_level(logging.WARNING):
        kept = deduplicate(spark, documents, DOCUMENTS, annotated, str(tmp_path / "annotated"))
    assert "source crawl: 3 of 6" in caplog.text
    assert sum(file["rows"] for file in kept.files("kept/")) == 6


def test_a_run_that_was_killed_goes_on_to_the_same_bytes(spark, finished, tmp_path):
    """A unit and the table of who covers whom are missing, half of another table is there."""
    documents, output, _ = finished
    whole = Path(output.directory).parent
    shutil.copytree(whole, tmp_path / "run")
    working = tmp_path / "run" / "deduplicate-working"
    (working / "coverage.json").unlink()
    (working / "clusters-0.json").unlink()
    (tmp_path / "run" / "deduplicate" / "manifests" / f"{output.unit_names[0]}.json").unlink()
    again = deduplicate(
        spark, documents, DOCUMENTS, SETTINGS, str(tmp_path / "run" / "deduplicate")
    )
    assert again.fingerprint == output.fingerprint


@pytest.fixture(scope="module", autouse=True)
def short_queries(spark):
    """Compiling a plan costs more than running it over a few rows."""
    spark.conf.set("spark.sql.codegen.wholeStage", "false")
    yield
    spark.conf.unset("spark.sql.codegen.wholeStage")
