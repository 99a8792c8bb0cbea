"""The select stage: a decision over columns, in which no filter is not a filter at zero."""

from bisect import bisect_left
from collections import Counter
from operator import itemgetter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dclm_spark.engine.file_stage import FileStage, UnitSource
from dclm_spark.errors import SettingError
from dclm_spark.signals.decision import Decision
from dclm_spark.signals.scored_documents import QUALITY, Candidates, check_decision
from dclm_spark.signals.signal_tables import SignalTable
from dclm_spark.stages.score import QualitySettings, random_scores
from dclm_spark.stages.select import minimum_score, quality_rules, select, top_threshold
from udfs.documents.schema import EXTRACTED
from udfs.signals.buckets import score_buckets
from udfs.units.fates import with_fate
from udfs.units.totals import merge


def buckets(*units):
    """The statistics of the scores of several units, added up."""
    counts = [Counter(score_buckets(scores).tolist()).items() for scores in units]
    return merge({"score_buckets": list(map(list, unit))} for unit in counts)["score_buckets"]


@pytest.mark.parametrize("top", [0.01, 0.1, 0.5, 1.0])
def test_the_threshold_keeps_the_wanted_fraction(top):
    scores = np.random.default_rng(0).beta(0.2, 5, 20_000)
    threshold = top_threshold(buckets(scores[:5000], scores[5000:]), top)
    kept = (scores >= threshold).mean()
    assert top <= kept <= top * 1.01 + 1e-4


def test_the_order_of_the_units_does_not_matter():
    parts = np.split(np.random.default_rng(1).random(1000), 10)
    assert top_threshold(buckets(*parts), 0.3) == top_threshold(buckets(*parts[::-1]), 0.3)


def test_a_fraction_outside_its_range_is_refused():
    with pytest.raises(SettingError, match=r"quality\.top"):
        top_threshold([], 0.0)


def test_no_filter_is_not_a_filter_at_zero():
    assert minimum_score(QualitySettings(threshold=0.0), None) is None
    assert quality_rules(None) == {}
    assert quality_rules(0.0) == {"quality_score": "quality_score >= 0.0D"}
    assert quality_rules(1e-05) == {"quality_score": "quality_score >= 1e-05D"}


def write_pages(source, output):
    names = [f"{source['name']}{number}" for number in range(200)]
    rows = [
        dict.fromkeys(EXTRACTED.names)
        | {"doc_id": name.encode().ljust(16), "url": f"https://{name}.example/", "text": name}
        for name in names
    ]
    batch = pa.RecordBatch.from_pylist(rows, EXTRACTED)
    none = pa.nulls(batch.num_rows, pa.string())
    output.write(with_fate(batch, stage="pages", rule=none, value=none, threshold=none))


@pytest.fixture(scope="module")
def pages(spark, tmp_path_factory):
    """Two files of 200 documents, each with a score that depends on its id alone."""
    folder = tmp_path_factory.mktemp("pages")
    stage = FileStage(name="pages", schema=EXTRACTED, process=write_pages)
    given = [UnitSource(unit=name, identity=name, source={"name": name}) for name in "ab"]
    documents = stage.run(spark, given, str(folder / "pages"))
    scores = random_scores(spark, documents, str(folder / "score"))
    table = SignalTable(output=scores, fields=(QUALITY,), folder="scores")
    return Candidates(documents=documents, tables=(table,))


def bins_of(rows):
    return score_buckets(np.array([row["quality_score"] for row in rows])).tolist()


def rows_of(output, fate):
    return [
        row for file in output.files(f"{fate}/") for row in pq.read_table(file["uri"]).to_pylist()
    ]


@pytest.mark.spark
def test_select_writes_a_ledger_without_texts_and_keeps_the_order(spark, pages, tmp_path):
    selected = select(spark, pages, Decision(rules=quality_rules(0.6)), str(tmp_path / "select"))
    kept, dropped = rows_of(selected, "kept"), rows_of(selected, "dropped")
    assert selected.documents() == {
        "kept": len(kept), "dropped": len(dropped), "quarantined": 0
    }  # fmt: skip
    scores = [
        row
        for file in pages.tables[0].output.files("scores/")
        for row in pq.read_table(file["uri"]).to_pylist()
    ]
    assert [row["doc_id"] for row in kept] == [
        row["doc_id"] for row in scores if row["quality_score"] >= 0.6
    ]
    assert "text" not in kept[0]
    assert {(row["rule"], row["stage"], row["threshold"]) for row in dropped} == {
        ("quality_score", "select", 0.6)
    }
    assert all(row["value"] == row["quality_score"] < 0.6 for row in dropped)
    assert {(row["rule"], row["stage"], row["value"]) for row in kept} == {(None, None, None)}


@pytest.mark.spark
def test_no_rule_keeps_all_documents_without_a_score(spark, pages, tmp_path):
    unscored = Candidates(documents=pages.documents)
    whole = select(spark, unscored, Decision(), str(tmp_path))
    assert whole.documents()["kept"] == 400
    assert {row["quality_score"] for row in rows_of(whole, "kept")} == {None}


@pytest.mark.spark
def test_rules_bucket_and_copies_are_decided_in_the_order_of_the_recipe(spark, pages, tmp_path):
    decision = Decision(
        rules={
            "first": "url NOT LIKE 'https://a1%'",
            "half": "quality_score_rank >= 0.5",
            "unknown": "nullif(bucket, 9) IS NOT NULL AND nullif(bucket, 8) > 0",
        },
        bucket="CAST(floor(quality_score * 10) AS INT)",
        repeat="CASE WHEN bucket = 7 THEN 2.5 WHEN bucket = 6 THEN NULL ELSE 1 END",
    )
    selected = select(spark, pages, decision, str(tmp_path))
    rows = {fate: rows_of(selected, fate) for fate in ("kept", "dropped")}
    every = rows["kept"] + rows["dropped"]
    bins = dict(zip(map(itemgetter("doc_id"), every), bins_of(every), strict=True))
    ordered = sorted(bins.values())
    for row in every:
        bucket, fate = int(row["quality_score"] * 10), None
        if row["url"].startswith("https://a1"):
            fate = "first"
        elif bisect_left(ordered, bins[row["doc_id"]]) < len(ordered) / 2:
            fate = "half"
        elif bucket in (8, 9):
            fate = "unknown"
        elif bucket == 6:
            fate = "repeat"
        assert (row["rule"], row["bucket"]) == (fate, str(bucket))
        assert row["threshold"] == (0.5 if fate == "half" else None)
    copies = [row["repeats"] for row in rows["kept"] if row["bucket"] == "7"]
    assert set(copies) == {2, 3}
    assert 0.25 < copies.count(3) / len(copies) < 0.75
    again = select(spark, pages, decision, str(tmp_path / "again"))
    assert again.fingerprint == selected.fingerprint


@pytest.mark.spark
def test_a_condition_that_spark_refuses_is_an_error_of_the_setting(spark, pages):
    columns = pages.columns
    check_decision(spark, Decision(rules={"a": "bucket > 1"}, bucket="1"), columns)
    wrong = Decision(rules={"a": "array_contains(url, 1)"})
    with pytest.raises(SettingError, match=r"rules\.a = 'array_contains\(url, 1\)': .*ARRAY"):
        check_decision(spark, wrong, columns)
