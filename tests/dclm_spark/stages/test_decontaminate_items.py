"""Decontamination by items through a run: what leaks goes, is noted, or is cut out."""

import json
import random
from dataclasses import replace
from hashlib import sha256

import pyarrow.parquet as pq
import pytest

from dclm_spark.evaluate.tasks import TASK_BY_LABEL
from dclm_spark.explain import StageRow, side_by_side
from dclm_spark.recipes import load_recipe
from dclm_spark.stages.decontaminate import EvaluationDataSettings, decontaminate, documents_by_task
from tests.dclm_spark.dedup.committed import committed
from udfs.units.documents import DOCUMENTS


def prose(seed, count):
    rng = random.Random(seed)
    return " ".join(f"w{rng.randrange(10**5)}" for _ in range(count))


PASSAGE, QUESTION = prose("p", 80), prose("q", 20)
TEXTS = [
    prose(1, 100),
    f"{prose(2, 30)} {QUESTION}? Yes. {prose(3, 30)}",
    f"{prose(4, 30)} {PASSAGE} {prose(5, 30)}",
]


@pytest.fixture
def wanted(tmp_path):
    task = TASK_BY_LABEL["boolq"]
    row = {
        "query": f"Passage: {PASSAGE}\nQuestion: {QUESTION}?",
        "choices": ["no", "yes"],
        "gold": 1,
    }
    path = tmp_path / "eval" / task.file
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(row))
    return EvaluationDataSettings(data=str(tmp_path / "eval"), tasks="boolq", rule="items")


def rows_of(output):
    rows = [row for file in output.files("") for row in pq.read_table(file["uri"]).to_pylist()]
    return {row["warc_offset"]: row for row in rows}


@pytest.mark.spark
def test_leaks_go_are_noted_or_are_cut_and_sources_stay(spark, tmp_path, wanted):
    documents = committed(tmp_path / "in", TEXTS)
    for mode in ("mask", "remove"):
        place = tmp_path / "run" / "stages" / "decontaminate"
        output = decontaminate(spark, documents, DOCUMENTS, replace(wanted, mode=mode), str(place))
        rows = rows_of(output)
        assert documents_by_task(output) == {"boolq": 1}
        assert sum(f["source_material_documents"] for _, f in output.facts()) == 1
        assert [len(rows[n]["evaluation_hits"]) for n in range(3)] == [0, 1, 1]
        assert rows[2]["evaluation_hits"][0]["part"] == "passage"
        assert [rows[n]["fate"] for n in (0, 2)] == ["kept", "kept"]
        if mode == "mask":
            assert rows[1]["fate"] == "kept"
            assert rows[1]["text"] == f"{prose(2, 30)} . {prose(3, 30)}"
            assert rows[1]["masked_size_bytes"] == len(f"{QUESTION}? Yes")
            # That of the text that the documents stage wrote, as after other removals.
            assert rows[1]["text_hash"] == sha256(TEXTS[1].encode()).digest()[:16]
        else:
            assert (rows[1]["rule"], rows[1]["fate"]) == ("evaluation_items", "dropped")
            assert rows[1]["value"] == 1.0
    history = [
        StageRow(stage="documents", row={}, text=TEXTS[1]),
        StageRow(stage="decontaminate", row=rows[1], text=None),
    ]
    shown = side_by_side(str(tmp_path / "run"), history)
    assert "boolq item 0, question: coverage 1.00, score 1.00, leaks" in shown
    first = QUESTION.split()[0]
    assert any(line.count(first) == 2 for line in shown.split("\n"))


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["decontamination.mode=mask"], "mode = 'mask': expected one of remove, annotate"),
        (["decontamination.rule=parts"], "rule = 'parts': expected one of ngrams, items"),
        (["decontamination.match.min_score=2"], "min_score"),
    ],
)
def test_values_that_cannot_be_used_are_refused(assignments, message):
    with pytest.raises(ValueError, match=message):
        load_recipe("dclm_baseline", assignments)
