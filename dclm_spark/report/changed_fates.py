"""Documents that have one fate in one run and another in another: counts, with some of them."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dclm_spark.engine.tables import read_files
from dclm_spark.removal.tombstones import committed_output
from udfs import storage
from udfs.documents.schema import KEPT
from udfs.storage.parquet import read_table

SAMPLES = 3
# Runs of more documents are joined by Spark: this many take 2 GB of the driver's memory.
DOCUMENTS_OF_A_DRIVER = 5_000_000
ABSENT = "absent"
# What a stage says of the documents that go no further; the last one says what stays, too.
_LEDGERS = {
    "documents": ("dropped/", "quarantined/"),
    "quality": ("dropped/",),
    "deduplicate": ("dropped/",),
    "decontaminate": ("dropped/",),
    "select": ("kept/", "dropped/"),
}
_READ = pa.schema(
    [pa.field("doc_id", pa.binary())]
    + [pa.field(name, pa.string()) for name in ("url", "fate", "stage", "rule")]
)
# (doc_id, url, outcome in the first run, outcome in the second); a tuple of what Spark returns too.
_Changed = tuple[bytes, str | None, str, str, int]


@dataclass(frozen=True, kw_only=True)
class SampledPage:
    """A document, by which `jobs/explain_page.py` finds it in both runs."""

    doc_id: str
    url: str


@dataclass(frozen=True, kw_only=True)
class FateChange:
    """`documents` that are `before` in the first run and `after` in the second.

    Both are "kept", "STAGE: RULE" of what took the document, or "absent".
    """

    before: str
    after: str
    documents: int
    samples: tuple[SampledPage, ...] = ()


def num_documents(output: str) -> int:
    """Return how many documents the ledger of a run has, from its manifests."""
    return sum(file["rows"] for file in _files(output))


def changed_fates(
    first: str, second: str, spark: SparkSession | None = None
) -> tuple[FateChange, ...]:
    """Return all changes between two finished runs of the same input, the most frequent first.

    With `spark` it joins the ledgers by id; without, this process does, which is for runs of at
    most DOCUMENTS_OF_A_DRIVER. Samples are the smallest id of each leading byte, the first three.
    """
    changed = _joined_here(first, second) if spark is None else _joined(spark, first, second)
    counts: Counter[tuple[str, str]] = Counter()
    smallest: dict[tuple[str, str], dict[int, tuple[bytes, str]]] = defaultdict(dict)
    for doc_id, url, before, after, documents in changed:
        counts[before, after] += documents
        known = smallest[before, after].get(doc_id[0])
        if known is None or doc_id < known[0]:
            smallest[before, after][doc_id[0]] = (doc_id, url or "")
    found = [
        FateChange(before=before, after=after, documents=count,
                   samples=_samples(smallest[before, after].values()))
        for (before, after), count in counts.items()
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda one: (-one.documents, one.before, one.after)))


def _samples(smallest: Iterable[tuple[bytes, str]]) -> tuple[SampledPage, ...]:
    chosen = sorted(smallest)[:SAMPLES]
    return tuple(SampledPage(doc_id=doc_id.hex(), url=url) for doc_id, url in chosen)


def _files(output: str) -> list[dict[str, Any]]:
    return ledger_files(lambda stage: storage.join(output, "stages", stage))


def ledger_files(place: Callable[[str], str]) -> list[dict[str, Any]]:
    """Return the files that say what became of the documents of a run; `place` finds its stages."""
    found = []
    for stage, prefixes in _LEDGERS.items():
        committed = committed_output(stage, place(stage))
        found += [file for prefix in prefixes for file in committed.files(prefix)]
    return found


def _joined_here(first: str, second: str) -> Iterable[_Changed]:
    left, right = _ledger(first), _ledger(second)
    both = left.join(right, "doc_id", join_type="full outer", right_suffix="_after")
    before = pc.fill_null(both["outcome"], ABSENT)
    after = pc.fill_null(both["outcome_after"], ABSENT)
    url = pc.coalesce(both["url"], both["url_after"])
    table = pa.table({"doc_id": both["doc_id"], "url": url, "before": before, "after": after})
    for batch in table.filter(pc.not_equal(before, after)).to_batches(100_000):
        columns = [column.to_pylist() for column in batch.columns]
        for doc_id, address, old, new in zip(*columns, strict=True):
            yield doc_id, address, old, new, 1


def _ledger(output: str) -> pa.Table:
    """Return doc_id, url and outcome of all documents of a run."""
    batches = [batch for file in _files(output) for batch in read_table(file["uri"], _READ.names)]
    table = pa.Table.from_batches([batch.cast(_READ) for batch in batches], _READ)
    took = pc.binary_join_element_wise(table["stage"], table["rule"], ": ")
    kept = pc.equal(table["fate"], KEPT)
    return table.select(["doc_id", "url"]).append_column("outcome", pc.if_else(kept, KEPT, took))


def _joined(spark: SparkSession, first: str, second: str) -> Iterable[_Changed]:
    """Yield one row for each change and leading byte of ids: no more than that reaches here."""
    left, right = (outcomes(spark, _files(output)) for output in (first, second))
    right = right.withColumnsRenamed({"url": "url_after", "outcome": "after"})
    both = left.withColumnRenamed("outcome", "before").join(right, "doc_id", "full_outer")
    absent = F.lit(ABSENT)
    before, after = F.coalesce("before", absent), F.coalesce("after", absent)
    changed = both.withColumn("before", before).withColumn("after", after)
    changed = changed.where("before <> after").withColumn("url", F.coalesce("url", "url_after"))
    byte = F.hex(F.substring("doc_id", 1, 1)).alias("byte")
    grouped = changed.groupBy("before", "after", byte).agg(
        F.count("*").alias("documents"), F.min(F.struct("doc_id", "url")).alias("page")
    )
    for row in grouped.toLocalIterator():
        page = row["page"]
        yield bytes(page["doc_id"]), page["url"], row["before"], row["after"], row["documents"]


def outcomes(spark: SparkSession, files: Sequence[dict[str, Any]]) -> DataFrame:
    """Return doc_id, url and outcome ("kept", or "STAGE: RULE") of the rows of a run's ledger."""
    rows = read_files(spark, [file["uri"] for file in files], _READ)
    took = F.concat_ws(": ", "stage", "rule")
    outcome = F.when(F.col("fate") == KEPT, F.lit(KEPT)).otherwise(took)
    return rows.select("doc_id", "url", outcome.alias("outcome"))
