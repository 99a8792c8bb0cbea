"""The dedup stage: exact copies first, then MinHash, lines, or n-grams in shards or globally."""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dclm_spark.dedup.earlier import earlier_keys, earlier_tables, save_table
from dclm_spark.dedup.exact import ORDER, exact_verdicts
from dclm_spark.dedup.global_ngrams import remove_seen_windows, seen_windows
from dclm_spark.dedup.lines import remove_seen_lines, seen_lines
from dclm_spark.dedup.minhash import near_duplicate_verdicts
from dclm_spark.dedup.settings import DeduplicationSettings
from dclm_spark.engine.code_version import code_version
from dclm_spark.engine.manifests import StageOutput, Unit, numbered_unit, unit_key
from dclm_spark.engine.stage import UnitRules, run_units
from dclm_spark.engine.tables import read_files, spark_schema
from udfs.dedup.ngrams import DedupResult, ShardDeduplicator, count_ngrams, shard_memory_bytes
from udfs.documents.schema import FATE_FIELDS
from udfs.text.columns import utf8_buffers
from udfs.text.sentences import sentence_counts
from udfs.tokens.order import buckets, document_keys
from udfs.units.commit import COMMITTED, UnitClock, commit, group_by_unit
from udfs.units.documents import DOCUMENTS
from udfs.units.fates import FateOutputs, with_fate

STAGE = "deduplicate"
# By method "lines": no copy itself, but a page that lost too many lines.
FEW_SENTENCES = "few_sentences"

DEDUP_FIELDS = (
    pa.field("partner", pa.binary()),
    pa.field("num_ngrams", pa.int64()),
    pa.field("contained_ngrams", pa.int64()),
    pa.field("contained_ngram_fraction", pa.float64()),
    pa.field("removed_windows", pa.int64()),
    pa.field("removed_size_bytes", pa.int64()),
    # Byte positions of the duplicate windows in the text as it came into the stage.
    pa.field(
        "removed_spans",
        pa.list_(pa.struct([pa.field("start", pa.int64()), pa.field("end", pa.int64())])),
    ),
    # What would have dropped the document, in annotate mode, and the rule's similarity or share.
    pa.field("duplicate_rule", pa.string()),
    pa.field("duplicate_value", pa.float64()),
)
_TEXTS = pa.schema([DOCUMENTS.field(name) for name in ("doc_id", "url", "text", *ORDER)])
# From a batch of documents to what its n-grams say of each.
Judge = Callable[[pa.RecordBatch], DedupResult]


def deduplicated_schema(documents: pa.Schema) -> pa.Schema:
    """Return the schema of deduplicated documents: theirs, the evidence, and the new fate."""
    return pa.schema([*_open_schema(documents), *DEDUP_FIELDS, *FATE_FIELDS])


def _open_schema(documents: pa.Schema) -> pa.Schema:
    fate_names = {field.name for field in FATE_FIELDS}
    return pa.schema([field for field in documents if field.name not in fate_names])


def deduplicate(
    spark: SparkSession,
    documents: StageOutput,
    schema: pa.Schema,
    settings: DeduplicationSettings,
    directory: str,
) -> StageOutput:
    """Give every kept document of `documents` a dedup fate; one shuffle of the texts by shard.

    A shard is the documents of one hash range, in the declared order, committed by one task. By
    method "sharded" that task has a Bloom filter sized from the counted n-grams; it raises
    ValueError before the shuffle when a filter would not fit into
    `settings.ngrams.max_memory_bytes`. The other methods compare across shards, and with the
    tables of `settings.earlier`, and leave a table of their own (`dclm_spark.dedup.earlier`).
    """
    known = earlier_keys(settings)
    units = [
        Unit(
            name=numbered_unit(shard, settings.shards),
            key=unit_key(
                STAGE, documents.fingerprint, settings, known, code=code_version(__name__)
            ),
        )
        for shard in range(settings.shards)
    ]
    uris = [file["uri"] for file in documents.files("kept/")]
    # Rounds of MinHash resume from here; beside the stage, which keeps only its own files.
    working = f"{directory}-working"

    def execute(pending: list[Unit]) -> DataFrame:
        names = [unit.name for unit in pending]
        counts = _ngram_counts(spark, uris, settings) if settings.method == "sharded" else {}
        for count in counts.values():
            shard_memory_bytes(count, settings.ngrams)
        rows = _placed(spark, uris, _open_schema(schema), settings).where(F.col("unit").isin(names))
        key = units[0].key
        verdicts = _verdicts(spark, uris, settings, working, key)
        rows = _with_verdicts(rows, verdicts)
        if settings.method in ("global", "lines"):
            rows = _with_seen(rows, _seen(spark, uris, verdicts, settings, working, key))
        rows = rows.repartition(settings.shards, "unit").sortWithinPartitions("unit", *ORDER)
        keys = {unit.name: unit.key for unit in pending}
        return rows.mapInArrow(
            _committer(schema, settings, directory, keys, counts), spark_schema(COMMITTED)
        )

    # Shards get their documents by a shuffle, so a shard may have none.
    rules = UnitRules(may_be_empty=True, documents_in=documents.rows("kept/"))
    output = run_units(
        spark, stage=STAGE, directory=directory, units=units, execute=execute, rules=rules
    )
    save_table(spark, output, settings)
    return output


