"""The size of a run's output before it starts, as far as its input tells."""

from collections.abc import Sequence
from dataclasses import dataclass

from dclm_spark.crawl.listing import InputFile
from dclm_spark.planning.rates import ThroughputSettings
from udfs.documents.formats import FORMATS

# Files of pages of less than this part of Common Crawl's are made otherwise: its constants say
# nothing of them.
_ALIKE_SHARE = 0.1
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
    text_share: float | None = None,
) -> ExpectedSizes | None:
    """Return what `files` of together `size_bytes` may give, WARCs by the plan's constants.

    A stored token id has `id_size_bytes`; `text_share` is the text for each byte of files that hold
    texts (`dclm_spark.planning.text_shares`). None: the input tells nothing of what comes out.
    """
    settings = ThroughputSettings()
    share = sum(FORMATS[file.kind].has_pages for file in files) / len(files)
    is_crawl = size_bytes / len(files) >= _ALIKE_SHARE * settings.warc_size_bytes
    if (share > 0 and not is_crawl) or (share < 1 and text_share is None):
        return None
    pages = size_bytes * share / settings.warc_size_bytes * settings.pages_per_warc
    text_per_page = settings.tokens_per_page * settings.size_bytes_per_token
    given = size_bytes * (1 - share) * (text_share or 0.0)
    text = pages * settings.kept_share * text_per_page + given
    tokens = text / settings.size_bytes_per_token
    return ExpectedSizes(
        text_size_bytes=round(text),
        tokens=round(tokens),
        output_size_bytes=round(text * _STAGE_BYTES_PER_TEXT_BYTE + tokens * id_size_bytes),
    )
