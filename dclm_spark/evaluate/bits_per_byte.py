"""Bits per byte on texts that no recipe sees: the signal that small models do give."""

import gzip
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import zstandard

from dclm_spark.errors import InputError
from dclm_spark.evaluate.data import DataRoot
from dclm_spark.evaluate.prompts import Candidate, Tokenizer
from dclm_spark.evaluate.scoring import Scorer
from dclm_spark.evaluate.uncertainty import Metric, Stratum


def read_texts(uri: str) -> list[str]:
    """Return the `text` fields of a JSON-lines file (.jsonl, .jsonl.gz or .jsonl.zst) by URI."""
    folder, _, name = uri.rpartition("/")
    content = DataRoot(folder or ".").read(name)
    if content is None:
        raise InputError(f"heldout = {uri}: no such file; give JSON lines with a text field")
    if name.endswith(".zst"):
        content = zstandard.ZstdDecompressor().decompressobj().decompress(content)
    elif name.endswith(".gz"):
        content = gzip.decompress(content)
    return [json.loads(line)["text"] for line in content.split(b"\n") if line.strip()]


def score_texts(
    scorer: Scorer,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    max_tokens: int = 2048,
    end_of_text_id: int = 0,
) -> Iterator[dict[str, Any]]:
    """Yield per text its row, loss in nats, tokens and UTF-8 bytes.

    A text starts after end of text, as in training. Longer ones are cut into windows that see
    one token of the window before.
    """
    for row, text in enumerate(texts):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        nats = 0.0
        for first in range(0, len(ids), max_tokens - 1):
            before = ids[first - 1] if first else end_of_text_id
            window = (before, *ids[first : first + max_tokens - 1])
            nats += float(scorer.score([Candidate(window, 1, "", 1)])[0].nats.sum())
        yield {"row": row, "nats": nats, "tokens": len(ids), "bytes": len(text.encode())}


def bits_per_byte(name: str, runs: Sequence[Sequence[dict[str, Any]]]) -> Metric:
    """Return sum of nats / (ln 2 x sum of bytes) over the texts, one column for each run."""
    nats = np.array([[record["nats"] for record in run] for run in runs]).T
    sizes = np.array([record["bytes"] for record in runs[0]], dtype=np.float64)
    stratum = Stratum(key=name, numerators=nats / math.log(2), denominators=sizes)
    return Metric(name=f"bits_per_byte/{name}", strata=(stratum,), higher_is_better=False)
