"""The tokenize stage: the token ids of every document that was selected, file by file."""

import logging
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
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
from dclm_spark.settings_choices import chosen_by_name
from udfs.checks import at_least, check
from udfs.documents.schema import FATE_FIELDS, KEPT, OWN_COLUMNS
from udfs.quirks import follows_reference
from udfs.rules.urls import hosts
from udfs.shards.format import ShardFormat
from udfs.shards.packed_rows import OwnShards
from udfs.shards.shard_formats import FORMATS
from udfs.storage.parquet import column_names, read_table
from udfs.tokens.copies import REPEATS
from udfs.tokens.order import buckets, document_keys
from udfs.tokens.special_ids import special_ids
from udfs.tokens.tokenizer import Encoder, TokenizerSettings, gpt_neox, load_encoder
from udfs.tokens.tokenizer import encode as encode_texts
from udfs.units.aligned_rows import AlignedRows
from udfs.units.output import UnitOutput
from udfs.units.statistics import Tally

LOGGER = logging.getLogger("dclm_spark")
STAGE = "tokenize"
# Where a unit's tokens lie below the stage.
FOLDER = "tokens"

_READ = ["doc_id", "crawl", "warc_path", "warc_offset", "url", "text"]
# What statistics say of the corpus, where the documents have it.
_COUNTED = ("language", "charset", "charset_source")
TOKENIZED = pa.schema(
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
        pa.field("num_tokens", pa.int64()),
        # Little-endian ids (`Encoder.id_type`), without end-of-text.
        pa.field("tokens", pa.binary()),
    ]
)
# What select says of a document.
_DECIDED = pa.schema(
    [pa.field("doc_id", pa.binary()), pa.field("quality_score", pa.float64()), *FATE_FIELDS]
)


def tokenized_schema(own_columns: bool, repeats: bool = False) -> pa.Schema:
    """Return the schema of the token table: TOKENIZED, own columns and copies if there are some."""
    own = [OWN_COLUMNS] if own_columns else []
    return pa.schema([*TOKENIZED, *own, *([REPEATS] if repeats else [])])


@dataclass(frozen=True, kw_only=True)
class TokenSettings:
    """The tokenizer, and how documents become shards of fixed-length sequences (spec 5.1)."""

    tokenizer: TokenizerSettings = field(default_factory=gpt_neox)
    # Sequences hold one token more than the model sees, for the targets.
    sequence_length: int = 2048
    # Sequences of a shard but the last.
    sequences_per_shard: int = 8192
    # Seed of the order of documents and of sequences.
    seed: int = 1234
    # The trainer that the shards are for; in YAML `format: megatron`.
    format: ShardFormat = field(default_factory=OwnShards, metadata=chosen_by_name(FORMATS))
    # Id after each document. None: by the names of the tokenizer's special tokens
    # (udfs/tokens/special_ids.py), 0 for GPT-NeoX.
    end_of_text_id: int | None = None
    # Id that fills sequences up. None: by these names too; for GPT-NeoX, under "dclm-2024", 50256
    # as the reference pads.
    padding_id: int | None = None
    # Documents are shuffled within cells of this much text; each cell pads one sequence, or is one
    # shard of whole documents.
    cell_size_bytes: int = 256 * 1024 * 1024

    def __post_init__(self) -> None:
        check(self, sequence_length=at_least(1), sequences_per_shard=at_least(1))
        check(self, cell_size_bytes=at_least(1))


def with_special_ids(settings: TokenSettings, quirks: str) -> TokenSettings:
    """Return the settings with the ids that go between documents and after the last one.

    Raises SettingError for a tokenizer that cannot be read or has no such tokens.
    """
    try:
        encoder = load_encoder(settings.tokenizer)
    except ValueError as error:
        raise SettingError(f"tokens.tokenizer: {error}") from None
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


def check_trained_here(settings: TokenSettings) -> None:
    """Raise SettingError for a format of shards that the bundled trainer does not read."""
    if not settings.format.trained_here:
        ours = ", ".join(name for name, kind in FORMATS.items() if kind.trained_here)
        raise SettingError(
            f"tokens.format: a model is trained on the shards of this run, and "
            f"{settings.format.manifest_name!r} is for another trainer; expected {ours}"
        )


