"""What differs between two corpora, counted by groups, with sample pages of each."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from dclm_spark.causes.difference import (
    DIMENSIONS,
    DOCUMENTS,
    REST,
    Amount,
    Difference,
    Group,
    SamplePage,
    write_difference,
)
from dclm_spark.causes.differing_documents import (
    UNKNOWN,
    CorpusRun,
    corpus_run,
    differing_documents,
    document_sizes,
)
from dclm_spark.engine.checkpoints import TableLayout, open_table, write_table
from dclm_spark.engine.shuffles import sized_shuffles
from dclm_spark.engine.tables import read_files
from dclm_spark.stages.tokenize import FOLDER as TOKENS
from udfs import storage

# The groups of a dimension that are named; the rest are counted together.
NAMED_GROUPS = 50
_SAMPLES = 3
_EXCERPT_CHARACTERS = 400
# Id, fate, names and numbers of a document in a shuffle.
_ROW_SIZE_BYTES = 250
_TEXT = pa.schema([pa.field("doc_id", pa.binary()), pa.field("text", pa.string())])


def compare_corpora(
    spark: SparkSession, first: str, second: str, output: str
) -> tuple[Difference, str]:
    """Compare the corpora of two finished runs, write it to `output`; return it and the page."""
    output = storage.absolute(output)
    found = corpus_difference(spark, first, second, output)
    return found, write_difference(found, output)


def corpus_difference(spark: SparkSession, first: str, second: str, folder: str) -> Difference:
    """Compare the corpora of two finished runs; leaves a table of the documents in `folder`.

    Raises SettingError or InputError for what is no finished run.
    """
    runs = corpus_run(first), corpus_run(second)
    rows = sum(run.stage("tokenize").rows(f"{TOKENS}/") for run in runs)
    table = storage.join(folder, DOCUMENTS)
    with sized_shuffles(spark, rows * _ROW_SIZE_BYTES):
        layout = TableLayout(by=("doc_id",), size_bytes=rows * _ROW_SIZE_BYTES)
        write_table(differing_documents(spark, *runs), table, layout)
        documents = open_table(spark, table)
        groups = _groups(documents)
        totals = tuple(_total(spark, run) for run in runs)
    found = {doc_id for rows in groups.values() for _, pages in rows for doc_id, _ in pages}
    texts = _excerpts(spark, runs, found)
    return Difference(
        outputs=(runs[0].output, runs[1].output),
        names=(runs[0].name, runs[1].name),
        manifests=(runs[0].manifest, runs[1].manifest),
        totals=(totals[0], totals[1]),
        groups={
            name: tuple(_group(facts, pages, texts) for facts, pages in rows)
            for name, rows in groups.items()
        },
    )


def _total(spark: SparkSession, run: CorpusRun) -> Amount:
    counted = document_sizes(spark, run).agg(
        F.count("*").alias("documents"), F.sum("tokens").alias("tokens")
    )
    row = counted.collect()[0]
    return Amount(documents=row["documents"], tokens=row["tokens"] or 0)


# A page of a group, before its text is looked up: id and address.
Sampled = tuple[bytes, str]
Counted = tuple[dict[str, Any], list[Sampled]]


def _groups(documents: DataFrame) -> dict[str, list[Counted]]:
    """Return by dimension the groups with the most differing tokens, with sample pages."""
    kinds = [
        F.struct(
            F.lit(dimension).alias("dimension"), F.coalesce(column, F.lit(UNKNOWN)).alias("name")
        )
        for dimension, column in DIMENSIONS.items()
    ]
    rows = documents.withColumn("group", F.explode(F.array(*kinds))).select(
        "group.dimension", "group.name", "kind", "doc_id", "url", "tokens_first", "tokens_second"
    )
    size = rows.groupBy("dimension", "name").agg(
        F.sum(F.expr("tokens_first + tokens_second")).alias("size")
    )
    order = Window.partitionBy("dimension").orderBy(F.desc("size"), "name")
    largest = size.withColumn("place", F.row_number().over(order))
    largest = largest.where(F.col("place") <= NAMED_GROUPS)
    rows = rows.join(F.broadcast(largest.drop("size")), ["dimension", "name"], "left")
    name = F.when(F.col("place").isNotNull(), F.col("name")).otherwise(F.lit(REST))
    key = F.xxhash64("doc_id")
    part = F.pmod(key, F.lit(_SAMPLES)).alias("part")
    counted = (
        rows.withColumn("name", name)
        .groupBy("dimension", "name", "kind", part)
        .agg(
            F.count("*").alias("documents"),
            F.sum("tokens_first").alias("tokens_first"),
            F.sum("tokens_second").alias("tokens_second"),
            # A page that a hash of its id chooses.
            F.min_by(F.struct("doc_id", "url"), key).alias("page"),
        )
    )
    found: dict[tuple[str, str, str], Counted] = {}
    for row in counted.toLocalIterator():
        facts, pages = found.setdefault((row["dimension"], row["name"], row["kind"]), ({}, []))
        facts |= {"name": row["name"], "kind": row["kind"]}
        for number in ("documents", "tokens_first", "tokens_second"):
            facts[number] = facts.get(number, 0) + row[number]
        pages.append((bytes(row["page"]["doc_id"]), row["page"]["url"]))
    return {
        dimension: [one for (of, _, _), one in sorted(found.items()) if of == dimension]
        for dimension in DIMENSIONS
    }


def _excerpts(
    spark: SparkSession, runs: tuple[CorpusRun, CorpusRun], wanted: set[bytes]
) -> Mapping[bytes, str]:
    """Return the beginnings of the texts of sampled documents, as the first run has them."""
    ids = pa.array(sorted(wanted), pa.binary())

    def beginnings(batch: pa.RecordBatch) -> pa.RecordBatch:
        found = batch.filter(pc.is_in(batch.column("doc_id").cast(pa.binary()), ids))
        texts = pc.utf8_slice_codeunits(found.column("text"), 0, _EXCERPT_CHARACTERS)
        return pa.RecordBatch.from_arrays([found.column("doc_id"), texts], schema=_TEXT)

    texts: dict[bytes, str] = {}
    for run in reversed(runs):
        uris = [file["uri"] for file in run.candidates.files("kept/")]
        frame = read_files(spark, uris, _TEXT, transform=beginnings, output_schema=_TEXT)
        texts |= {bytes(row["doc_id"]): row["text"] for row in frame.toLocalIterator()}
    return texts


def _group(facts: Mapping[str, Any], pages: list[Sampled], texts: Mapping[bytes, str]) -> Group:
    return Group(
        name=facts["name"],
        kind=facts["kind"],
        documents=facts["documents"],
        tokens_first=facts["tokens_first"],
        tokens_second=facts["tokens_second"],
        samples=tuple(
            SamplePage(doc_id=doc_id.hex(), url=url, text=texts.get(doc_id, ""))
            for doc_id, url in sorted(pages)
        ),
    )