def _verdicts(
    spark: SparkSession, uris: list[str], settings: DeduplicationSettings, working: str, key: str
) -> DataFrame:
    """Return the verdicts of the exact keys, and of MinHash for the documents these leave."""
    exact = exact_verdicts(spark, uris, settings.exact)
    if settings.method != "minhash":
        return exact
    near = near_duplicate_verdicts(
        spark,
        read_files(spark, uris, _TEXTS),
        settings.near_duplicates,
        working,
        key,
        earlier_tables(spark, settings),
    )
    return exact.unionByName(near.join(exact.select("doc_id"), "doc_id", "left_anti"))


def _seen(
    spark: SparkSession,
    uris: list[str],
    verdicts: DataFrame,
    settings: DeduplicationSettings,
    working: str,
    key: str,
) -> DataFrame:
    """Return the seen windows or lines of the documents without a verdict: only these own any."""
    texts = read_files(spark, uris, _TEXTS)
    if settings.exact:
        texts = texts.join(verdicts.select("doc_id"), "doc_id", "left_anti")
    if settings.method == "lines":
        return seen_lines(spark, texts, working, key)
    earlier = earlier_tables(spark, settings)
    return seen_windows(spark, texts, settings.global_ngrams, working, key, earlier)


def _with_seen(rows: DataFrame, seen: DataFrame) -> DataFrame:
    owned = seen.withColumnRenamed("partner", "owner")
    joined = rows.join(owned, "doc_id", "left")
    return joined.withColumn("partner", F.coalesce("partner", "owner")).drop("owner")


