"""N-grams that occur before in a frame: what they are of each text, and the texts without them."""

from collections.abc import Sequence
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType

from dclm_spark.dedup.decisions import removal_by_share
from dclm_spark.dedup.global_ngrams import remove_seen_windows, seen_in_order
from dclm_spark.library.frames import (
    TEXT,
    Given,
    check_columns,
    check_free,
    joined,
    quoted,
    with_columns,
)
from dclm_spark.library.near_copies import check_id
from udfs.dedup.global_ngrams import GlobalNgramSettings

_DEFAULT = GlobalNgramSettings()
_WINDOWS, _CONTAINED = "__dclm_spark_windows", "__dclm_spark_contained"
_ADDS = pa.schema(
    [
        pa.field("num_ngrams", pa.int64()),
        pa.field("contained_ngrams", pa.int64()),
        pa.field("ngram_rule", pa.string()),
        pa.field("unique_text", pa.string()),
    ]
)


def repeated_ngrams(
    df: DataFrame,
    *,
    id: str = "id",
    text: str = "text",
    order: Sequence[str] = (),
    settings: GlobalNgramSettings = _DEFAULT,
) -> DataFrame:
    """Add what the n-gram dedup of the whole frame says of each text.

    Of each n-gram the first window (a line) owns it, by the columns `order` and then by id. Adds
    `num_ngrams`, `contained_ngrams` (those that others own), `unique_text` (the text without the
    windows most of whose n-grams others own) and `ngram_rule`: "contained_ngrams" or "empty_text"
    for a text that goes as a whole, null for one that stays. Ids are unique; a null one or a null
    text repeats nothing.
    """
    given = {"id": Given("id", id, ()), "text": Given("text", text, TEXT)}
    given |= {name: Given("order", name, ()) for name in order}
    check_columns(df, given)
    check_id(df, id)
    check_free(df, _ADDS.names)
    key = F.col(quoted(id))
    places = [F.col(quoted(name)).alias(f"order_{number}") for number, name in enumerate(order)]
    position = F.struct(*places, key.alias("id")) if order else key
    documents = df.select(
        position.alias("position"), key.alias("doc_id"), F.col(quoted(text)).alias("text")
    ).where("doc_id is not null and text is not null")
    seen = seen_in_order(documents, settings).select(
        "doc_id", F.col("windows").alias(_WINDOWS), F.col("contained").alias(_CONTAINED)
    )
    marked = joined(df, seen, id, "left")
    reads = {
        "text": given["text"],
        "windows": Given("text", _WINDOWS, (ArrayType,)),
        "contained": Given("text", _CONTAINED, (ArrayType,)),
    }
    found = with_columns(marked, reads, _ADDS, partial(_without_seen, settings=settings))
    return found.drop(_WINDOWS, _CONTAINED)


def without_repeated_ngrams(
    df: DataFrame,
    *,
    id: str = "id",
    text: str = "text",
    order: Sequence[str] = (),
    settings: GlobalNgramSettings = _DEFAULT,
) -> DataFrame:
    """Return the frame without the texts that go (`repeated_ngrams`), the others cut."""
    found = repeated_ngrams(df, id=id, text=text, order=order, settings=settings)
    kept = found.where(F.col("ngram_rule").isNull())
    # A null text stays null.
    cut = F.when(F.col(quoted(text)).isNotNull(), F.col("unique_text"))
    return kept.withColumn(text, cut).select(*map(quoted, df.columns))


def _without_seen(batch: pa.RecordBatch, settings: GlobalNgramSettings) -> Sequence[pa.Array]:
    removal = removal_by_share(remove_seen_windows(batch, settings), settings.threshold)
    is_text = pc.is_valid(batch.column("text"))
    return [
        pa.array(removal.parts.total),
        pa.array(removal.parts.contained),
        pc.if_else(is_text, removal.rule, pa.scalar(None, pa.string())),
        removal.parts.text,
    ]
