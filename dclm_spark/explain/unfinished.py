"""Whether a run ended: the stages of one that did not may be those of an earlier recipe."""

from dclm_spark.engine.run_record import has_report, read_run_record, report_of_ended
from dclm_spark.removal.tombstones import num_removals
from udfs import storage


def unfinished(output: str) -> str:
    """Return a line about a run that did not end, "" for one that did and where no run is."""
    if read_run_record(output) is None or report_of_ended(output) is not None:
        return ""
    if not has_report(output) and num_removals(storage.join(output, "shards")):
        return (
            f"{output} has no report: it was compacted, or the run did not end and later "
            "stages may be those of an earlier recipe; its own command writes the report"
        )
    return (
        f"the run in {output} did not end, and its own command ends it: later stages below may be "
        "missing, or those of an earlier recipe"
    )
