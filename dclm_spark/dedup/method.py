"""Dedup methods: what one says of documents, and what the stage gives it.

A method is a frozen dataclass whose fields are its settings, named in one line of
`dclm_spark.dedup.methods.METHODS`. It overrides what it needs of `DedupMethod`: verdicts on whole
documents, parts of texts that others own, what a task does with the documents of a shard, and the
table that a crawl leaves for later ones.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from dclm_spark.engine.checkpoints import Checkpoints
from dclm_spark.engine.tables import Documents, Extent, FileTable
from udfs.dedup.ngrams import DedupResult
from udfs.tokens.order import buckets, document_keys

# Columns of the declared order of documents.
ORDER = ("crawl", "warc_path", "warc_offset")

# One row per document to remove: `value` is the similarity or share that was compared with
# `threshold`; `partner` is the document that stays in its place.
VERDICTS = pa.schema(
    [
        pa.field("doc_id", pa.binary()),
        pa.field("rule", pa.string()),
        pa.field("value", pa.float64()),
        pa.field("threshold", pa.float64()),
        pa.field("partner", pa.binary()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Sharding:
    """Hash ranges of document ids: `count` of them, another cut for another `seed`."""

    count: int
    seed: int

    def shards_of(self, doc_ids: pa.Array) -> npt.NDArray[np.int32]:
        """Return the number of the shard (0 to count - 1) of each 16-byte id."""
        return buckets(document_keys(doc_ids, self.seed), self.count)


@dataclass(frozen=True, kw_only=True)
class DedupInput:
    """The stage's documents, the shards that they go to, and where a method keeps its tables."""

    spark: SparkSession
    files: FileTable
    sharding: Sharding
    # Tables that a killed run finds again; keyed by the content of `files` and the settings.
    working: Checkpoints
    # Tables of earlier crawls (`DedupMethod.table`), None for none.
    earlier: Documents | None = None
    # Documents with a verdict of an exact key, None for none; they are no longer compared.
    judged: DataFrame | None = None

    @property
    def documents(self) -> Documents:
        """Return the documents without a verdict."""
        return self.files if self.judged is None else _Remaining(self.files, self.judged)

    def without(self, judged: DataFrame | None) -> "DedupInput":
        """Return the input with the documents in `judged` left out of `documents`."""
        return replace(self, judged=judged)


@dataclass(frozen=True)
class _Remaining:
    """Documents whose `doc_id` is not among those of `judged`."""

    documents: FileTable
    judged: DataFrame

    @property
    def columns(self) -> list[str]:
        return self.documents.columns

    @property
    def extent(self) -> Extent:
        """Return that of all documents: who is judged follows from them and the settings."""
        return self.documents.extent

    def select(self, *names: str) -> DataFrame:
        """Return these columns of the rows that remain."""
        rows = self.documents.select(*dict.fromkeys(("doc_id", *names)))
        gone = self.judged.select("doc_id").hint("merge")
        return rows.join(gone, "doc_id", "left_anti").select(*names)


@dataclass(frozen=True, kw_only=True)
class Removal:
    """What goes of each document of a batch: windows of its text, and by which rule all of it."""

    parts: DedupResult
    # Share of the document's n-grams (or lines) that others own, null where it has none.
    share: pa.Array
    # Rule that drops the document, null where it stays, and what was compared with `threshold`.
    rule: pa.Array
    value: pa.Array
    threshold: float


# What a task does with the batches of one shard, given in the declared order.
Remover = Callable[[pa.RecordBatch], Removal]


class DedupMethod:
    """A way to find copies beyond exact keys; as it stands, one that finds none."""

    # Whether the method does anything: False for what stops after the exact keys.
    compares: ClassVar[bool] = True
    # Whether the memory of a task grows with the documents of its shard.
    memory_follows_shard: ClassVar[bool] = False
    # Whether `table` is kept beside the stage, and later crawls may name this one as `earlier`.
    keeps_table: ClassVar[bool] = False
    # Columns whose hash chooses the file of a row of `table`; () keeps a file per input file.
    table_by: ClassVar[tuple[str, ...]] = ()

    def verdicts(self, given: DedupInput) -> DataFrame | None:
        """Return a row (VERDICTS) for every document of `given.documents` to remove."""
        return None

    def seen(self, given: DedupInput) -> DataFrame | None:
        """Return (doc_id, partner, what `remover` reads) of documents with parts others own."""
        return None

    def shard_facts(self, given: DedupInput) -> Mapping[int, int]:
        """Return a number for each shard that its task must know before the first document."""
        return {}

    def remover(self, shard_fact: int, seed: int) -> Remover | None:
        """Return what judges a shard's documents without a verdict; made and used by its task."""
        return None

    def thresholds(self) -> dict[str, float]:
        """Return what each rule of the method compares with."""
        return {}

    def table(self, documents: Documents) -> DataFrame:
        """Return what is kept of the documents that stay, for later crawls."""
        raise NotImplementedError

    def table_kind(self) -> list[Any]:
        """Return what the tables of two runs must share to be compared."""
        raise NotImplementedError