def _placed(
    spark: SparkSession, uris: list[str], schema: pa.Schema, settings: DeduplicationSettings
) -> DataFrame:
    """Return the documents with the shard (`unit`) that each belongs to."""

    def place(batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch.append_column("unit", _shards(batch.column("doc_id"), settings))

    placed = schema.append(pa.field("unit", pa.string()))
    return read_files(spark, uris, schema, transform=place, output_schema=placed)


def _shards(doc_ids: pa.Array, settings: DeduplicationSettings) -> pa.Array:
    shards = buckets(document_keys(doc_ids, settings.seed), settings.shards)
    return pa.array(
        [numbered_unit(shard, settings.shards) for shard in shards.tolist()], pa.string()
    )


def _ngram_counts(
    spark: SparkSession, uris: list[str], settings: DeduplicationSettings
) -> dict[str, int]:
    """Count the n-grams of each shard: one number per shard reaches the driver."""
    counted = pa.schema([pa.field("unit", pa.string()), pa.field("num_ngrams", pa.int64())])

    def count(batch: pa.RecordBatch) -> pa.RecordBatch:
        columns = [
            _shards(batch.column("doc_id"), settings),
            pa.array(count_ngrams(batch.column("text"), settings.ngrams)),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=counted)

    texts = pa.schema([pa.field("doc_id", pa.binary()), pa.field("text", pa.string())])
    frame = read_files(spark, uris, texts, transform=count, output_schema=counted)
    return {
        row["unit"]: int(row["total"])
        for row in frame.groupBy("unit").agg(F.sum("num_ngrams").alias("total")).collect()
    }


def _with_verdicts(rows: DataFrame, verdicts: DataFrame) -> DataFrame:
    renamed = verdicts.select(
        "doc_id",
        F.col("rule").alias("verdict_rule"),
        F.col("value").alias("verdict_value"),
        F.col("threshold").alias("verdict_threshold"),
        "partner",
    )
    return rows.join(renamed, "doc_id", "left")


def _committer(
    schema: pa.Schema,
    settings: DeduplicationSettings,
    directory: str,
    keys: dict[str, str],
    counts: dict[str, int],
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    result = deduplicated_schema(schema)

    def commit_shards(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for unit, rows in group_by_unit(batches, "unit"):
            clock = UnitClock()
            grams = _judge_of(settings, counts.get(unit, 0))
            with FateOutputs(directory, unit, result) as outputs:
                for batch in rows:
                    outputs.write(judge(batch, grams, settings))
                files, facts = outputs.close()
            yield commit(directory, unit, keys[unit], files, facts, clock)

    return commit_shards


def _judge_of(settings: DeduplicationSettings, num_ngrams: int) -> Judge | None:
    """Return what the method says by n-grams of a shard's batches, given in their order."""
    if settings.method == "sharded":
        shard = ShardDeduplicator(num_ngrams, settings.ngrams, settings.seed)
        return lambda batch: shard.deduplicate(batch.column("text"))
    if settings.method == "global":
        return lambda batch: remove_seen_windows(batch, settings.global_ngrams)
    if settings.method == "lines":
        return remove_seen_lines
    return None


def judge(
    batch: pa.RecordBatch, grams: Judge | None, settings: DeduplicationSettings
) -> pa.RecordBatch:
    """Return the batch with dedup evidence, new text and fate.

    Documents with a verdict of an exact method are not shown to `grams`.
    """
    for field in FATE_FIELDS:
        batch = batch.append_column(field, pa.nulls(batch.num_rows, field.type))
    batch = batch.append_column("row", pa.array(range(batch.num_rows), pa.int64()))
    judged_before = pc.is_valid(batch.column("verdict_rule"))
    copies = batch.filter(judged_before)
    rest = batch.filter(pc.invert(judged_before))
    judged = [_by_verdict(copies, settings), _by_ngrams(rest, grams, settings)]
    names = judged[0].schema.names
    table = pa.Table.from_batches([part.select(names) for part in judged])
    # The order within a file must not depend on how rows were cut into batches.
    return table.sort_by("row").combine_chunks().to_batches()[0] if table.num_rows else judged[0]


def _by_verdict(batch: pa.RecordBatch, settings: DeduplicationSettings) -> pa.RecordBatch:
    """Give fates by the verdicts; no verdict keeps a document."""
    for field in DEDUP_FIELDS[1:-2]:
        batch = batch.append_column(field, pa.nulls(batch.num_rows, field.type))
    return _text_as_string(
        _with_rule(
            batch,
            batch.column("verdict_rule"),
            batch.column("verdict_value"),
            batch.column("verdict_threshold"),
            settings,
        )
    )


def _with_rule(
    batch: pa.RecordBatch,
    rule: pa.Array,
    value: pa.Array,
    threshold: pa.Array,
    settings: DeduplicationSettings,
) -> pa.RecordBatch:
    """Drop what `rule` names; in annotate mode note it and keep the document."""
    none = pa.nulls(batch.num_rows, pa.string())
    rule, annotate = rule.cast(pa.string()), settings.mode == "annotate"
    noted = pc.if_else(pc.is_valid(rule), value, None) if annotate else none
    batch = batch.append_column("duplicate_rule", rule if annotate else none)
    batch = batch.append_column("duplicate_value", noted.cast(pa.float64()))
    return with_fate(
        batch,
        stage=STAGE,
        rule=none if annotate else rule,
        value=value,
        threshold=threshold,
    )


def _text_as_string(batch: pa.RecordBatch) -> pa.RecordBatch:
    position = batch.schema.get_field_index("text")
    return batch.set_column(position, "text", batch.column("text").cast(pa.large_string()))


def _by_ngrams(
    batch: pa.RecordBatch, grams: Judge | None, settings: DeduplicationSettings
) -> pa.RecordBatch:
    if grams is None or batch.num_rows == 0:
        return _by_verdict(batch, settings)
    found = grams(batch)
    contained, total = pa.array(found.contained), pa.array(found.total)
    fraction = pc.if_else(
        pc.greater(total, 0),
        pc.divide(contained.cast(pa.float64()), pc.max_element_wise(total, 1).cast(pa.float64())),
        None,
    )
    columns = {
        "num_ngrams": total,
        "contained_ngrams": contained,
        "contained_ngram_fraction": fraction,
        "removed_windows": pa.array(found.removed_windows).cast(pa.int64()),
        "removed_size_bytes": pa.array(found.removed_size_bytes).cast(pa.int64()),
        "removed_spans": found.removed_spans.cast(DEDUP_FIELDS[-3].type),
    }
    for name, column in columns.items():
        batch = batch.append_column(name, column)
    return _decided(batch, found, fraction, settings)


def _decided(
    batch: pa.RecordBatch, found: DedupResult, fraction: pa.Array, settings: DeduplicationSettings
) -> pa.RecordBatch:
    """Give fates by n-gram share (or sentences) and put what survives in place of the text."""
    dropped = pa.array(found.dropped)
    none = pa.scalar(None, pa.string())
    if settings.method == "lines":
        limit = float(settings.lines.min_sentences)
        value = pa.array(sentence_counts(*utf8_buffers(found.text)).astype(np.float64))
        dropped = pc.less(value, limit)
        rule = pc.if_else(dropped, FEW_SENTENCES, none)
    else:
        limit, value = settings.ngram_threshold, fraction
        above = pc.fill_null(pc.greater(fraction, limit), False)
        rule = pc.if_else(dropped, pc.if_else(above, "contained_ngrams", "empty_text"), none)
    batch = _with_rule(batch, rule, value, pa.array([limit] * batch.num_rows), settings)
    if settings.mode == "annotate":
        return _text_as_string(batch)
    # A dropped document keeps its text until the tally has sampled it.
    text = pc.if_else(
        dropped, batch.column("text").cast(pa.large_string()), found.text.cast(pa.large_string())
    )
    return batch.set_column(batch.schema.get_field_index("text"), "text", text)
