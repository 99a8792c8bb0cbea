"""The encode stage: the quality decision, then the token ids of every document that stays."""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession

from dclm_spark.engine.manifests import StageOutput, Unit, unit_key
from dclm_spark.engine.stage import check_balance, commit_each, run_units
from dclm_spark.errors import SettingError
from udfs.checks import at_least, check
from udfs.documents.schema import FATE_FIELDS, OWN_COLUMNS
from udfs.quirks import follows_reference
from udfs.rules.urls import hosts
from udfs.storage.files import column_names, read_table
from udfs.tokens.order import buckets, document_keys
from udfs.tokens.special_ids import special_ids
from udfs.tokens.tokenizer import TokenizerSettings, gpt_neox, load_encoder
from udfs.tokens.tokenizer import encode as encode_texts
from udfs.units.commit import UnitClock, commit
from udfs.units.fates import FateOutputs, with_fate
from udfs.units.statistics import kept_text_bytes, merge

LOGGER = logging.getLogger("dclm_spark")
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


def encoded_schema(own_columns: bool) -> pa.Schema:
    """Return the schema of encoded documents: ENCODED, with own columns where there are some."""
    return ENCODED.append(OWN_COLUMNS) if own_columns else ENCODED


@dataclass(frozen=True, kw_only=True)
class TokenSettings:
    """The tokenizer, and how documents become shards of fixed-length sequences (spec 5.1)."""

    tokenizer: TokenizerSettings = field(default_factory=gpt_neox)
    # Sequences hold one token more than the model sees, for the targets.
    sequence_length: int = 2048
    sequences_per_shard: int = 8192
    seed: int = 1234
    # None: by the names of the tokenizer's special tokens (udfs/tokens/special_ids.py), which
    # gives 0 and, as the reference pads [Q], 50256 for GPT-NeoX.
    end_of_text_id: int | None = None
    padding_id: int | None = None
    # Documents are shuffled within cells of this much text; each cell pads one sequence.
    cell_size_bytes: int = 256 * 1024 * 1024

    def __post_init__(self) -> None:
        check(self, sequence_length=at_least(1), sequences_per_shard=at_least(1))
        check(self, cell_size_bytes=at_least(1))


def with_special_ids(settings: TokenSettings, quirks: str) -> TokenSettings:
    """Return the settings with the ids that go between documents and after the last one.

    Raises SettingError for a tokenizer that does not fit into shards or has no such tokens.
    """
    try:
        encoder = load_encoder(settings.tokenizer)
    except ValueError as error:
        raise SettingError(f"tokens.tokenizer: {error}") from None
    if encoder.vocabulary_size > 2**16:
        raise SettingError(
            f"tokens.tokenizer: {encoder.vocabulary_size} ids do not fit into the 16 bits of a "
            "shard; use a tokenizer with at most 65536"
        )
    try:
        found = special_ids(
            encoder,
            end_of_text_id=settings.end_of_text_id,
            padding_id=settings.padding_id,
            like_reference=follows_reference(quirks),
        )
    except ValueError as error:
        raise SettingError(f"tokens.{error}") from None
    LOGGER.debug(
        "tokens: %s (%d) ends every document, %r (%d) pads",
        found.end_of_text, found.end_of_text_id, found.padding, found.padding_id,
    )  # fmt: skip
    return replace(settings, end_of_text_id=found.end_of_text_id, padding_id=found.padding_id)


def num_cells(documents: StageOutput, settings: TokenSettings) -> int:
    """Return into how many shuffle cells the corpus is cut, from its committed text bytes."""
    return max(1, math.ceil(kept_text_bytes(merge(documents.facts())) / settings.cell_size_bytes))


def encode(
    spark: SparkSession,
    documents: StageOutput,
    scores: StageOutput | None,
    threshold: float,
    settings: TokenSettings,
    directory: str,
) -> StageOutput:
    """Drop documents that score below `threshold` and tokenize the others, file by file.

    Without `scores` every document stays. Own columns of the documents go along; the units' facts
    have `own_columns` then.
    """
    files = {file["unit"]: file for file in documents.files("kept/")}
    scored = {file["unit"]: file for file in scores.files("scores/")} if scores else {}
    cells = num_cells(documents, settings)
    units = [
        Unit(
            name=name,
            key=unit_key(
                STAGE,
                file["sha256"],
                scored.get(name, {}).get("sha256"),
                threshold if scores else None,
                settings,
                cells,
            ),
        )
        for name, file in files.items()
    ]

    def execute(pending: list[Unit]) -> DataFrame:
        rows = [
            {
                "unit": unit.name,
                "key": unit.key,
                "documents_uri": files[unit.name]["uri"],
                "scores_uri": scored[unit.name]["uri"] if scores else "",
            }
            for unit in pending
        ]

        return commit_each(
            spark, rows, lambda row: _encode_file(row, threshold, settings, cells, directory)
        )

    output = run_units(spark, stage=STAGE, directory=directory, units=units, execute=execute)
    check_balance(STAGE, sum(file["rows"] for file in files.values()), output)
    return output


def _encode_file(
    row: dict[str, Any],
    threshold: float,
    settings: TokenSettings,
    cells: int,
    directory: str,
) -> pa.RecordBatch:
    clock = UnitClock()
    encoder = load_encoder(settings.tokenizer)
    own = OWN_COLUMNS.name in column_names(row["documents_uri"])
    outputs = FateOutputs(directory, row["unit"], encoded_schema(own))
    tokens_by_cell = np.zeros(cells, np.int64)
    read = [*_READ, OWN_COLUMNS.name] if own else _READ
    for batch in _with_scores(row["documents_uri"], row["scores_uri"], read):
        encoded = _encoded(_decided(batch, threshold), encoder, settings, cells)
        kept = encoded.filter(pc.equal(encoded.column("fate"), "kept"))
        # One more per document: its end-of-text token.
        counts = kept.column("num_tokens").to_numpy() + 1
        np.add.at(tokens_by_cell, kept.column("cell").to_numpy(), counts)
        outputs.write(encoded)
    files, facts = outputs.close()
    facts["tokens_by_cell"] = tokens_by_cell.tolist()
    if own:
        facts["own_columns"] = True
    return commit(directory, row["unit"], row["key"], files, facts, clock)


def _with_scores(
    documents_uri: str, scores_uri: str, columns: list[str]
) -> Iterator[pa.RecordBatch]:
    """Yield documents with their score (null without a score file), which has the same order."""
    scores = read_table(scores_uri, ["doc_id", "quality_score"]) if scores_uri else None
    ahead = pa.table(
        {"doc_id": pa.array([], pa.binary()), "quality_score": pa.array([], pa.float64())}
    )
    for batch in read_table(documents_uri, columns):
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
