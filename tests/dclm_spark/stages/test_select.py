"""The select stage: a decision over columns, in which no filter is not a filter at zero."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dclm_spark.engine.file_stage import FileStage, UnitSource
from dclm_spark.errors import SettingError
from dclm_spark.stages.score import QualitySettings, random_scores, score_buckets
from dclm_spark.stages.select import SELECTED, judge, minimum_score, select, top_threshold
from udfs.documents.schema import EXTRACTED
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


def scored(*scores):
    rows = [dict.fromkeys(SELECTED.names[:5]) | {"quality_score": score} for score in scores]
    return pa.RecordBatch.from_pylist(rows, pa.schema(list(SELECTED)[:6]))


def test_no_filter_is_not_a_filter_at_zero():
    assert minimum_score(QualitySettings(threshold=0.0), None) is None
    assert judge(scored(-0.5, None, 0.5), None).column("fate").to_pylist() == ["kept"] * 3
    at_zero = judge(scored(-0.5, 0.0, 0.5), 0.0)
    assert at_zero.column("fate").to_pylist() == ["dropped", "kept", "kept"]


def test_a_dropped_document_says_by_which_rule_and_value():
    (dropped, kept) = judge(scored(0.1, 0.3), 0.25).to_pylist()
    named = {name: dropped[name] for name in ("fate", "stage", "rule", "value", "threshold")}
    assert named == {
        "fate": "dropped", "stage": "select", "rule": "quality_score", "value": 0.1,
        "threshold": 0.25,
    }  # fmt: skip
    assert (kept["fate"], kept["rule"], kept["quality_score"]) == ("kept", None, 0.3)


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


@pytest.mark.spark
def test_select_writes_a_ledger_without_texts_and_keeps_the_order(spark, tmp_path):
    pages = FileStage(name="pages", schema=EXTRACTED, process=write_pages)
    given = [UnitSource(unit=name, identity=name, source={"name": name}) for name in "ab"]
    documents = pages.run(spark, given, str(tmp_path / "pages"))
    scores = random_scores(spark, documents, str(tmp_path / "score"))
    selected = select(spark, documents, scores, 0.6, str(tmp_path / "select"))
    assert selected.documents() == {
        "kept": selected.rows("kept/"), "dropped": selected.rows("dropped/"), "quarantined": 0
    }  # fmt: skip
    for unit in "ab":
        every = pq.read_table(tmp_path / "score" / "scores" / f"{unit}.parquet").to_pylist()
        kept = pq.read_table(tmp_path / "select" / "kept" / f"{unit}.parquet").to_pylist()
        assert [row["doc_id"] for row in kept] == [
            row["doc_id"] for row in every if row["quality_score"] >= 0.6
        ]
        assert "text" not in kept[0]
    whole = select(spark, documents, None, None, str(tmp_path / "all"))
    assert whole.documents()["kept"] == 400