def num_cells(documents: StageOutput, settings: TokenSettings) -> int:
    """Return into how many shuffle cells the corpus is cut, from its committed text bytes."""
    return max(1, math.ceil(documents.text_bytes() / settings.cell_size_bytes))


def tokenize(
    spark: SparkSession,
    documents: StageOutput,
    selected: StageOutput,
    settings: TokenSettings,
    directory: str,
) -> StageOutput:
    """Tokenize those kept documents of `documents` that `selected` keeps, in the order of the file.

    Own columns of the documents go along, and how often each is to enter the corpus.

    The statistics are of all that select decided on: this stage is the one that reads the texts.
    """
    cells = num_cells(documents, settings)
    stage = FileStage(
        name=STAGE,
        schema=tokenized_schema(
            has_column(documents.files("kept/"), OWN_COLUMNS),
            has_column(selected.files(""), REPEATS),
        ),
        process=partial(_tokenize_file, settings=settings, cells=cells),
        # The ids are the same for shards of any format and length.
        key=(settings.tokenizer, settings.seed, cells),
        folder=FOLDER,
        # It has the texts of what select decided on, and counts for it.
        judges=False,
    )
    return stage.run(spark, selected_sources(documents, selected), directory)


def has_column(files: Sequence[Mapping[str, Any]], column: pa.Field) -> bool:
    """Say whether files of a stage have a column; all of them have the same ones."""
    return bool(files) and column.name in column_names(files[0]["uri"])


def selected_sources(documents: StageOutput, selected: StageOutput) -> list[UnitSource]:
    """Return a source for each file of kept documents, with those of the decision on them."""
    decided: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for file in selected.files(""):
        decided[file["unit"]].append(file)
    return [
        replace(
            one,
            identity=(one.identity, [file["sha256"] for file in decided[one.unit]]),
            source=one.source | {"decided_uris": [file["uri"] for file in decided[one.unit]]},
        )
        for one in sources_of(documents)
    ]


def _tokenize_file(
    source: dict[str, Any], output: UnitOutput, settings: TokenSettings, cells: int
) -> None:
    encoder = load_encoder(settings.tokenizer)
    own = [OWN_COLUMNS.name] if OWN_COLUMNS.name in output.schema.names else []
    copies = [REPEATS] if REPEATS.name in output.schema.names else []
    decision = pa.schema([*_DECIDED, *copies])
    decided, tally = AlignedRows(source["decided_uris"], decision), Tally()
    counted = [name for name in column_names(source["uri"]) if name in _COUNTED]
    for batch in read_table(source["uri"], [*_READ, *counted, *own]):
        rows = decided.take(batch.column("doc_id"))
        for name in decision.names[1:]:
            batch = batch.append_column(name, rows.column(name))
        tally.add(batch)
        kept = batch.filter(pc.equal(batch.column("fate"), KEPT))
        if kept.num_rows:
            output.write(_tokenized(kept, encoder, settings, cells).select(output.schema.names))
    # The cells of the shuffle are needed again where a document has several copies.
    output.facts |= tally.facts() | {"cells": cells}


def _tokenized(
    batch: pa.RecordBatch, encoder: Encoder, settings: TokenSettings, cells: int
) -> pa.RecordBatch:
    """Add ids, counts and the place in the global shuffle to documents."""
    keys = document_keys(batch.column("doc_id"), settings.seed)
    ids, offsets = encode_texts(batch.column("text"), encoder)
    kind = encoder.id_type
    data = np.ascontiguousarray(ids, kind).view(np.uint8)
    starts = np.asarray(offsets, np.int64) * kind.itemsize
    tokens = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(),
        batch.num_rows,
        [None, pa.py_buffer(starts.tobytes()), pa.py_buffer(data)],
    )
    columns = {
        "domain": pc.fill_null(hosts(batch.column("url")), ""),
        "cell": pa.array(buckets(keys, cells)),
        "order_key": pa.array(keys.view(np.int64)),
        "num_tokens": pa.array(np.diff(offsets).astype(np.int64)),
        "tokens": tokens,
    }
    for name, column in columns.items():
        batch = batch.append_column(name, column)
    return batch
