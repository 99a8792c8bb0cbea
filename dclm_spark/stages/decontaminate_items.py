"""Decontamination by items: what a page holds of each, and what becomes of the page."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dclm_spark.engine.checkpoints import Checkpoints, TableLayout
from dclm_spark.engine.code_version import code_version
from dclm_spark.engine.file_stage import FileStage, sources_of
from dclm_spark.engine.manifests import StageOutput
from dclm_spark.engine.tables import read_files
from udfs import storage
from udfs.dedup.evaluation_hits import MatchSettings, document_frequencies, rarity
from udfs.dedup.evaluation_index import PARTS, EvaluationIndex, Item, build, load, serialized
from udfs.dedup.evaluation_matches import Match, matches
from udfs.documents.schema import FATE_FIELDS
from udfs.storage.cache import fetch
from udfs.storage.parquet import read_table
from udfs.units.fates import with_fate
from udfs.units.output import UnitOutput

STAGE, RULE = "decontaminate", "evaluation_items"
# How many documents of the pool say how rare an n-gram is: about so many bytes of text.
POOL_SAMPLE_BYTES = 1 << 30
HIT = pa.struct(
    [
        pa.field("task", pa.string()),
        pa.field("item", pa.int64()),
        # question (with its answer), choices or passage.
        pa.field("part", pa.string()),
        # Bytes of the text as it came into the stage.
        pa.field("start", pa.int64()),
        pa.field("end", pa.int64()),
        pa.field("coverage", pa.float64()),
        pa.field("score", pa.float64()),
        pa.field("leaks", pa.bool_()),
    ]
)
ITEM_FIELDS = (
    pa.field("evaluation_hits", pa.list_(HIT)),
    # Tasks with an item that leaks.
    pa.field("evaluation_tasks", pa.list_(pa.string())),
    # Bytes that mode "mask" cut out.
    pa.field("masked_size_bytes", pa.int64()),
)
# In how many texts an n-gram of the index stands, by its number.
FREQUENCIES = pa.schema([("gram", pa.int64()), ("documents", pa.int64())])


@dataclass(frozen=True, kw_only=True)
class ItemDecontamination:
    """The index of items (see `write_item_index`), when a page holds one, and what then happens."""

    index: str
    sha256: str
    mode: str = "remove"
    match: MatchSettings = field(default_factory=MatchSettings)


def write_item_index(items: Sequence[Item], directory: str) -> tuple[str, str]:
    """Write the index of items and their texts below `directory`; return URI and SHA-256."""
    lines = (json.dumps(asdict(item), ensure_ascii=False) for item in items)
    storage.write_bytes(storage.join(directory, "items.jsonl"), "\n".join(lines).encode())
    return write_arrays(storage.join(directory, "items.npz"), build(items))


def write_arrays(uri: str, arrays: dict[str, npt.NDArray[Any]]) -> tuple[str, str]:
    """Write the arrays of an index; return URI and SHA-256."""
    content = serialized(arrays)
    storage.write_bytes(uri, content)
    return uri, hashlib.sha256(content).hexdigest()


def decontaminated_by_items_schema(documents: pa.Schema) -> pa.Schema:
    """Return the schema of the stage's rows: the documents', the hits, and the new fate."""
    fates = {field.name for field in FATE_FIELDS}
    return pa.schema([*(f for f in documents if f.name not in fates), *ITEM_FIELDS, *FATE_FIELDS])


def weighted_index(
    spark: SparkSession, documents: StageOutput, index: tuple[str, str], directory: str
) -> tuple[str, str]:
    """Return the index with its n-grams weighted by how rare they are in the pool.

    The pool is the kept documents, or those whose id hashes to one in so many where they are large.
    """
    uri, digest = index
    one_in = max(1, documents.text_bytes() // POOL_SAMPLE_BYTES)
    counted = pa.schema([("doc_id", pa.binary()), ("text", pa.large_string())])

    def count(batch: pa.RecordBatch) -> pa.RecordBatch:
        return frequencies(_sampled(batch, one_in), index)

    uris = [file["uri"] for file in documents.files("kept/")]
    rows = read_files(spark, uris, counted, transform=count, output_schema=FREQUENCIES)
    key = f"{documents.fingerprint}/{digest}/{code_version(__name__)}"
    working = Checkpoints(spark=spark, directory=f"{directory}-working", key=key)
    return write_arrays(
        uri.removesuffix(".npz") + "-weighted.npz", weighted_by(rows, index, working)
    )


def frequencies(texts: pa.Array, index: tuple[str, str]) -> pa.RecordBatch:
    """Return in how many of the texts each n-gram of an index (URI, SHA-256) stands: FREQUENCIES.

    The number of texts is that of an n-gram that no index has, -1.
    """
    found = document_frequencies(texts, load(fetch(*index)))
    columns = ([-1, *found], [len(texts), *found.values()])
    return pa.RecordBatch.from_arrays(
        [pa.array(column, pa.int64()) for column in columns], schema=FREQUENCIES
    )


def weighted_by(
    rows: DataFrame, index: tuple[str, str], working: Checkpoints
) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of an index, its n-grams weighted by the FREQUENCIES in `rows`."""
    # Those that stay below the least count of common ones weigh 1 whatever the count.
    common = (
        rows.groupBy("gram")
        .agg(F.sum("documents").alias("documents"))
        .where((F.col("documents") > 20) | (F.col("gram") < 0))
    )
    table, _ = working.table("frequencies", lambda: common, TableLayout(by=("gram",)))
    counts = {int(row["gram"]): int(row["documents"]) for row in table.collect()}
    pool = counts.pop(-1, 0)
    with np.load(fetch(*index), allow_pickle=False) as stored:
        arrays = dict(stored)
    grams = np.array(sorted(counts), np.int64)
    values = np.array([counts[gram] for gram in grams.tolist()], np.int64)
    arrays["weights"][grams] = rarity(values, pool)
    return arrays


