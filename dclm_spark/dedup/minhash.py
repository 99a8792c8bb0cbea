"""Near duplicates: signatures, candidates, verification, components, survivors, verdicts.

Everything between the steps is a table below the working directory; a resumed run starts from the
last that was written. Nothing depends on partitions or on the order of arrival.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import NumericType

from dclm_spark.dedup.candidates import (
    BucketSettings,
    asked_pairs,
    bucket_members,
    open_members,
    star_edges,
)
from dclm_spark.dedup.components import connected_components
from dclm_spark.dedup.method import DedupInput, DedupMethod
from dclm_spark.dedup.verification import estimated_similarities, exact_similarities
from dclm_spark.engine.checkpoints import Checkpoints, TableLayout
from dclm_spark.engine.tables import Documents, Extent, extent_of
from dclm_spark.errors import SettingError
from dclm_spark.settings import settings_hash
from udfs.checks import at_least, check, one_of, share_above_zero
from udfs.dedup.minhash import MinHashSettings, signatures

RULE = "near_duplicate"
VERIFICATIONS = ("jaccard", "sketch", "none")
_SIGNED_TYPES = "num_shingles int, bands array<bigint>, sketch binary"
# A document in a bucket, and a pair of ids, as rows of Spark.
BUCKET_ROW_SIZE_BYTES = 80
_PAIR_SIZE_BYTES = 64


@dataclass(frozen=True, kw_only=True)
class NearDuplicateSettings:
    """How near duplicates are found and which document of a cluster stays.

    `verification` of candidates: "jaccard" compares the texts' shingle sets ("sketch" stands in
    for documents of earlier crawls, whose text is not read), "sketch" compares signatures,
    "none" trusts the bands.
    """

    signatures: MinHashSettings = field(default_factory=MinHashSettings)
    verification: str = "jaccard"
    # Least similarity of an edge (spec 3.2: 0.8).
    threshold: float = 0.8
    # Columns of the documents, the most important first; "-x" prefers large values of x.
    survivor_order: tuple[str, ...] = ("crawl", "warc_path", "warc_offset")
    buckets: BucketSettings = field(default_factory=BucketSettings)
    # Centres that a bucket tries for documents that do not resemble its first one.
    star_rounds: int = 4

    def __post_init__(self) -> None:
        """Check every value."""
        check(self, verification=one_of(VERIFICATIONS), threshold=share_above_zero())
        check(self, star_rounds=at_least(1))
        if not self.survivor_order:
            raise ValueError("survivor_order is empty: name at least one column")

    @property
    def order_columns(self) -> tuple[str, ...]:
        """Return the columns of the survivor order, each once."""
        return tuple(dict.fromkeys(name.removeprefix("-") for name in self.survivor_order))


@dataclass(frozen=True, kw_only=True)
class MinHash(NearDuplicateSettings, DedupMethod):
    """Near duplicates in the whole corpus, of which one stays of each cluster."""

    keeps_table: ClassVar[bool] = True

    def verdicts(self, given: DedupInput) -> DataFrame:
        """Return a verdict for every near duplicate of a document that stays.

        Documents with an exact verdict take part: they connect others.
        """
        return near_duplicate_verdicts(given.files, self, given.working, given.earlier)

    def thresholds(self) -> dict[str, float]:
        """Return the least similarity of near duplicates."""
        return {RULE: self.threshold}

    def table(self, documents: Documents) -> DataFrame:
        """Return the signatures of documents."""
        return signature_table(documents, self)

    def table_kind(self) -> list[Any]:
        """Return how signatures are made and which order they carry."""
        return [self.signatures, list(self.survivor_order)]


def signature_table(documents: Documents, settings: NearDuplicateSettings) -> DataFrame:
    """Return (doc_id, order columns, num_shingles, bands, sketch): all that is saved of a crawl.

    Ids and order columns keep their types. Raises SettingError when `documents` lacks doc_id, text
    or a column of the survivor order, or when a column that cannot be negated is to descend.
    """
    for name in ("doc_id", "text", *settings.order_columns):
        if name not in documents.columns:
            raise SettingError(
                f"survivor_order or input: the documents have no column {name!r}; they have "
                + ", ".join(documents.columns)
            )
    kept = list(dict.fromkeys(("doc_id", *settings.order_columns)))
    chosen = documents.select(*dict.fromkeys((*kept, "text")))
    for name in settings.survivor_order:
        kind = chosen.schema[name.removeprefix("-")].dataType
        if name.startswith("-") and not isinstance(kind, NumericType):
            raise SettingError(
                f"survivor_order = {name!r}: only numbers can be preferred by size, and the column "
                f"is {kind.simpleString()}"
            )
    types = ", ".join(f"`{name}` {chosen.schema[name].dataType.simpleString()}" for name in kept)
    minhash = settings.signatures

    def sign(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield _signed(batch, kept, minhash)

    return chosen.mapInArrow(sign, f"{types}, {_SIGNED_TYPES}")


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


def near_duplicate_verdicts(
    documents: Documents,
    settings: NearDuplicateSettings,
    working: Checkpoints,
    earlier: Documents | None = None,
) -> DataFrame:
    """Return a verdict (`dclm_spark.dedup.method`) for every document to remove.

    `documents` has doc_id of any type that can be ordered, text and the columns of the survivor
    order. What is found on the way is kept below `working`, for a call with the same content and
    settings. `earlier` holds signature tables of the documents that remain of earlier crawls: those
    always survive, and their text is not needed. The partner of a verdict is the survivor of the
    cluster, its value their similarity as told by the signatures, which is below the threshold
    where the two are only connected through others.
    """
    extent = extent_of(documents, tuple(dict.fromkeys(("doc_id", *settings.order_columns, "text"))))
    keys = [settings_hash(settings), extent.key]
    if earlier is not None:
        keys.append(extent_of(earlier, ("doc_id", "sketch")).key)
    working = working.keyed(*keys)
    signed, _ = working.table(
        "signatures", lambda: signature_table(documents, settings), TableLayout()
    )
    old = None if earlier is None else earlier.select(*signed.columns)
    search = _Search(documents, _with_earlier(signed, old), settings, working, extent)
    edges, most_edges = search.edges()
    members, _ = connected_components(edges, working.below("components"), most_edges)
    found = _verdicts(members, search.signed, settings)
    return found if old is None else found.unionByName(_again(signed, old, settings))


def _again(signed: DataFrame, earlier: DataFrame, settings: NearDuplicateSettings) -> DataFrame:
    """Return a verdict for the very documents (same WARC position) that an earlier crawl holds."""
    return signed.join(earlier.hint("merge"), "doc_id", "left_semi").select(
        "doc_id",
        F.lit(RULE).alias("rule"),
        F.lit(1.0).alias("value"),
        F.lit(settings.threshold).alias("threshold"),
        F.col("doc_id").alias("partner"),
    )


def _with_earlier(signed: DataFrame, earlier: DataFrame | None) -> DataFrame:
    if earlier is not None:
        signed = signed.join(earlier.hint("merge"), "doc_id", "left_anti")
    new = signed.withColumn("earlier", F.lit(False))
    if earlier is None:
        return new
    return new.unionByName(earlier.withColumn("earlier", F.lit(True)))


@dataclass(frozen=True)
class _Search:
    """Candidates of signed documents, verified unless the settings trust the bands."""

    documents: Documents
    signed: DataFrame
    settings: NearDuplicateSettings
    working: Checkpoints
    extent: Extent

    def edges(self) -> tuple[DataFrame, int]:
        """Return (doc_id, partner) of documents that are alike, and no less than how many."""
        settings, found, most = self.settings, None, 0
        members = bucket_members(self.signed)
        for turn in range(settings.star_rounds):
            stars, num_stars = self._stars(members, turn)
            pairs = asked_pairs(stars)
            if settings.verification == "none":
                return pairs.select("doc_id", "partner"), num_stars
            if found is not None:
                known = found.select("doc_id", "partner").hint("merge")
                pairs = pairs.join(known, ["doc_id", "partner"], "left_anti")
            judged, facts = self._pairs(pairs, turn, num_stars)
            found = judged if found is None else found.unionByName(judged)
            most += facts["rows"]
            if facts["unlike"] == 0:
                break
            members = open_members(stars, found, settings.threshold)
        assert found is not None
        alike = found.where(F.col("similarity") >= settings.threshold)
        return alike.select("doc_id", "partner"), most

    def _stars(self, members: DataFrame, turn: int) -> tuple[DataFrame, int]:
        rows = self.extent.num_rows * self.settings.signatures.bands
        shuffled = rows * BUCKET_ROW_SIZE_BYTES
        # A band that agrees with no other has no star: most of them.
        layout = TableLayout(by=("bucket",), size_bytes=shuffled // 4)
        build = partial(star_edges, members, self.settings.buckets, turn)
        stars, facts = self.working.table(f"stars-{turn}", build, layout, shuffled)
        return stars, facts["rows"]

    def _pairs(
        self, pairs: DataFrame, turn: int, most_pairs: int
    ) -> tuple[DataFrame, dict[str, Any]]:
        size = most_pairs * _PAIR_SIZE_BYTES
        layout = TableLayout(by=("doc_id", "partner"), size_bytes=size)
        return self.working.table(
            f"pairs-{turn}",
            lambda: self._judged(pairs),
            layout,
            size + self.extent.text_size_bytes,
            partial(_unlike, self.settings.threshold),
        )

    def _judged(self, pairs: DataFrame) -> DataFrame:
        if self.settings.verification == "sketch":
            return estimated_similarities(pairs.select("doc_id", "partner"), self.signed)
        new = pairs.where(~F.col("partner_earlier")).select("doc_id", "partner")
        old = pairs.where(F.col("partner_earlier")).select("doc_id", "partner")
        exact = exact_similarities(new, self.documents, self.settings.signatures.ngram)
        return exact.unionByName(estimated_similarities(old, self.signed))


def _unlike(threshold: float, judged: DataFrame) -> dict[str, int]:
    return {"unlike": judged.where(F.col("similarity") < threshold).count()}


def _verdicts(members: DataFrame, signed: DataFrame, settings: NearDuplicateSettings) -> DataFrame:
    columns = dict.fromkeys(("doc_id", "earlier", *settings.order_columns))
    ranked = members.join(signed.select(*columns).hint("merge"), "doc_id")
    rank = F.struct(~F.col("earlier"), *_sort_keys(settings.survivor_order), "doc_id")
    first = ranked.groupBy("component").agg(F.min(rank).getField("doc_id").alias("partner"))
    removed = ranked.join(first.hint("merge"), "component").where(
        (F.col("doc_id") != F.col("partner")) & ~F.col("earlier")
    )
    similar = estimated_similarities(removed.select("doc_id", "partner"), signed)
    return similar.select(
        "doc_id",
        F.lit(RULE).alias("rule"),
        F.col("similarity").alias("value"),
        F.lit(settings.threshold).alias("threshold"),
        "partner",
    )


def _sort_keys(names: tuple[str, ...]) -> list[Column]:
    keys: list[Column] = []
    for name in names:
        column = F.col(name.removeprefix("-"))
        keys += [column.isNull(), -column if name.startswith("-") else column]
    return [key.alias(f"key_{index}") for index, key in enumerate(keys)]
