"""Whether a run ended: the stages of one that did not may be those of an earlier recipe."""

import json

from dclm_spark.engine.run_record import read_run_record
from dclm_spark.removal.tombstones import num_removals
from udfs import storage


def unfinished(output: str) -> str:
    """Return a line about a run that did not end, "" for one that did.

    A run that was killed leaves no report, or that of the recipe before it.
    """
    record = read_run_record(output) or {}
    try:
        report = json.loads(storage.read_bytes(storage.join(output, "report.json")))
    except storage.MissingObjectError:
        if num_removals(storage.join(output, "shards")):
            return (
                f"{output} has no report: it was compacted, or the run did not end and later "
                "stages may be those of an earlier recipe; its own command writes the report"
            )
        report = {"complete": False}
    if report["complete"] and report["recipe_hash"] == record.get("recipe_hash"):
        return ""
    return (
        f"the run in {output} did not end, and its own command ends it: later stages below may be "
        "missing, or those of an earlier recipe"
    )
