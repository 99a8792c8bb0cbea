"""Token ids of texts, and how many there are."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from dclm_spark.errors import SettingError
from dclm_spark.library.frames import TEXT, Given, with_columns
from udfs import storage
from udfs.tokens.tokenizer import TokenizerSettings, encode, gpt_neox, load_encoder


def count_tokens(
    df: DataFrame,
    *,
    text: str = "text",
    num_tokens: str = "num_tokens",
    tokenizer: str | TokenizerSettings | None = None,
) -> DataFrame:
    """Add the number of tokens of each text, without an end of text; 0 for null.

    `tokenizer` is the URI of a tokenizer.json, by default GPT-NeoX's, as DCLM's.
    """
    adds = pa.schema([(num_tokens, pa.int64())])
    kernel = partial(_counts, settings=_checked(tokenizer))
    return with_columns(df, {"text": Given("text", text, TEXT)}, adds, kernel)


def token_ids(
    df: DataFrame,
    *,
    text: str = "text",
    ids: str = "token_ids",
    tokenizer: str | TokenizerSettings | None = None,
) -> DataFrame:
    """Add the token ids of each text as an array of integers, without special ones.

    The name of a special token that stands in a text is encoded as text. Null has no ids.
    """
    adds = pa.schema([(ids, pa.list_(pa.int32()))])
    kernel = partial(_ids, settings=_checked(tokenizer))
    return with_columns(df, {"text": Given("text", text, TEXT)}, adds, kernel)


def _counts(batch: pa.RecordBatch, settings: TokenizerSettings) -> Sequence[pa.Array]:
    _, offsets = encode(batch.column("text"), load_encoder(settings))
    return [pa.array(np.diff(offsets).astype(np.int64))]


def _ids(batch: pa.RecordBatch, settings: TokenizerSettings) -> Sequence[pa.Array]:
    ids, offsets = encode(batch.column("text"), load_encoder(settings))
    lists = pa.ListArray.from_arrays(
        pa.array(offsets.astype(np.int32)), pa.array(ids.astype(np.int32))
    )
    return [lists]


def _checked(tokenizer: str | TokenizerSettings | None) -> TokenizerSettings:
    """Return the settings of a tokenizer that loads; SettingError for one that does not."""
    given = TokenizerSettings(uri=tokenizer) if isinstance(tokenizer, str) else tokenizer
    given = given or gpt_neox()
    # Workers may have another current folder.
    settings = replace(given, uri=storage.absolute(given.uri))
    try:
        load_encoder(settings)
    except (ValueError, OSError) as error:
        raise SettingError(f"tokenizer = {settings.uri}: {error}") from error
    return settings
