"""Held-out texts as shards, on which models are measured at declared steps of training."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from dclm_spark.evaluate.bits_per_byte import read_texts
from dclm_spark.ranking.prepared import Corpus, without_removals, write_shard
from dclm_spark.shard_format import read_manifest
from dclm_spark.train.logs import read_log
from dclm_spark.train.scales import TrainSettings
from udfs import storage
from udfs.storage.cache import fetch

# Measured after each eighth of a run, on as many sequences as cost a twentieth of its time.
NUM_POINTS = 8
_SHARE_OF_TIME = 0.05
# A forward pass is a third of a training step.
_FORWARD_SHARE = 1 / 3


@lru_cache(8)
def curve_shards(heldout: tuple[str, ...], corpus: Corpus, output: str) -> str | None:
    """Write the held-out texts below `output` as shards in turns; None where there is no text.

    Texts of all files follow each other by turns, so that the first sequences are of every file.
    """
    if not heldout:
        return None
    texts = _by_turns([read_texts(uri) for uri in heldout])
    source = read_manifest(corpus.manifest)
    digest = hashlib.sha256(json.dumps([texts, source.tokenizer_sha256]).encode()).hexdigest()
    name = f"{digest[:16]}-{source.sequence_length}"
    target = Path(output) / "heldout" / "curves" / name / "manifest.json"
    if target.exists():
        return str(target)
    encoder = Tokenizer.from_file(corpus.tokenizer_file)
    ids = [source.end_of_text_id]
    for text in texts:
        ids += [*encoder.encode(text, add_special_tokens=False).ids, source.end_of_text_id]
    width = source.tokens_per_row
    facts = without_removals(json.loads(storage.read_bytes(source.path)))
    rows = np.full((-(-len(ids) // width), width), source.padding_id, facts["dtype"])
    rows.reshape(-1)[: len(ids)] = ids
    shard = write_shard(
        target.parent / "shard-00000.parquet",
        pa.table({"tokens": pa.array([row.tobytes() for row in rows], pa.binary())}),
    )
    facts |= {"shards": [shard], "num_sequences": len(rows), "num_tokens": int(rows.size)}
    facts |= {"sequences_per_shard": len(rows), "recipe_hash": "held-out texts"}
    storage.write_bytes(str(target), json.dumps(facts, indent=1).encode())
    return str(target)


def _by_turns(files: Sequence[Sequence[str]]) -> list[str]:
    """Return the first text of each file, then the second of each, and so on."""
    longest = max(map(len, files))
    return [texts[place] for place in range(longest) for texts in files if place < len(texts)]


def with_curve(settings: TrainSettings, curve: str | None, tokenizer: str) -> TrainSettings:
    """Return the settings of a run that is measured on `curve` while it is trained."""
    if curve is None:
        return settings
    wanted = _SHARE_OF_TIME / _FORWARD_SHARE * settings.tokens / NUM_POINTS
    sequences = max(1, int(wanted) // settings.model.sequence_length)
    data = replace(
        settings.data,
        heldout=curve,
        heldout_sequences=sequences,
        tokenizer=tokenizer if _is_byte_level(tokenizer) else None,
    )
    interval = max(1, settings.last_step // NUM_POINTS)
    observe = replace(settings.observe, heldout_interval_steps=interval)
    return replace(settings, data=data, observe=observe)


def _is_byte_level(tokenizer: str) -> bool:
    """Say whether the trainer can tell how many bytes a token of it is."""
    facts = json.loads(fetch(tokenizer).read_text("utf-8"))
    return bool((facts.get("model") or {}).get("type") == "BPE")


def curve_points(model: Path, tokens_per_step: int) -> list[tuple[int, float]]:
    """Return (tokens, loss) of a trained run's held-out measurements.

    The loss is in bits per byte where the tokenizer tells bytes, else in nats per token.
    """
    found: dict[int, float] = {}
    for line in read_log(model / "log.jsonl"):
        if line["kind"] == "heldout":
            bits = line.get("bits_per_byte")
            found[line["step"] * tokens_per_step] = line["loss"] if bits is None else bits
    return sorted(found.items())
