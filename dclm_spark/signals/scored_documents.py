"""Documents that may become training data, all columns beside them, and decisions over these."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dclm_spark.engine.file_stage import UnitSource, sources_of
from dclm_spark.engine.manifests import StageOutput
from dclm_spark.engine.tables import spark_schema, work_frame
from dclm_spark.errors import SettingError
from dclm_spark.signals.decision import (
    BUCKET,
    DRAW,
    Decision,
    Understood,
    decided,
    understand_decision,
    visible,
)
from dclm_spark.signals.signal_tables import RANK, SignalTable, with_ranks
from udfs.signals.buckets import Ranks
from udfs.storage.parquet import read_table, table_schema
from udfs.tokens.copies import REPEATS
from udfs.tokens.order import document_keys
from udfs.units.aligned_rows import AlignedRows

_DRAW_SEED = 20_261_127
QUALITY = pa.field("quality_score", pa.float64())
# What is known of every document, whatever is asked.
IDENTITY = (
    pa.field("doc_id", pa.binary()),
    pa.field("crawl", pa.string()),
    pa.field("warc_path", pa.string()),
    pa.field("warc_offset", pa.int64()),
    pa.field("url", pa.string()),
)
# Columns that a decision adds to those of documents and signals.
RESERVED = (QUALITY.name, BUCKET, REPEATS.name, DRAW, "unit", "_outcome")


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """The kept documents of a stage with all columns that belong to them."""

    documents: StageOutput
    tables: tuple[SignalTable, ...] = ()
    # The scores that documents have as a column of their own, of all documents that were scored.
    ranked: SignalTable | None = None
    # The documents' own columns where nothing is kept, so that no file tells them.
    empty_schema: pa.Schema = field(default_factory=lambda: pa.schema(list(IDENTITY)))

    @property
    def schema(self) -> pa.Schema:
        """The documents' own columns."""
        files = self.documents.files("kept/")
        return table_schema(files[0]["uri"]) if files else self.empty_schema

    @property
    def fields(self) -> tuple[pa.Field, ...]:
        """The columns of all signals."""
        return tuple(one for table in self.tables for one in table.fields)

    @property
    def columns(self) -> dict[str, pa.DataType]:
        """The columns that expressions may name."""
        ranked = () if self.ranked is None else self.ranked.fields
        return visible(self.schema) | with_ranks((*ranked, *self.fields))

    def sources(self) -> list[UnitSource]:
        """Return each file of documents with the files of signals beside it."""
        tables = [
            {file["unit"]: file for file in table.output.files(f"{table.folder}/")}
            for table in self.tables
        ]
        return [
            replace(
                one,
                identity=(one.identity, [table[one.unit]["sha256"] for table in tables]),
                source=one.source | {"tables": [table[one.unit]["uri"] for table in tables]},
            )
            for one in sources_of(self.documents)
        ]

    def ranks(self, columns: set[str]) -> dict[str, Ranks]:
        """Return the ranks that `columns` ask for, by the column that is ranked."""
        return {
            one.name: table.ranks(one.name)
            for table in (*self.tables, *([self.ranked] if self.ranked else []))
            for one in table.fields
            if f"{one.name}{RANK}" in columns
        }


def decisions(
    spark: SparkSession,
    candidates: Candidates,
    decision: Understood,
    sources: Sequence[UnitSource] | None = None,
) -> DataFrame:
    """Return the documents of `sources` (default: all) with their columns and fates, lazily.

    A task reads one file, and its rows stay in their order.
    """
    given = candidates.sources() if sources is None else sources
    reader = _reader(candidates, decision)
    rows = [{"unit": one.unit, "source": json.dumps(one.source)} for one in given]
    work = pa.schema([("unit", pa.string()), ("source", pa.string())])
    read = work_frame(spark, rows, work).mapInArrow(reader.read, spark_schema(reader.schema))
    return decided(read, decision)


def check_decision(
    spark: SparkSession, decision: Decision, columns: Mapping[str, pa.DataType]
) -> None:
    """Let Spark look at the expressions of a decision; SettingError for what it refuses."""
    understood = understand_decision(decision, columns)
    fields = {**columns, DRAW: pa.float64()}
    empty = spark.createDataFrame([], spark_schema(pa.schema(list(fields.items()))))
    for name, expression in understood.expressions.items():
        try:
            empty = empty.withColumn(name, F.expr(expression.text))
            empty.schema  # noqa: B018
        except AnalysisException as error:
            reason = str(error).splitlines()[0]
            raise SettingError(f"{name} = {expression.text!r}: {reason}") from None


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """Reads files of documents with the columns beside them, on an executor."""

    documents: tuple[str, ...]
    tables: tuple[pa.Schema, ...]
    ranks: Mapping[str, Ranks]
    schema: pa.Schema

    def read(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of the files that `batches` name, as (unit, source) rows."""
        for batch in batches:
            for row in batch.to_pylist():
                yield from self._read_file(row["unit"], json.loads(row["source"]))

    def _read_file(self, unit: str, source: dict[str, Any]) -> Iterator[pa.RecordBatch]:
        beside = [
            AlignedRows([uri], schema)
            for uri, schema in zip(source["tables"], self.tables, strict=True)
        ]
        for batch in read_table(source["uri"], self.documents):
            columns = {"unit": pa.array([unit] * batch.num_rows, pa.string())}
            columns |= {name: batch.column(name) for name in batch.schema.names}
            for rows, schema in zip(beside, self.tables, strict=True):
                taken = rows.take(batch.column("doc_id"))
                columns |= {name: taken.column(name) for name in schema.names[1:]}
            for name, ranks in self.ranks.items():
                columns[f"{name}{RANK}"] = _ranked(columns[name], ranks)
            draws = document_keys(batch.column("doc_id"), _DRAW_SEED).astype(np.float64) / 2.0**64
            columns[DRAW] = pa.array(draws)
            arrays = [columns.get(one.name) for one in self.schema]
            yield pa.RecordBatch.from_arrays(
                [
                    pa.nulls(batch.num_rows, one.type) if array is None else array.cast(one.type)
                    for one, array in zip(self.schema, arrays, strict=True)
                ],
                schema=self.schema,
            )


def _ranked(column: pa.Array, ranks: Ranks) -> pa.Array:
    """Return the rank of each value, null for null and for what is not a number."""
    values = pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy(zero_copy_only=False)
    unknown = np.isnan(values)
    return pa.array(ranks.of(np.where(unknown, 0.0, values)), mask=unknown)


def _reader(candidates: Candidates, decision: Understood) -> _Reader:
    """Return what reads the columns that a decision needs, and those that the ledger shows."""
    own = candidates.schema
    needed = decision.columns
    base = [one.name for one in IDENTITY]
    own_score = [QUALITY.name] if QUALITY.name in own.names else []
    needed = needed - {QUALITY.name}
    documents = [*base, *(name for name in own.names if name in needed and name not in base)]
    documents += own_score
    ranks = candidates.ranks(needed)
    fields = [
        pa.field("unit", pa.string()),
        *IDENTITY,
        *(own.field(name) for name in documents[len(base) :]),
        *([] if own_score or QUALITY in candidates.fields else [QUALITY]),
        *candidates.fields,
        *(pa.field(f"{name}{RANK}", pa.float64()) for name in ranks),
        pa.field(DRAW, pa.float64()),
    ]
    return _Reader(
        documents=tuple(documents),
        tables=tuple(table.schema for table in candidates.tables),
        ranks=ranks,
        schema=pa.schema(fields),
    )
