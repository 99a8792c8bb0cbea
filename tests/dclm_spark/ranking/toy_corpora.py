"""Small corpora of real text tokens, packed as the shards stage does, with their provenance."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import Tokenizer

from tests.dclm_spark.train.shards import write_shards
from udfs.tokens.packing import Packer
from udfs.tokens.tokenizer import train_tokenizer

LENGTH = 32
VOCABULARY = 300
WORDS = [
    "river", "stone", "green", "walks", "under", "bright", "old", "house", "sings", "near",
    "quiet", "field", "where", "many", "small", "birds", "rest", "before", "evening", "comes",
    "over", "distant", "hills", "and", "wide", "water",
]  # fmt: skip


def documents(seed: int, number: int, words: int = 40) -> list[str]:
    """Return texts of known words in random order: nothing to learn but the words."""
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(WORDS, words)) for _ in range(number)]


def tokenizer_file(folder: Path) -> Path:
    path = folder / "tokenizer.json"
    path.write_text(train_tokenizer(iter([" ".join(WORDS)] * 3), vocabulary_size=VOCABULARY))
    return path


def write_corpus(
    folder: Path, texts: Sequence[str], tokenizer: Path, sequences_per_shard: int = 64
) -> Path:
    """Write the texts as shards and return their manifest."""
    named = {
        hashlib.sha256(f"{folder.name} {number}".encode()).digest()[:16]: text
        for number, text in enumerate(texts)
    }
    return write_corpus_of_documents(
        folder, named, tokenizer, sequences_per_shard=sequences_per_shard
    )


def write_corpus_of_documents(
    folder: Path,
    texts: Mapping[bytes, str],
    tokenizer: Path,
    *,
    length: int = LENGTH,
    sequences_per_shard: int = 64,
) -> Path:
    """Write texts by document id as shards and return their manifest."""
    encoder = Tokenizer.from_file(str(tokenizer))
    packer = Packer(tokens_per_row=length + 1, end_of_text_id=0, padding_id=1)
    sequences = []
    for number, (name, text) in enumerate(texts.items()):
        ids = np.array(encoder.encode(text).ids, np.uint16)
        sequences += list(packer.add(name, f"site-{number % 3}.org", ids, None))
    # As the shards stage does, rows stand in another order than they were packed.
    order = np.random.default_rng(3).permutation(len(sequences))
    sequences = [sequences[place] for place in order]
    sequences = sequences[: len(sequences) // sequences_per_shard * sequences_per_shard]
    manifest = write_shards(
        folder, np.stack([one.tokens for one in sequences]), padding_id=1,
        sequences_per_shard=sequences_per_shard,
        vocabulary_size=encoder.get_vocab_size(),
    )  # fmt: skip
    facts = json.loads(manifest.read_text())
    facts["tokenizer_sha256"] = hashlib.sha256(tokenizer.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(facts))
    for number, shard in enumerate(facts["shards"]):
        own = sequences[number * sequences_per_shard : (number + 1) * sequences_per_shard]
        rows = [{"row": row, **one} for row, seq in enumerate(own) for one in seq.documents]
        table = pa.table(
            {
                "row": pa.array([one["row"] for one in rows], pa.int32()),
                "doc_id": pa.array([one["doc_id"] for one in rows], pa.binary()),
                "domain": [one["domain"] for one in rows],
                "start": pa.array([one["start"] for one in rows], pa.int32()),
                "num_tokens": pa.array([one["num_tokens"] for one in rows], pa.int32()),
            }
        )
        name = shard["path"].replace(".parquet", ".provenance.parquet")
        pq.write_table(table, folder / name)
    return manifest


def write_texts(path: Path, texts: Sequence[str]) -> Path:
    path.write_text("".join(f"{json.dumps({'text': text})}\n" for text in texts))
    return path
