"""Bits per byte on texts that no recipe sees: the signal that small models do give."""

import gzip
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import zstandard

from dclm_spark.errors import InputError
from dclm_spark.evaluate.prompts import Candidate
from dclm_spark.evaluate.scoring import WINDOW_ITEMS, Scorer
from dclm_spark.evaluate.tokens import PromptEncoder
from dclm_spark.evaluate.uncertainty import Metric, Stratum
from udfs import storage
from udfs.storage.stream import shown


def read_texts(uri: str) -> list[str]:
    """Return the `text` fields of a JSON-lines file (.jsonl, .jsonl.gz or .jsonl.zst) by URI."""
    try:
        content = storage.read_bytes(uri)
    except storage.MissingObjectError as error:
        raise InputError(
            f"heldout = {shown(uri)}: no such file; give JSON lines with a text field"
        ) from error
    if uri.endswith(".zst"):
        content = zstandard.ZstdDecompressor().decompressobj().decompress(content)
    elif uri.endswith(".gz"):
        content = gzip.decompress(content)
    lines = (line for line in content.split(b"\n") if line.strip())
    try:
        texts = [json.loads(line)["text"] for line in lines]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"heldout = {shown(uri)}: a line is no JSON object with a text field ({error})"
        ) from error
    if not texts:
        raise InputError(f"heldout = {shown(uri)}: holds no text")
    return texts


def score_texts(
    scorer: Scorer,
    encoder: PromptEncoder,
    texts: Sequence[str],
    max_tokens: int = 2048,
    batch_tokens: int = 8192,
) -> Iterator[dict[str, Any]]:
    """Yield per text its row, loss in nats, tokens and UTF-8 bytes.

    A text starts after end of text, as in training (after its beginning token where a tokenizer
    has one). Longer ones are cut into windows that see one token of the window before.
    """
    for first in range(0, len(texts), WINDOW_ITEMS):
        some = texts[first : first + WINDOW_ITEMS]
        ids = [encoder.plain(text) for text in some]
        windows = [
            (owner, window)
            for owner, tokens in enumerate(ids)
            for window in _windows(tokens, max_tokens, encoder.beginning())
        ]
        windows.sort(key=lambda pair: len(pair[1].tokens))
        nats = [0.0] * len(some)
        for batch in _batches(windows, batch_tokens):
            scores = scorer.score([window for _, window in batch])
            for (owner, _), score in zip(batch, scores, strict=True):
                nats[owner] += float(score.nats.sum())
        for place, text in enumerate(some):
            yield {
                "row": first + place,
                "nats": nats[place],
                "tokens": len(ids[place]),
                "bytes": len(text.encode()),
            }


def _windows(tokens: Sequence[int], max_tokens: int, beginning: int) -> Iterator[Candidate]:
    for first in range(0, len(tokens), max_tokens - 1):
        before = tokens[first - 1] if first else beginning
        yield Candidate((before, *tokens[first : first + max_tokens - 1]), 1, "", 1)


def _batches(
    windows: Sequence[tuple[int, Candidate]], batch_tokens: int
) -> Iterator[list[tuple[int, Candidate]]]:
    """Split windows sorted by length; the last of a batch sets its width."""
    batch: list[tuple[int, Candidate]] = []
    for window in windows:
        if batch and (len(batch) + 1) * len(window[1].tokens) > batch_tokens:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def bits_per_byte(name: str, runs: Sequence[Sequence[dict[str, Any]]]) -> Metric:
    """Return sum of nats / (ln 2 x sum of bytes) over the texts, one column for each run."""
    nats = np.array([[record["nats"] for record in run] for run in runs]).T
    sizes = np.array([record["bytes"] for record in runs[0]], dtype=np.float64)
    stratum = Stratum(key=name, numerators=nats / math.log(2), denominators=sizes)
    return Metric(name=f"bits_per_byte/{name}", strata=(stratum,), higher_is_better=False)
