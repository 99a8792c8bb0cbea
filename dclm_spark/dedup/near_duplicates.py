"""What near duplicates are and which of them stay: settings, and the table of signatures."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import NumericType

from dclm_spark.dedup.method import ORDER
from dclm_spark.dedup.pairs.candidates import BucketSettings
from dclm_spark.engine.tables import Documents, Extent, extent_of
from dclm_spark.errors import SettingError
from udfs.checks import at_least, check, one_of, share_above_zero
from udfs.dedup.coverage import MEASURES, CoverageSettings
from udfs.dedup.minhash import MinHashSettings, signatures

VERIFICATIONS = ("jaccard", "sketch", "none")
_SIGNED_TYPES = "num_shingles int, bands array<bigint>, sketch binary"
# Removing what a survivor has 0.8 of lost 1.3 % of the n-grams of planted chains.
_USUAL_CONTAINMENT = 0.95
# The classifier's, which documents have where it judges them before copies are looked for.
SCORE = "quality_score"
# Names that stand for columns in `survivor_order`.
_ORDERS = {
    "crawl_order": ORDER,
    "longest": ("-text_size_bytes",),
    "newest": ("-fetch_microseconds",),
    "best_score": (f"-{SCORE}",),
}
# Columns that are computed of one of the documents'.
_COMPUTED: dict[str, tuple[str, Callable[[], Column]]] = {
    "text_size_bytes": ("text", lambda: F.octet_length("text").cast("bigint")),
    "fetch_microseconds": ("fetch_time", lambda: F.unix_micros("fetch_time")),
}


@dataclass(frozen=True, kw_only=True)
class NearDuplicateSettings:
    """How near duplicates are found and which documents of a cluster stay.

    `verification` of candidates: "jaccard" compares the texts' shingle sets ("sketch" stands in
    for documents of earlier crawls, whose text is not read), "sketch" compares signatures,
    "none" trusts the bands. `verify` of removals: "none" removes all of a cluster but its first,
    "jaccard" and "containment" only what is so alike to, or so contained in, one document that
    stays; what nobody covers stays too.
    """

    signatures: MinHashSettings = field(default_factory=MinHashSettings)
    # How candidates are compared: "jaccard" by texts, "sketch" by signatures, "none" not.
    verification: str = "jaccard"
    # Least similarity of an edge; RefinedWeb's is 0.8.
    threshold: float = 0.8
    # How a removal is compared with what stays: "none", "jaccard" or "containment".
    verify: str = "none"
    # Least similarity, or share of shingles, that the survivor has; None: `threshold` for the one,
    # 0.95 for the other.
    min_coverage: float | None = None
    # Survivors of a cluster that a document is compared with.
    max_survivors: int = 1000
    # Columns of the documents, the most important first; "-x" prefers large values of x. "longest",
    # "newest", "best_score" (with `quality.before_deduplication`) and "crawl_order" stand for the
    # columns that say so.
    survivor_order: tuple[str, ...] = ORDER
    buckets: BucketSettings = field(default_factory=BucketSettings)
    # Centres that a bucket tries for documents that do not resemble its first one.
    star_rounds: int = 4

    def __post_init__(self) -> None:
        """Check every value."""
        check(self, verification=one_of(VERIFICATIONS), threshold=share_above_zero())
        check(self, verify=one_of(("none", *MEASURES)), min_coverage=share_above_zero())
        check(self, star_rounds=at_least(1), max_survivors=at_least(1))
        if not self.survivor_order:
            raise ValueError("survivor_order is empty: name at least one column")
        if self.min_coverage is not None and self.verify == "none":
            raise ValueError(
                f"min_coverage = {self.min_coverage}: nothing is compared while verify is 'none'; "
                "set verify=containment or verify=jaccard too"
            )

    @property
    def sort_columns(self) -> tuple[str, ...]:
        """Return the survivor order as columns, "-x" descending."""
        return tuple(one for name in self.survivor_order for one in _ORDERS.get(name, (name,)))

    @property
    def order_columns(self) -> tuple[str, ...]:
        """Return the columns of the survivor order, each once."""
        return tuple(dict.fromkeys(name.removeprefix("-") for name in self.sort_columns))

    @property
    def read_columns(self) -> tuple[str, ...]:
        """Return the columns of the documents that the search reads."""
        named = (_COMPUTED[name][0] if name in _COMPUTED else name for name in self.order_columns)
        return tuple(dict.fromkeys(("doc_id", *named, "text")))

    @property
    def coverage(self) -> CoverageSettings | None:
        """Return when a survivor stands for a document, None where nothing is verified."""
        if self.verify == "none":
            return None
        usual = {"jaccard": self.threshold, "containment": _USUAL_CONTAINMENT}
        return CoverageSettings(
            measure=self.verify,
            threshold=self.min_coverage or usual[self.verify],
            max_survivors=self.max_survivors,
        )


def search_extent(documents: Documents, settings: NearDuplicateSettings) -> Extent:
    """Return the extent of what the search reads."""
    return extent_of(documents, settings.read_columns)


def signature_table(documents: Documents, settings: NearDuplicateSettings) -> DataFrame:
    """Return (doc_id, order columns, num_shingles, bands, sketch): all that is saved of a crawl.

    Ids and order columns keep their types. Raises SettingError when `documents` lacks doc_id, text
    or a column of the survivor order, or when a column that cannot be negated is to descend.
    """
    for name in settings.read_columns:
        if name not in documents.columns:
            raise SettingError(
                f"survivor_order or input: the documents have no column {name!r}; they have "
                + ", ".join(documents.columns)
            )
    kept = list(dict.fromkeys(("doc_id", *settings.order_columns)))
    chosen = documents.select(*settings.read_columns)
    for name in set(kept) & set(_COMPUTED):
        chosen = chosen.withColumn(name, _COMPUTED[name][1]())
    chosen = chosen.select(*dict.fromkeys((*kept, "text")))
    _check_descending(chosen, settings)
    types = ", ".join(f"`{name}` {chosen.schema[name].dataType.simpleString()}" for name in kept)
    minhash = settings.signatures

    def sign(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield _signed(batch, kept, minhash)

    return chosen.mapInArrow(sign, f"{types}, {_SIGNED_TYPES}")


def _check_descending(chosen: DataFrame, settings: NearDuplicateSettings) -> None:
    for name in settings.sort_columns:
        kind = chosen.schema[name.removeprefix("-")].dataType
        if name.startswith("-") and not isinstance(kind, NumericType):
            raise SettingError(
                f"survivor_order = {name!r}: only numbers can be preferred by size, and the column "
                f"is {kind.simpleString()}"
            )


def _signed(batch: pa.RecordBatch, kept: list[str], settings: MinHashSettings) -> pa.RecordBatch:
    texts = batch.column("text")
    found = signatures(texts, settings)
    rows = np.arange(batch.num_rows + 1, dtype=np.int32)
    columns = {name: batch.column(name) for name in kept}
    columns["num_shingles"] = pa.array(found.num_shingles.astype(np.int32))
    columns["bands"] = pa.ListArray.from_arrays(
        rows * settings.bands, pa.array(found.bands.reshape(-1))
    )
    # Spark wants 64-bit offsets in all columns or in none.
    binary = pa.large_binary() if pa.types.is_large_string(texts.type) else pa.binary()
    columns["sketch"] = pa.array([row.tobytes() for row in found.sketch], binary)
    return pa.RecordBatch.from_pydict(columns)
