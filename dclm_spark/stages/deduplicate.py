"""The dedup stage: exact keys first, then one method; documents move to the shard of their hash."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dclm_spark.dedup.decisions import STAGE, deduplicated_schema, judge, open_schema
from dclm_spark.dedup.earlier import earlier_keys, earlier_tables, save_table
from dclm_spark.dedup.evidence.guard import GuardSettings
from dclm_spark.dedup.evidence.verdict_columns import guard_output, verdict_columns
from dclm_spark.dedup.exact import exact_verdicts
from dclm_spark.dedup.method import ORDER, DedupInput, Sharding
from dclm_spark.dedup.methods import DeduplicationSettings
from dclm_spark.engine.checkpoints import Checkpoints
from dclm_spark.engine.code_version import code_version
from dclm_spark.engine.manifests import StageOutput, Unit, numbered_unit, unit_key
from dclm_spark.engine.shuffles import TASK, partition_keys, sized_shuffles
from dclm_spark.engine.stage import UnitRules, run_units
from dclm_spark.engine.tables import Extent, FileTable, read_files, spark_schema
from dclm_spark.stages.deduplicate_by_file import by_file
from udfs.units.commit import COMMITTED, UnitClock, commit, group_by_unit
from udfs.units.fates import FateOutputs

__all__ = ["STAGE", "deduplicate", "deduplicated_schema"]

_PLACED = (pa.field("unit", pa.string()), TASK)
# Committed text against its UTF-8 bytes, for units that do not say how many these are.
_COMPRESSION = 3
# Text of a shard below which its number is an oversight: DCLM's hold 700 GB each.
_SMALL_SHARD = 2**20
LOGGER = logging.getLogger("dclm_spark")


def deduplicate(
    spark: SparkSession,
    documents: StageOutput,
    schema: pa.Schema,
    settings: DeduplicationSettings,
    directory: str,
) -> StageOutput:
    """Give every kept document of `documents` a dedup fate.

    A shard is the documents of one hash range, in the declared order, committed by a task of its
    own. The texts are shuffled once by shard, and once before to meet what other documents say of
    them, where exact keys or the method do (`dclm_spark.dedup.method`). Where no method compares
    texts, a unit is a file of `documents` and no text is shuffled
    (`dclm_spark.stages.deduplicate_by_file`). A method that compares across runs leaves a table of
    its own (`dclm_spark.dedup.earlier`).
    """
    known = earlier_keys(settings)
    files = kept_documents(spark, documents, open_schema(schema))
    settings = settings.sized(files.extent.text_size_bytes)
    assert settings.shards is not None
    _warn_of_small_shards(settings, files.extent)
    decided = replace(settings, guard=GuardSettings())
    key = unit_key(STAGE, documents.fingerprint, decided, known, code=code_version(__name__))
    given = DedupInput(
        spark=spark,
        files=files,
        sharding=Sharding(count=settings.shards, seed=settings.seed),
        # Beside the stage, which keeps only its own files.
        working=Checkpoints(spark=spark, directory=f"{directory}-working", key=key),
        earlier=earlier_tables(spark, settings),
    )
    commit_units = _by_shard if settings.method.compares else by_file
    with sized_shuffles(spark, given.files.extent.text_size_bytes):
        output = commit_units(given, settings, directory, deduplicated_schema(schema))
    guard_output(given, output, settings)
    save_table(spark, output, kept_documents(spark, output, open_schema(schema)), settings)
    return output


def _warn_of_small_shards(settings: DeduplicationSettings, extent: Extent) -> None:
    """Warn where so little text is in a shard that most copies must lie in different ones."""
    shards, size_bytes = settings.shards or 1, extent.text_size_bytes
    is_small = 0 < size_bytes < shards * _SMALL_SHARD
    if settings.method.memory_follows_shard and shards > 1 and is_small:
        LOGGER.warning(
            "deduplication.shards = %d: %d documents with %d bytes of text are compared within "
            "their shard only, and copies in different shards stay; for so much text set "
            "deduplication.shards=null",
            shards,
            extent.num_rows,
            size_bytes,
        )


def _by_shard(
    given: DedupInput, settings: DeduplicationSettings, directory: str, schema: pa.Schema
) -> StageOutput:
    """Commit a unit for each hash range of documents; `schema` is that of the rows."""
    key = given.working.key
    units = [
        Unit(name=numbered_unit(shard, given.sharding.count), key=key)
        for shard in range(given.sharding.count)
    ]

    def execute(pending: list[Unit]) -> DataFrame:
        facts = {
            numbered_unit(shard, given.sharding.count): fact
            for shard, fact in settings.method.shard_facts(given).items()
        }
        rows = _with_evidence(_placed(given, [unit.name for unit in pending]), given, settings)
        rows = rows.repartition(len(pending), TASK.name).sortWithinPartitions("unit", *ORDER)
        committer = _committer(schema, settings, directory, key, facts)
        return rows.mapInArrow(committer, spark_schema(COMMITTED))

    # Shards get their documents by a shuffle, so a shard may have none.
    rules = UnitRules(may_be_empty=True, documents_in=given.files.extent.num_rows)
    return run_units(
        given.spark, stage=STAGE, directory=directory, units=units, execute=execute, rules=rules
    )


def kept_documents(spark: SparkSession, output: StageOutput, schema: pa.Schema) -> FileTable:
    """Return the kept documents of a stage with the columns of `schema`."""
    files = output.files("kept/")
    text_size = output.text_bytes()
    stored = sum(file.get("size_bytes", 0) for file in files)
    return FileTable(
        spark=spark,
        uris=tuple(file["uri"] for file in files),
        schema=schema,
        extent=Extent(
            key=output.fingerprint,
            num_rows=sum(file["rows"] for file in files),
            text_size_bytes=text_size or _COMPRESSION * stored,
        ),
    )


def _placed(given: DedupInput, pending: list[str]) -> DataFrame:
    """Return the documents of pending shards with `unit`, the shard, and `task`, its partition."""
    sharding, schema = given.sharding, given.files.schema
    wanted, keys = pa.array(pending, pa.string()), pa.array(partition_keys(len(pending)))

    def place(batch: pa.RecordBatch) -> pa.RecordBatch:
        shards = sharding.shards_of(batch.column("doc_id")).tolist()
        units = pa.array([numbered_unit(shard, sharding.count) for shard in shards], pa.string())
        places = pc.index_in(units, wanted)
        batch = batch.append_column(_PLACED[0], units)
        batch = batch.append_column(_PLACED[1], keys.take(places))
        return batch.filter(pc.is_valid(places))

    placed = pa.schema([*schema, *_PLACED])
    return read_files(given.spark, given.files.uris, schema, transform=place, output_schema=placed)


def _with_evidence(
    rows: DataFrame, given: DedupInput, settings: DeduplicationSettings
) -> DataFrame:
    """Add to documents the verdict on them and what others own of them, where there is any."""
    method = settings.method
    exact = exact_verdicts(given, settings.exact, settings.key_steps)
    given = given.without(exact)
    verdicts = verdict_columns(given, settings, exact)
    if verdicts is not None:
        rows = rows.join(verdicts.hint("merge"), "doc_id", "left")
    seen = method.seen(given)
    if seen is None:
        return rows
    if verdicts is None:
        return rows.join(seen.hint("merge"), "doc_id", "left")
    owned = seen.withColumnRenamed("partner", "owner")
    joined = rows.join(owned.hint("merge"), "doc_id", "left")
    return joined.withColumn("partner", F.coalesce("partner", "owner")).drop("owner")


def _committer(
    schema: pa.Schema,
    settings: DeduplicationSettings,
    directory: str,
    key: str,
    facts: Mapping[str, int],
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    annotate = settings.mode == "annotate"

    def commit_shards(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for unit, rows in group_by_unit(batches, "unit"):
            clock = UnitClock()
            remover = settings.method.remover(facts.get(unit, 0), settings.seed)
            with FateOutputs(directory, unit, schema) as outputs:
                for batch in rows:
                    outputs.write(judge(batch, remover, annotate))
                files, tallied = outputs.close()
            yield commit(directory, unit, key, files, tallied, clock)

    return commit_shards
