"""The published schema of report.json: current, and true of reports."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, ValidationError

from dclm_spark.report.json_schema import report_schema, schema_text
from dclm_spark.report.machine import render_json
from dclm_spark.report.summary import RunSummary

PUBLISHED = Path(__file__).parents[3] / "docs" / "report.schema.json"
EMPTY = RunSummary(
    title="t", recipe_name="r", recipe_hash="h", recipe_yaml="", versions={}, commit="",
    started="", seconds=0.0, documents_in=0, kept=0, dropped=0, quarantined=0, stages=(),
    funnel=(),
)  # fmt: skip


def test_the_published_schema_is_what_the_code_says():
    """Else: python -m dclm_spark.report.json_schema > docs/report.schema.json."""
    assert PUBLISHED.read_text() == schema_text()


def test_a_report_of_a_run_without_documents_is_valid():
    schema = report_schema()
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(json.loads(render_json(EMPTY)))


@pytest.mark.parametrize(
    "change", [{"kept": "many"}, {"stages": [{"name": "documents"}]}, {"schema_version": 1}]
)
def test_what_no_report_says_is_refused(change):
    with pytest.raises(ValidationError):
        Draft202012Validator(report_schema()).validate(json.loads(render_json(EMPTY)) | change)


def test_every_field_of_a_report_is_in_the_schema():
    assert set(asdict(replace(EMPTY, failure="x"))) < set(report_schema()["properties"])
