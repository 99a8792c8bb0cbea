"""Near duplicates: signatures, candidates, verification, components, survivors, verdicts.

Everything between the steps is a table below the working directory; a resumed run starts from the
last that was written. Nothing depends on partitions or on the order of arrival.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from dclm_spark.dedup.method import DedupInput, DedupMethod
from dclm_spark.dedup.near_duplicates import (
    NearDuplicateSettings,
    search_extent,
    signature_table,
)
from dclm_spark.dedup.pairs.candidates import asked_pairs, bucket_members, open_members, star_edges
from dclm_spark.dedup.pairs.components import connected_components
from dclm_spark.dedup.pairs.verification import estimated_similarities, exact_similarities
from dclm_spark.dedup.survivors import RULE, Clusters
from dclm_spark.engine.checkpoints import Checkpoints, TableLayout
from dclm_spark.engine.tables import Documents, Extent, extent_of
from dclm_spark.settings import settings_hash
from udfs.checks import Allowed, check
from udfs.dedup.minhash import PRESETS, MinHashSettings, candidate_probability, fitting_bands

# A document in a bucket, and a pair of ids, as rows of Spark.
BUCKET_ROW_SIZE_BYTES = 80
# Bands that find fewer of the pairs at the threshold do not do what the threshold says.
LEAST_RECALL = 0.5
_USUAL_RECALL = 0.95
_PAIR_SIZE_BYTES = 64


@dataclass(frozen=True, kw_only=True)
class MinHash(NearDuplicateSettings, DedupMethod):
    """Near duplicates in the whole corpus, of which one stays of each cluster."""

    keeps_table: ClassVar[bool] = True
    # The chance that two documents of the similarity `threshold` meet: chooses the bands and rows
    # of the signatures, whatever they were set to. None: these are taken as they are.
    recall: float | None = None

    def __post_init__(self) -> None:
        """Check every value, and that the bands can find what the threshold asks for."""
        super().__post_init__()
        check(self, recall=Allowed(lambda value: 0 < value < 1, "a fraction above 0 and below 1"))
        if self.recall is not None:
            fitting = fitting_bands(self.threshold, self.recall, self.signatures)
            object.__setattr__(self, "signatures", fitting)
        elif self.verification != "none":
            check_found(self.threshold, self.signatures)

    def verdicts(self, given: DedupInput) -> DataFrame:
        """Return a verdict for every near duplicate of a document that stays.

        Documents with an exact verdict take part, as they connect others, but stand for none.
        """
        return near_duplicate_verdicts(
            given.files, self, given.working, earlier=given.earlier, judged=given.judged
        )

    def thresholds(self) -> dict[str, float]:
        """Return the least similarity of near duplicates, or least coverage by their survivor."""
        return {RULE: self.coverage.threshold if self.coverage else self.threshold}

    def table(self, documents: Documents) -> DataFrame:
        """Return the signatures of documents."""
        return signature_table(documents, self)

    def table_kind(self) -> list[Any]:
        """Return how signatures are made and which order they carry."""
        return [self.signatures, list(self.survivor_order)]


def check_found(threshold: float, signatures: MinHashSettings) -> None:
    """Raise ValueError where the bands miss most pairs of the similarity `threshold`."""
    found = candidate_probability(threshold, signatures)
    if found >= LEAST_RECALL:
        return
    fitting = fitting_bands(threshold, _USUAL_RECALL, signatures)
    presets = {name: candidate_probability(threshold, one) for name, one in PRESETS.items()}
    best = max(presets, key=lambda name: presets[name])
    named = f", or those of {best}, {_bands(PRESETS[best])}, which find {presets[best]:.0%}"
    raise ValueError(
        f"threshold = {threshold}: {_bands(signatures)} rows find {found:.1%} of the pairs of this "
        f"similarity; set recall={_USUAL_RECALL}, which chooses {_bands(fitting)} and finds "
        f"{candidate_probability(threshold, fitting):.1%}, or signatures.bands and signatures.rows"
        + (named if presets[best] >= LEAST_RECALL else "")
    )


def _bands(signatures: MinHashSettings) -> str:
    return f"{signatures.bands} bands of {signatures.rows}"


def near_duplicate_verdicts(
    documents: Documents,
    settings: NearDuplicateSettings,
    working: Checkpoints,
    *,
    earlier: Documents | None = None,
    judged: DataFrame | None = None,
) -> DataFrame:
    """Return a verdict (`dclm_spark.dedup.method`) for every document to remove.

    `documents` has doc_id of any type that can be ordered, text and the columns of the survivor
    order. What is found on the way is kept below `working`, for a call with the same content and
    settings. `earlier` holds signature tables of the documents that remain of earlier crawls: those
    always survive, and their text is not needed. `judged` are documents (doc_id) that go for
    another reason. The partner of a verdict is a survivor of the cluster. Its value is their
    similarity: with `verify`, what was compared with the least coverage; without, as told by the
    signatures, which is below the threshold where the two are only connected through others.
    """
    search = near_duplicate_search(documents, settings, working, earlier)
    clusters = Clusters(
        documents=documents,
        signed=search.signed,
        settings=settings,
        working=search.working,
        extent=search.extent,
        judged=judged,
        has_earlier=earlier is not None,
    )
    found = clusters.verdicts(search.members())
    if earlier is None:
        return found
    signed = search.signed_new
    return found.unionByName(_again(signed, earlier.select(*signed.columns), settings))


def near_duplicate_search(
    documents: Documents,
    settings: NearDuplicateSettings,
    working: Checkpoints,
    earlier: Documents | None = None,
) -> "Search":
    """Return the search among `documents`, signed; see `near_duplicate_verdicts`."""
    extent = search_extent(documents, settings)
    keys = [settings_hash(settings), extent.key]
    if earlier is not None:
        keys.append(extent_of(earlier, ("doc_id", "sketch")).key)
    working = working.keyed(*keys)
    signed, _ = working.table(
        "signatures", lambda: signature_table(documents, settings), TableLayout()
    )
    old = None if earlier is None else earlier.select(*signed.columns)
    return Search(
        documents=documents,
        signed_new=signed,
        signed=_with_earlier(signed, old),
        settings=settings,
        working=working,
        extent=extent,
    )


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


@dataclass(frozen=True, kw_only=True)
class Search:
    """Candidates of signed documents, verified unless the settings trust the bands.

    `signed` are those of `signed_new` and of earlier crawls, marked by the column `earlier`.
    """

    documents: Documents
    signed_new: DataFrame
    signed: DataFrame
    settings: NearDuplicateSettings
    working: Checkpoints
    extent: Extent

    def members(self) -> DataFrame:
        """Return (doc_id, component) of documents that are alike to others."""
        edges, most_edges = self.edges()
        members, _ = connected_components(edges, self.working.below("components"), most_edges)
        return members

    def edges(self) -> tuple[DataFrame, int]:
        """Return (doc_id, partner) of documents that are alike, and no less than how many.

        With their `similarity`, unless nothing verifies it. Each of a cluster has an edge; two of
        them need not have one.
        """
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
        return alike, most

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
