import json
from pathlib import Path
from typing import Any

import pytest

from dclm_spark.errors import InputError
from dclm_spark.evaluate.aggregate import dclm_aggregates
from dclm_spark.evaluate.tasks import EXTENDED
from dclm_spark.ranking.dclm_database import export_to_dclm, from_dclm, to_dclm
from dclm_spark.ranking.records import (
    DatasetRecord,
    EvaluationRecord,
    ModelRecord,
    Record,
    check_links,
    evaluation_record,
    read_records,
    record_uuid,
    write_record,
)

DATASET = DatasetRecord(
    uuid=record_uuid("dataset", "f00d"),
    name="baseline",
    sources=(("u1", "pool"),),
    is_tokenized=True,
    num_tokens=10,
    size_bytes=20,
    recipe_hash="abc",
)
MODEL = ModelRecord(
    uuid=record_uuid("model", "m"),
    name="tiny",
    dataset_uuid=DATASET.uuid,
    hyperparameters={"lr": 0.003},
)
EVALUATION = EvaluationRecord(
    uuid=record_uuid("evaluation", "e"),
    name="heavy",
    model_uuid=MODEL.uuid,
    model_name="tiny",
    accuracies=dict.fromkeys(EXTENDED, 0.5),
)


@pytest.mark.parametrize("record", [DATASET, MODEL, EVALUATION])
def test_a_record_survives_its_file(record: Record, tmp_path: Path) -> None:
    write_record(record, tmp_path)
    assert read_records(type(record), tmp_path) == [record]


@pytest.mark.parametrize("record", [DATASET, MODEL, EVALUATION])
def test_a_record_survives_the_layout_of_dclm(record: Record, tmp_path: Path) -> None:
    (file,) = export_to_dclm([record], tmp_path)
    assert from_dclm(type(record), json.loads(file.read_text())) == record


def test_an_exported_evaluation_has_the_aggregates_of_both_versions() -> None:
    values = to_dclm(EVALUATION)
    known = dclm_aggregates(EVALUATION.accuracies, "v2")
    assert values["Core"] == values["Core_v2"] == known["Core_v2"]
    assert values["Extended_v1"] == dclm_aggregates(EVALUATION.accuracies, "v1")["Extended_v1"]
    assert values["eval_metrics"]["icl"]["copa"] == 0.5
    assert values["eval_version"] == "v2"


def test_keys_unknown_to_us_are_kept() -> None:
    theirs: dict[str, Any] = {
        "uuid": "u",
        "name": "heavy",
        "model": {"name": "m7", "uuid": "mu"},
        "eval_metrics": {"perplexity": 3.6, "icl": {"copa": 0.61}},
        "Core": "N/A due to missing tasks: []",
        "_filename": "x.json",
    }
    record = from_dclm(EvaluationRecord, theirs)
    assert (record.model_name, record.model_uuid) == ("m7", "mu")
    assert record.accuracies == {"copa": 0.61}
    assert record.extra == {"_filename": "x.json", "eval_metrics": {"perplexity": 3.6}}
    assert to_dclm(record)["eval_metrics"] == {"perplexity": 3.6, "icl": {"copa": 0.61}}


def test_a_broken_link_is_named(tmp_path: Path) -> None:
    for record in (DATASET, MODEL, EVALUATION):
        write_record(record, tmp_path)
    check_links(tmp_path, [EVALUATION])
    (tmp_path / "models" / f"{MODEL.uuid}.json").unlink()
    with pytest.raises(InputError, match="evaluation heavy: no model record"):
        check_links(tmp_path, [EVALUATION])


def test_the_same_facts_give_the_same_uuid() -> None:
    assert record_uuid("model", "a", "b") == record_uuid("model", "a", "b")
    assert record_uuid("model", "a", "b") != record_uuid("model", "ab")


def test_an_evaluation_becomes_a_record_that_links_its_model_and_keeps_caveats() -> None:
    summary = {
        "settings": {"sample": 4},
        "caveats": ["at most 4 rows of each task were scored"],
        "tasks": {"copa": {"accuracy": {"value": 0.75}}},
    }
    record = evaluation_record(summary, MODEL, "heavy")
    assert (record.model_uuid, record.accuracies) == (MODEL.uuid, {"copa": 0.75})
    values = to_dclm(record)
    assert values["caveats"] == summary["caveats"]
    assert values["Core"].startswith("N/A due to missing tasks: ['hellaswag_zeroshot'")
    assert from_dclm(EvaluationRecord, values) == record
