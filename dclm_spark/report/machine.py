"""The report of a run for programs: report.json, with a version of its own."""

import json
from dataclasses import asdict

from dclm_spark.report.summary import RunSummary
from udfs import storage

# Raised when a key goes or changes its meaning; new keys do not raise it.
SCHEMA_VERSION = 2
# What is told besides the fields of `RunSummary`: the type, and what it means.
FACTS: dict[str, tuple[type, str]] = {
    "schema_version": (int, "raised when a key goes or changes its meaning"),
    "complete": (bool, "whether every stage ended; `failure` says why not"),
    "balanced": (bool, "whether every document of the run and of each stage has one fate"),
}


def write_json(summary: RunSummary, path: str) -> None:
    """Write `summary` to `path`, a local path or URI."""
    storage.write_bytes(path, render_json(summary).encode())


def render_json(summary: RunSummary) -> str:
    """Return the summary as JSON: the fields of `RunSummary`, `schema_version` and `complete`."""
    told = (SCHEMA_VERSION, not summary.failure, summary.balanced)
    facts = dict(zip(FACTS, told, strict=True))
    return json.dumps(facts | asdict(summary), indent=1, ensure_ascii=False)
