"""Which documents of a cluster stay: its first one, or every one that none before it covers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from dclm_spark.dedup.near_duplicates import NearDuplicateSettings
from dclm_spark.dedup.owners import HotKeys, Occurrences, copies
from dclm_spark.dedup.pairs.verification import estimated_similarities
from dclm_spark.engine.checkpoints import Checkpoints, TableLayout
from dclm_spark.engine.tables import Documents, Extent
from udfs.dedup.coverage import CoverageSettings, Survivors, sketched_similarity
from udfs.dedup.minhash import estimated_jaccard
from udfs.dedup.shingles import shingle_hashes

RULE = "near_duplicate"
# Where the working folder has what became of the members of clusters, verified.
COVERAGE_TABLE = "coverage"
_REMOVAL_SIZE_BYTES = 64
# The first of a cluster owns it; a place of the declared order has the path of a WARC.
_RANKED = Occurrences(key="component", place="rank", row_size_bytes=320)


@dataclass(frozen=True, kw_only=True)
class Clusters:
    """Signed documents, those of earlier crawls among them (`earlier`), and what is asked of them.

    `judged` holds the doc_id of documents that go for another reason: they stand for no one.
    """

    documents: Documents
    signed: DataFrame
    settings: NearDuplicateSettings
    working: Checkpoints
    extent: Extent
    judged: DataFrame | None = None
    has_earlier: bool = False

    def verdicts(self, members: DataFrame) -> DataFrame:
        """Return a verdict for every document of `members` (doc_id, component) to remove."""
        coverage = self.settings.coverage
        if coverage is None:
            return self._by_first(members)
        layout = TableLayout(
            by=("doc_id",), size_bytes=self.extent.num_rows // 4 * _REMOVAL_SIZE_BYTES
        )
        covered, _ = self.working.table(
            COVERAGE_TABLE,
            lambda: self._covered(self._ranked(members), coverage),
            layout,
            self.extent.text_size_bytes,
        )
        return _as_verdicts(covered.where(F.col("partner").isNotNull()), coverage.threshold)

    def _ranked(self, members: DataFrame) -> DataFrame:
        """Return members with the columns that order them, `earlier` and `judged`."""
        columns = ["doc_id", "earlier", *self.settings.order_columns]
        if self.has_earlier:
            columns += ["sketch", "num_shingles"]
        signed = self.signed.select(*dict.fromkeys(columns))
        ranked = members.join(signed.hint("merge"), "doc_id")
        if self.judged is None:
            return ranked.withColumn("judged", F.lit(False))
        judged = self.judged.select("doc_id", F.lit(True).alias("is_judged"))
        marked = ranked.join(judged.hint("merge"), "doc_id", "left")
        return marked.withColumn("judged", F.coalesce("is_judged", F.lit(False))).drop("is_judged")

    def _order(self) -> list[Column]:
        return [F.col("judged"), ~F.col("earlier"), *_sort_keys(self.settings.sort_columns)]

    def _by_first(self, members: DataFrame) -> DataFrame:
        order = [key.alias(f"key_{place}") for place, key in enumerate(self._order())]
        rank = F.struct(*order, "doc_id").alias("rank")
        ranked = self._ranked(members).select("doc_id", "component", "earlier", rank)
        size = self.extent.num_rows * _RANKED.row_size_bytes
        hot = HotKeys.of_rows(members, "doc_id").owners(self.working, _RANKED, ranked, size)
        removed = copies(ranked, _RANKED, hot).where(~F.col("earlier"))
        pairs = removed.select("doc_id", F.col("owner.doc_id").alias("partner"))
        return _as_verdicts(estimated_similarities(pairs, self.signed), self.settings.threshold)

    def _covered(self, ranked: DataFrame, coverage: CoverageSettings) -> DataFrame:
        """Return (doc_id, partner, similarity) of all but the first of each cluster.

        `partner` is null where the document stays. A cluster is streamed through one task in the
        declared order: only the shingles of a bounded number of its survivors are held.
        """
        texts = self.documents.select("doc_id", "text")
        open_members = ranked.where(~F.col("judged")).drop("judged")
        rows = open_members.join(texts.hint("merge"), "doc_id", "left")
        keys = [~F.col("earlier"), *_sort_keys(self.settings.sort_columns)]
        rows = rows.select("*", *(key.alias(f"key_{place}") for place, key in enumerate(keys)))
        names = [f"key_{place}" for place in range(len(keys))]
        rows = rows.repartition("component").sortWithinPartitions("component", *names, "doc_id")
        needed = ["component", "doc_id", "earlier", "text"]
        needed += ["sketch", "num_shingles"] if self.has_earlier else []
        kind = rows.schema["doc_id"].dataType.simpleString()
        ngram = self.settings.signatures.ngram

        def cover(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            stream = _ClusterStream(coverage, ngram)
            for batch in batches:
                yield stream.judge(batch)

        return rows.select(*needed).mapInArrow(
            cover, f"doc_id {kind}, partner {kind}, similarity double"
        )


def _as_verdicts(removed: DataFrame, threshold: float) -> DataFrame:
    return removed.select(
        "doc_id",
        F.lit(RULE).alias("rule"),
        F.col("similarity").alias("value"),
        F.lit(threshold).alias("threshold"),
        "partner",
    )


class _ClusterStream:
    """Judges rows that come cluster by cluster, each in the declared order, in any batches."""

    def __init__(self, settings: CoverageSettings, ngram: int) -> None:
        self._settings, self._ngram = settings, ngram
        self._component: Any = None
        self._start()

    def _start(self) -> None:
        self._ids: list[Any] = []
        self._survivors = Survivors(self._settings)
        self._sketches: list[npt.NDArray[np.uint8]] = []
        self._sizes: list[int] = []
        self._earlier_ids: list[Any] = []

    def judge(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return (doc_id, partner, similarity) of the rows that are neither first nor earlier."""
        components, ids = batch.column("component").to_pylist(), batch.column("doc_id").to_pylist()
        earlier = batch.column("earlier").to_pylist()
        hashes, offsets = shingle_hashes(pc.fill_null(batch.column("text"), ""), self._ngram)
        sketched = "sketch" in batch.schema.names
        found: list[tuple[Any, Any, float | None]] = []
        for row, component in enumerate(components):
            if component != self._component:
                self._component = component
                self._start()
            sketch = _sketch_of(batch, row) if sketched else None
            if earlier[row]:
                self._remember(ids[row], sketch)
                continue
            is_first = not self._ids and not self._earlier_ids
            shingles = np.unique(hashes[offsets[row] : offsets[row + 1]])
            partner, similarity = self._judged(ids[row], shingles, sketch)
            if not is_first:
                found.append((ids[row], partner, similarity))
        kind = batch.column("doc_id").type
        columns = list(zip(*found, strict=True)) or [(), (), ()]
        return pa.RecordBatch.from_arrays(
            [pa.array(columns[0], kind), pa.array(columns[1], kind),
             pa.array(columns[2], pa.float64())],
            ["doc_id", "partner", "similarity"],
        )  # fmt: skip

    def _remember(self, doc_id: Any, sketch: tuple[npt.NDArray[np.uint8], int] | None) -> None:
        assert sketch is not None
        if len(self._earlier_ids) < self._settings.max_survivors:
            self._earlier_ids.append(doc_id)
            self._sketches.append(sketch[0])
            self._sizes.append(sketch[1])

    def _judged(
        self, doc_id: Any, shingles: Any, sketch: tuple[npt.NDArray[np.uint8], int] | None
    ) -> tuple[Any, float | None]:
        if sketch is not None and self._sketches:
            jaccard = estimated_jaccard(np.stack(self._sketches), sketch[0][None, :])
            similar = sketched_similarity(
                jaccard, sketch[1], np.array(self._sizes), self._settings.measure
            )
            best = int(np.argmax(similar))
            if similar[best] >= self._settings.threshold:
                return self._earlier_ids[best], float(similar[best])
        found = self._survivors.judge(len(self._ids), shingles)
        self._ids.append(doc_id)
        return (None, None) if found is None else (self._ids[found[0]], found[1])


def _sketch_of(batch: pa.RecordBatch, row: int) -> tuple[npt.NDArray[np.uint8], int]:
    sketch = np.frombuffer(batch.column("sketch")[row].as_py(), np.uint8)
    return sketch, int(batch.column("num_shingles")[row].as_py())


def _sort_keys(names: tuple[str, ...]) -> list[Column]:
    keys: list[Column] = []
    for name in names:
        column = F.col(name.removeprefix("-"))
        keys += [column.isNull(), -column if name.startswith("-") else column]
    return keys
