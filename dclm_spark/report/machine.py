"""The report of a run for programs: report.json, with a version of its own."""

import json
from dataclasses import asdict

from dclm_spark.report.summary import RunSummary
from udfs import storage

# Raised when a key goes or changes its meaning; new keys do not raise it.
SCHEMA_VERSION = 1


def write_json(summary: RunSummary, path: str) -> None:
    """Write `summary` to `path`, a local path or URI."""
    storage.write_bytes(path, render_json(summary).encode())


def render_json(summary: RunSummary) -> str:
    """Return the summary as JSON: the fields of `RunSummary`, `schema_version` and `complete`."""
    facts = {
        "schema_version": SCHEMA_VERSION,
        # Whether every stage ended; `failure` says why not.
        "complete": not summary.failure,
        "balanced": summary.balanced,
    }
    return json.dumps(facts | asdict(summary), indent=1, ensure_ascii=False)
