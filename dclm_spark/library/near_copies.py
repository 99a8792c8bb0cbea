"""Near duplicates of any frame with an id and a text: pairs, clusters, or the frame without them.

The search decides between its steps, so that these functions run jobs when they are called; what
they return is then lazy. Tables between the steps are kept by Spark (`kept_tables`); the frame is
computed three times, so cache one that is costly, such as that of pages that are parsed.
"""

from collections.abc import Sequence
from dataclasses import replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from dclm_spark.dedup.minhash import MinHash, near_duplicate_search, near_duplicate_verdicts
from dclm_spark.errors import SettingError
from dclm_spark.library.frames import TEXT, Given, check_columns, check_free, joined, quoted
from dclm_spark.library.kept_tables import FrameDocuments, kept_tables

# Types that Spark cannot order or compare.
_NO_IDS = ("map", "variant", "interval", "void")
# "longest" stands for the size of the text; see NearDuplicateSettings.
_BY_NAME = ("longest",)


def near_duplicate_pairs(
    df: DataFrame,
    *,
    id: str = "id",
    text: str = "text",
    threshold: float | None = None,
    settings: MinHash | None = None,
) -> DataFrame:
    """Return (`id`, `partner`, `similarity`) of near duplicates, from the least similarity on.

    Each near duplicate is in a pair; two of a cluster need not be. The similarity is the Jaccard
    similarity of their word n-grams, null where the `settings` verify nothing. Ids are of any type
    that Spark orders, and unique; rows without an id or a word are in no pair. Raises SettingError
    for an id column that is called like one of the others.
    """
    if id.lower() in ("partner", "similarity"):
        raise SettingError(
            f"id = {id!r}: the result has a column of this name beside the id; rename the id, as "
            f"with df.withColumnRenamed({id!r}, 'doc_id')"
        )
    documents, chosen = _prepared(df, id, text, (), _settings(threshold, settings))
    pairs, _ = near_duplicate_search(documents, chosen, kept_tables(df)).edges()
    similarity = F.col("similarity") if "similarity" in pairs.columns else F.lit(None)
    return pairs.select(
        F.col("doc_id").alias(id), "partner", similarity.cast("double").alias("similarity")
    )


def near_duplicate_clusters(
    df: DataFrame,
    *,
    id: str = "id",
    text: str = "text",
    threshold: float | None = None,
    prefer: Sequence[str] = (),
    settings: MinHash | None = None,
) -> DataFrame:
    """Add `cluster`, the least id among near duplicates, and `duplicate_of`, the one that stays.

    `cluster` is null for a row that resembles no other, `duplicate_of` for one that stays. Of a
    cluster the row stays that comes first by the columns `prefer` ("-x" prefers large values of x,
    "longest" long texts), then by id.
    """
    check_free(df, ["cluster", "duplicate_of"])
    documents, chosen = _prepared(df, id, text, prefer, _settings(threshold, settings))
    tables = kept_tables(df)
    members = near_duplicate_search(documents, chosen, tables).members()
    verdicts = near_duplicate_verdicts(documents, chosen, tables)
    partners = verdicts.select(F.col("doc_id"), F.col("partner").alias("duplicate_of"))
    found = members.withColumnRenamed("component", "cluster").join(partners, "doc_id", "left")
    return joined(df, found, id, "left")


def without_near_duplicates(
    df: DataFrame,
    *,
    id: str = "id",
    text: str = "text",
    threshold: float | None = None,
    prefer: Sequence[str] = (),
    settings: MinHash | None = None,
) -> DataFrame:
    """Return the frame without near duplicates of rows that stay (`near_duplicate_clusters`)."""
    documents, chosen = _prepared(df, id, text, prefer, _settings(threshold, settings))
    verdicts = near_duplicate_verdicts(documents, chosen, kept_tables(df))
    return joined(df, verdicts.select("doc_id"), id, "left_anti")


def _settings(threshold: float | None, settings: MinHash | None) -> MinHash:
    try:
        chosen = settings or MinHash()
        return chosen if threshold is None else replace(chosen, threshold=threshold)
    except SettingError:
        raise
    except ValueError as error:
        raise SettingError(str(error)) from error


def _prepared(
    df: DataFrame, id: str, text: str, prefer: Sequence[str], settings: MinHash
) -> tuple[FrameDocuments, MinHash]:
    """Return the columns that the search reads, by names of its own, and settings that say so."""
    prefer = (prefer,) if isinstance(prefer, str) else prefer
    named = [name for name in prefer if name not in _BY_NAME]
    given = {"id": Given("id", id, ()), "text": Given("text", text, TEXT)}
    given |= {name: Given("prefer", name.removeprefix("-"), ()) for name in named}
    check_columns(df, given)
    check_id(df, id)
    inner = {name: f"order_{place}" for place, name in enumerate(named)}
    columns = [F.col(quoted(name.removeprefix("-"))).alias(inner[name]) for name in named]
    key, words = F.col(quoted(id)).alias("doc_id"), F.col(quoted(text)).alias("text")
    rows = df.select(key, words, *columns).where(F.col("doc_id").isNotNull())
    order = [
        name if name in _BY_NAME else ("-" if name.startswith("-") else "") + inner[name]
        for name in prefer
    ]
    return FrameDocuments(rows), replace(settings, survivor_order=(*order, "doc_id"))


def check_id(df: DataFrame, id: str) -> None:
    """Raise SettingError for a column whose values cannot be ordered."""
    kind = df.schema[id].dataType
    if kind.typeName() in _NO_IDS:
        raise SettingError(
            f"id = {id!r}: the column is {kind.simpleString()}, whose values have no order; "
            "expected numbers, strings, bytes, dates, or a struct of these"
        )
