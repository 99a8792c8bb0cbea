import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dclm_spark.stages.score import SCORES, QualitySettings, _judge_file, scored_schema
from udfs.documents.schema import EXTRACTED, document_id
from udfs.signals.buckets import bucket_edge, score_buckets
from udfs.units.output import UnitOutput


def test_a_bucket_begins_with_its_lowest_score():
    scores = np.array([0.0, 1e-5, 0.018112, 0.5, 1.0])
    edges = [bucket_edge(bucket) for bucket in score_buckets(scores).tolist()]
    assert all(
        edge <= score < edge * 1.001 + 1e-9 for edge, score in zip(edges, scores, strict=True)
    )


@pytest.mark.parametrize("top", [0.0, 10.0, float("nan")])
def test_a_fraction_outside_its_range_is_refused(top):
    with pytest.raises(ValueError, match=r"top = .*: expected a fraction above 0"):
        QualitySettings(top=top)


def judged_by(folder, scores, minimum):
    """The rows of the stage `quality` of one file of documents with these scores, by fate."""
    ids = [document_id("c", "w", place) for place in range(len(scores))]
    rows = [dict.fromkeys(EXTRACTED.names) | {"doc_id": one, "text": "a text"} for one in ids]
    pq.write_table(pa.Table.from_pylist(rows, EXTRACTED), folder / "documents.parquet")
    beside = [{"doc_id": one, "quality_score": s} for one, s in zip(ids, scores, strict=True)]
    pq.write_table(pa.Table.from_pylist(beside, SCORES), folder / "scores.parquet")
    source = {"uri": f"{folder}/documents.parquet", "scores_uri": f"{folder}/scores.parquet"}
    with UnitOutput(str(folder), "unit", scored_schema(EXTRACTED)) as output:
        _judge_file(source, output, minimum)
        output.commit("key")
    files = folder.glob("*/unit.parquet")
    return {path.parent.name: pq.read_table(path).to_pylist() for path in files}


def test_documents_get_their_score_and_go_below_the_least_one(tmp_path):
    found = judged_by(tmp_path, [0.5, 0.2, None, 0.3], 0.3)
    assert {fate: [row["quality_score"] for row in rows] for fate, rows in found.items()} == {
        "kept": [0.5, 0.3], "dropped": [0.2, None]
    }  # fmt: skip
    worst = found["dropped"][0]
    assert [worst[name] for name in ("stage", "rule", "value", "threshold", "text")] == [
        "quality", "quality_score", 0.2, 0.3, None
    ]  # fmt: skip
    assert found["kept"][0]["text"] == "a text"


def test_scores_of_other_documents_are_an_error(tmp_path):
    judged_by(tmp_path, [0.5, 0.2], 0.3)
    stranger = pa.Table.from_pylist([{"doc_id": b"x", "quality_score": 1.0}] * 2, SCORES)
    pq.write_table(stranger, tmp_path / "scores.parquet")
    source = {"uri": f"{tmp_path}/documents.parquet", "scores_uri": f"{tmp_path}/scores.parquet"}
    with (
        UnitOutput(str(tmp_path), "other", scored_schema(EXTRACTED)) as output,
        pytest.raises(ValueError, match="2 documents have no row"),
    ):
        _judge_file(source, output, 0.3)