def _sampled(batch: pa.RecordBatch, one_in: int) -> pa.Array:
    if one_in == 1:
        return batch.column("text")
    ids = batch.column("doc_id").to_pylist()
    chosen = [int.from_bytes(one[:8], "little") % one_in == 0 for one in ids]
    return batch.column("text").filter(pa.array(chosen))


def decontaminate_by_items(
    spark: SparkSession,
    documents: StageOutput,
    schema: pa.Schema,
    settings: ItemDecontamination,
    directory: str,
) -> StageOutput:
    """Judge the kept documents of each file of `documents`; no shuffle."""
    stage = FileStage(
        name=STAGE,
        schema=decontaminated_by_items_schema(schema),
        process=partial(_judge_file, settings=settings),
        key=(settings,),
    )
    return stage.run(spark, sources_of(documents), directory)


def _judge_file(source: dict[str, Any], output: UnitOutput, settings: ItemDecontamination) -> None:
    added = {field.name for field in (*ITEM_FIELDS, *FATE_FIELDS)}
    columns = [name for name in output.schema.names if name not in added]
    by_task: Counter[str] = Counter()
    sources = 0
    for batch in read_table(source["uri"], columns):
        judged = judge_items(batch, settings)
        by_task.update(pc.list_flatten(judged.column("evaluation_tasks")).to_pylist())
        sources += sum(
            any(hit["part"] == "passage" for hit in hits) and not any(hit["leaks"] for hit in hits)
            for hits in judged.column("evaluation_hits").to_pylist()
        )
        output.write(judged)
    output.facts["contaminated_documents"] = dict(sorted(by_task.items()))
    output.facts["source_material_documents"] = sources


def judge_items(batch: pa.RecordBatch, settings: ItemDecontamination) -> pa.RecordBatch:
    """Return documents with the items that they hold, and a fate or, masked, another text."""
    index = load(fetch(settings.index, settings.sha256))
    texts = pc.fill_null(batch.column("text"), "")
    found = matches(texts, index, settings.match)
    hits = [[hit_of(match, index) for match in one] for one in found]
    leaks = [[match for match in one if match.leaks] for one in found]
    tasks = [sorted({index.tasks[index.item_tasks[match.item]] for match in one}) for one in leaks]
    masked = pa.nulls(batch.num_rows, pa.int64())
    if settings.mode == "mask":
        text, masked = _masked(texts, leaks)
        batch = batch.set_column(batch.schema.get_field_index("text"), "text", text)
    for one, values in zip(ITEM_FIELDS, (hits, tasks, masked), strict=True):
        batch = batch.append_column(one, pa.array(values, one.type))
    for one in FATE_FIELDS:
        batch = batch.append_column(one, pa.nulls(batch.num_rows, one.type))
    gone = pa.array([bool(one) and settings.mode == "remove" for one in leaks])
    return with_fate(
        batch,
        stage=STAGE,
        rule=pc.if_else(gone, RULE, pa.scalar(None, pa.string())),
        value=pa.array([max((match.score for match in one), default=None) for one in leaks],
                       pa.float64()),
        threshold=pa.array([settings.match.min_score] * batch.num_rows),
    )  # fmt: skip


def hit_of(match: Match, index: EvaluationIndex) -> dict[str, Any]:
    """Return a match as a row of HIT."""
    return asdict(match) | {
        "task": index.tasks[index.item_tasks[match.item]],
        "item": int(index.item_numbers[match.item]),
        "part": PARTS[match.part],
    }


def _masked(texts: pa.Array, leaks: list[list[Match]]) -> tuple[pa.Array, pa.Array]:
    """Return texts without the spans of their leaks, and the bytes that were cut."""
    kept, sizes = [], []
    for text, one in zip(texts.to_pylist(), leaks, strict=True):
        data, parts, place = text.encode(), [], 0
        for match in sorted(one, key=lambda match: match.start):
            parts.append(data[place : max(place, match.start)])
            place = max(place, match.end)
        kept.append(b"".join([*parts, data[place:]]).decode())
        sizes.append(len(data) - len(kept[-1].encode()))
    return pa.array(kept, pa.large_string()), pa.array(sizes, pa.int64())
