"""The encode stage: the quality decision, then the token ids of every document that stays."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from dclm_spark.engine.file_stage import FileStage, UnitSource, sources_of
from dclm_spark.engine.manifests import StageOutput
from dclm_spark.errors import SettingError
from udfs.documents.schema import FATE_FIELDS
from udfs.rules.urls import hosts
from udfs.storage.files import read_table
from udfs.tokens.order import buckets, document_keys
from udfs.tokens.tokenizer import TokenizerSettings, load_encoder
from udfs.tokens.tokenizer import encode as encode_texts
from udfs.units.fates import with_fate
from udfs.units.output import UnitOutput

STAGE = "encode"

_READ = ["doc_id", "crawl", "warc_path", "warc_offset", "url", "text"]
ENCODED = pa.schema(
    [
        pa.field("doc_id", pa.binary()),
        pa.field("crawl", pa.string()),
        pa.field("warc_path", pa.string()),
        pa.field("warc_offset", pa.int64()),
        pa.field("url", pa.string()),
        pa.field("domain", pa.string()),
        pa.field("cell", pa.int32()),
        # Position key of the document within its cell, as a signed 64-bit number.
        pa.field("order_key", pa.int64()),
        pa.field("quality_score", pa.float64()),
        pa.field("num_tokens", pa.int64()),
        # Little-endian uint16 ids, without end-of-text.
        pa.field("tokens", pa.binary()),
        *FATE_FIELDS,
    ]
)


@dataclass(frozen=True, kw_only=True)
class TokenSettings:
    """The tokenizer, and how documents become shards of fixed-length sequences (spec 5.1)."""

    tokenizer: TokenizerSettings = field(default_factory=TokenizerSettings)
    # Sequences hold one token more than the model sees, for the targets.
    sequence_length: int = 2048
    sequences_per_shard: int = 8192
    seed: int = 1234
    end_of_text_id: int = 0
    # The reference pads with the token for 22 spaces and does not mask it [Q].
    padding_id: int = 50256
    # Documents are shuffled within cells of this much text; each cell pads one sequence.
    cell_size_bytes: int = 256 * 1024 * 1024

    def __post_init__(self) -> None:
        for name in ("sequence_length", "sequences_per_shard"):
            value = getattr(self, name)
            if value < 1:
                raise SettingError(f"tokens.{name} = {value!r}: expected at least 1")


def num_cells(documents: StageOutput, settings: TokenSettings) -> int:
    """Return into how many shuffle cells the corpus is cut, from its committed text bytes."""
    return max(1, math.ceil(documents.text_bytes() / settings.cell_size_bytes))


def encode(
    spark: SparkSession,
    documents: StageOutput,
    scores: StageOutput | None,
    threshold: float,
    settings: TokenSettings,
    directory: str,
) -> StageOutput:
    """Drop documents that score below `threshold` and tokenize the others, file by file.

    Without `scores` every document stays.
    """
    cells = num_cells(documents, settings)
    stage = FileStage(
        name=STAGE,
        schema=ENCODED,
        process=partial(_encode_file, threshold=threshold, settings=settings, cells=cells),
        key=(threshold if scores else None, settings, cells),
    )
    return stage.run(spark, _sources(documents, scores), directory)


def _sources(documents: StageOutput, scores: StageOutput | None) -> list[UnitSource]:
    scored = {file["unit"]: file for file in scores.files("scores/")} if scores else {}
    return [
        replace(
            one,
            identity=(one.identity, scored.get(one.unit, {}).get("sha256")),
            source=one.source | {"scores_uri": scored[one.unit]["uri"] if scores else ""},
        )
        for one in sources_of(documents)
    ]


def _encode_file(
    source: dict[str, Any],
    output: UnitOutput,
    threshold: float,
    settings: TokenSettings,
    cells: int,
) -> None:
    encoder = load_encoder(settings.tokenizer)
    if encoder.vocabulary_size > 2**16:
        raise SettingError(
            f"tokens.tokenizer: {encoder.vocabulary_size} ids do not fit into the 16 bits of a "
            "shard; use a tokenizer with at most 65536"
        )
    for batch in _with_scores(source["uri"], source["scores_uri"]):
        output.write(_encoded(_decided(batch, threshold), encoder, settings, cells))


def _with_scores(documents_uri: str, scores_uri: str) -> Iterator[pa.RecordBatch]:
    """Yield documents with their score (null without a score file), which has the same order."""
    scores = read_table(scores_uri, ["doc_id", "quality_score"]) if scores_uri else None
    ahead = pa.table(
        {"doc_id": pa.array([], pa.binary()), "quality_score": pa.array([], pa.float64())}
    )
    for batch in read_table(documents_uri, _READ):
        if scores is None:
            yield batch.append_column("quality_score", pa.nulls(batch.num_rows, pa.float64()))
            continue
        while ahead.num_rows < batch.num_rows:
            ahead = pa.concat_tables([ahead, pa.Table.from_batches([next(scores)])])
        mine = ahead.slice(0, batch.num_rows).combine_chunks()
        ahead = ahead.slice(batch.num_rows)
        ids = batch.column("doc_id")
        assert mine.column("doc_id").chunk(0).equals(ids), f"{scores_uri} has another order"
        yield batch.append_column("quality_score", mine.column("quality_score").chunk(0))


def _decided(batch: pa.RecordBatch, threshold: float) -> pa.RecordBatch:
    for fate in FATE_FIELDS:
        batch = batch.append_column(fate, pa.nulls(batch.num_rows, fate.type))
    score = batch.column("quality_score")
    below = pc.fill_null(pc.less(score, threshold), False)
    return with_fate(
        batch,
        stage="quality",
        rule=pc.if_else(below, "quality_score", pa.scalar(None, pa.string())),
        value=score,
        threshold=pa.array([threshold] * batch.num_rows, pa.float64()),
    )


def _encoded(
    batch: pa.RecordBatch, encoder: Any, settings: TokenSettings, cells: int
) -> pa.RecordBatch:
    """Add ids, counts and the place in the global shuffle; dropped documents get no tokens."""
    keys = document_keys(batch.column("doc_id"), settings.seed)
    kept = pc.equal(batch.column("fate"), "kept")
    texts = pc.if_else(kept, batch.column("text"), "")
    ids, offsets = encode_texts(texts, encoder)
    data = np.ascontiguousarray(ids, "<u2").view(np.uint8)
    tokens = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(),
        batch.num_rows,
        [None, pa.py_buffer((np.asarray(offsets, np.int64) * 2).tobytes()), pa.py_buffer(data)],
    )
    columns = {
        "domain": pc.fill_null(hosts(batch.column("url")), ""),
        "cell": pa.array(buckets(keys, cells)),
        "order_key": pa.array(keys.view(np.int64)),
        "num_tokens": pc.if_else(kept, pa.array(np.diff(offsets).astype(np.int64)), None),
        "tokens": pc.if_else(kept, tokens, None),
    }
    for name, column in columns.items():
        batch = batch.append_column(name, column)
    return batch
