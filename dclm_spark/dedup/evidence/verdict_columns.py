"""Verdicts on whole documents as the columns that the stage joins to them, within the guard."""

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from dclm_spark.dedup.decisions import CLUSTER_FIELDS
from dclm_spark.dedup.evidence.clusters import with_clusters
from dclm_spark.dedup.evidence.guard import check_removals
from dclm_spark.dedup.exact import joined_verdicts
from dclm_spark.dedup.method import DedupInput
from dclm_spark.dedup.methods import DeduplicationSettings
from dclm_spark.engine.checkpoints import TableLayout
from dclm_spark.engine.stage_output import StageOutput
from dclm_spark.engine.tables import read_files

_VERDICT_SIZE_BYTES = 100
_FATES = pa.schema(
    [
        pa.field("doc_id", pa.binary()),
        pa.field("partner", pa.binary()),
        pa.field("rule", pa.string()),
        pa.field("duplicate_rule", pa.string()),
    ]
)


def verdict_columns(
    given: DedupInput, settings: DeduplicationSettings, exact: DataFrame | None
) -> DataFrame | None:
    """Return what verdicts (`exact`, and those of the method) say of documents, None without any.

    The columns are what `judge` reads beside the document: one row for each that goes, and for each
    that stays for others.
    """
    verdicts, found = exact, settings.method.verdicts(given)
    if found is not None:
        verdicts = found if exact is None else joined_verdicts(exact, found)
    if verdicts is None:
        return None
    verdicts = _written(verdicts, given, settings)
    sources = len(settings.exact) + (found is not None)
    clustered = with_clusters(
        verdicts, given.working, given.files.extent.num_rows, chained=sources > 1
    )
    return clustered.select(
        "doc_id",
        *(F.col(name).alias(f"verdict_{name}") for name in ("rule", "value", "threshold")),
        "partner",
        *(field.name for field in CLUSTER_FIELDS),
    )


def _written(verdicts: DataFrame, given: DedupInput, settings: DeduplicationSettings) -> DataFrame:
    """Return verdicts found once, as what follows reads them several times, within the guard."""
    files, size = given.files, given.files.extent.num_rows * _VERDICT_SIZE_BYTES
    layout = TableLayout(by=("doc_id",), size_bytes=size)
    found, _ = given.working.table("verdicts", lambda: verdicts, layout, size)
    check_removals(given.spark, files.uris, files.schema.names, found, settings.guard_of_mode)
    return found


def guard_output(given: DedupInput, output: StageOutput, settings: DeduplicationSettings) -> None:
    """Check what was committed: methods that take parts of texts know only then who goes."""
    if settings.guard.max_removed_share is None:
        return
    uris = [file["uri"] for fate in ("kept/", "dropped/") for file in output.files(fate)]
    rows = read_files(given.spark, uris, _FATES)
    gone = rows.where(F.coalesce("rule", "duplicate_rule").isNotNull())
    files = given.files
    check_removals(given.spark, files.uris, files.schema.names, gone, settings.guard_of_mode)
