"""The size of a run's output before it starts, as far as its input tells."""

from collections.abc import Sequence
from dataclasses import dataclass

from dclm_spark.crawl.listing import InputFile
from dclm_spark.planning.rates import ThroughputSettings
from udfs.documents.formats import FORMATS

# Text in JSON Lines or Parquet against the file's bytes, where they are compressed (assumed).
_TEXT_PER_COMPRESSED_BYTE = 3.0
# Bytes that the stages keep for each byte of text: two copies, compressed by zstd (assumed).
_STAGE_BYTES_PER_TEXT_BYTE = 0.8


@dataclass(frozen=True, kw_only=True)
class ExpectedSizes:
    """Rough sizes: kept text, its tokens, and what stages and shards take together."""

    text_size_bytes: int
    tokens: int
    output_size_bytes: int


def expected_sizes(
    files: Sequence[InputFile],
    size_bytes: int,
    id_size_bytes: int,
) -> ExpectedSizes:
    """Return what `files` of together `size_bytes` may give, WARCs by the plan's constants.

    A stored token id has `id_size_bytes`.
    """
    settings = ThroughputSettings()
    share = sum(FORMATS[file.kind].has_pages for file in files) / len(files)
    pages = size_bytes * share / settings.warc_size_bytes * settings.pages_per_warc
    text_per_page = settings.tokens_per_page * settings.size_bytes_per_token
    plain = sum(file.uri.lower().endswith((".jsonl", ".ndjson", ".json")) for file in files)
    text_per_byte = 1.0 if plain == len(files) else _TEXT_PER_COMPRESSED_BYTE
    text = pages * settings.kept_share * text_per_page + size_bytes * (1 - share) * text_per_byte
    tokens = text / settings.size_bytes_per_token
    return ExpectedSizes(
        text_size_bytes=round(text),
        tokens=round(tokens),
        output_size_bytes=round(text * _STAGE_BYTES_PER_TEXT_BYTE + tokens * id_size_bytes),
    )
