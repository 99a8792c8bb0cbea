"""Bits per byte on texts that no recipe sees: the signal that small models do give."""

import codecs
import json
import logging
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from dclm_spark.errors import InputError
from dclm_spark.evaluate.prompts import Candidate
from dclm_spark.evaluate.scoring import WINDOW_ITEMS, Scorer
from dclm_spark.evaluate.tokens import PromptEncoder
from dclm_spark.evaluate.uncertainty import Metric, Stratum
from udfs import storage
from udfs.storage.stream import shown
from udfs.warc.compression import LINES_FRAMING, MAX_WINDOW_SIZE_BYTES, pieces

LOGGER = logging.getLogger("dclm_spark")


def read_texts(uri: str) -> list[str]:
    """Return the texts of `read_damaged_texts`."""
    return read_damaged_texts(uri)[0]


def read_damaged_texts(uri: str) -> tuple[list[str], list[str]]:
    """Return the `text` fields of a file of JSON lines in any compression, and what was lost.

    Lines without a text and what is damaged are passed over and told in the log. Raises InputError,
    which names the first of them, for a file where they are half of all, and for an empty file.
    """
    try:
        content, lost = _content(uri)
    except storage.MissingObjectError as error:
        raise InputError(
            f"heldout = {shown(uri)}: no such file; give JSON lines with a text field"
        ) from error
    texts = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        try:
            if line.strip():
                texts.append(_text(line))
        except (ValueError, KeyError, TypeError) as error:
            lost.append(f"line {number} is no JSON object with a text field ({error!r})")
    if lost and len(lost) >= len(texts):
        raise InputError(f"heldout = {shown(uri)}: {lost[0]}")
    if lost:
        LOGGER.warning("heldout = %s: %s", shown(uri), told_lost(lost))
    if not texts:
        raise InputError(f"heldout = {shown(uri)}: holds no text")
    return texts, lost


def told_lost(lost: Sequence[str]) -> str:
    """Say in words what of a file was passed over; "" for nothing."""
    return f"passed over {len(lost)}: {lost[0]}" if lost else ""


def _content(uri: str) -> tuple[bytes, list[str]]:
    """Return the bytes of a file as they were before compression, and what of it is damaged."""
    parts, lost = [], []
    with storage.open_stream(uri) as stream:
        for piece in pieces(stream, LINES_FRAMING, MAX_WINDOW_SIZE_BYTES)[0]:
            parts.append(piece.data)
            if piece.error is not None:
                parts.append(b"\n")
                lost.append(f"{piece.error} (near byte {piece.offset})")
    return b"".join(parts).removeprefix(codecs.BOM_UTF8), lost


def _text(line: bytes) -> str:
    text = json.loads(line)["text"]
    if not isinstance(text, str):
        raise TypeError(f"text is {text!r:.40}")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def score_texts(
    scorer: Scorer,
    encoder: PromptEncoder,
    texts: Sequence[str],
    max_tokens: int = 2048,
    batch_tokens: int | None = None,
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
        for batch in _batches(windows, batch_tokens or scorer.batch_tokens):
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
